"""What only Stripe can say: whose key it is, what it may do, its clock, the endpoint, the portal, the prices."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from billing import comparison, installation, key_rights, running, stripe_client, stripe_reads
from billing.checks import endpoint, parts
from billing.checks.finding import Finding
from billing.clock import now
from billing.config import Config
from billing.errors import ConfigError, StripeError, StripeKeyRefused, StripeUnavailable
from billing.models import Installation

Check = Callable[[Session, Config], Iterator[Finding]]
FORBIDDEN = 403


def found(session: Session, config: Config, *, thorough: bool) -> Iterator[Finding]:
    """Every answer. ``thorough``: also what takes many questions: the rights of a restricted key, every price."""
    checks: dict[str, Check] = {
        "account": account,
        "webhook endpoint": endpoint.found,
        "billing portal": portal,
    }
    if thorough:
        checks |= {"catalogue at Stripe": prices}
        if config.stripe_secret_key.startswith("rk_"):
            checks |= {"rights of the key": rights}
    for about, check in checks.items():
        try:
            yield from check(session, config)
        except StripeKeyRefused as problem:
            yield _refused(about, problem)
            if problem.status != FORBIDDEN:
                return
        except StripeUnavailable as problem:
            yield Finding(
                about, "wrong", f"Stripe can’t be asked: {problem}", "see whether Stripe is up, and try again"
            )
            return
        except StripeError as problem:
            yield Finding(about, "wrong", str(problem))
        except SQLAlchemyError as problem:
            yield Finding(about, "wrong", f"the database can’t be asked ({type(problem).__name__})")
        finally:
            session.rollback()


def _refused(about: str, problem: StripeError) -> Finding:
    if problem.status == FORBIDDEN:
        return Finding(
            about, "warn", f"it can’t be looked at: {problem}", "allow that, or compare it by hand"
        )
    says = f"Stripe refuses the key: {problem}"
    return Finding(
        about, "wrong", says, "the key was revoked, has expired or was copied wrongly; set another"
    )


def account(session: Session, config: Config) -> Iterator[Finding]:
    """Whose key it is, beside whose database; and Stripe's clock beside ours."""
    answer, stripes = stripe_reads.account_and_time()
    moment, name = now(), str(answer["id"])
    there = _database(session)
    try:
        if there is not None:
            installation.check(there, config, name)
        yield Finding(
            "account", "ok", f"the key belongs to {name}; asked in API version {stripe_client.API_VERSION}"
        )
    except ConfigError as problem:
        yield Finding("account", "wrong", str(problem), "use the key and the database of one account")
    if stripes is not None:
        yield parts.clocks("Stripe’s", moment - stripes)


def _database(session: Session) -> Installation | None:
    try:
        return installation.current(session)
    except SQLAlchemyError:
        return None  # it has a line of its own
    finally:
        session.rollback()


def rights(session: Session, config: Config) -> Iterator[Finding]:
    """What a restricted key lacks. Nothing is written."""
    lacking = list(key_rights.missing(livemode=config.livemode))
    for one in lacking:
        yield Finding(
            "rights of the key", "wrong", f"it is not allowed {one}", "allow it at Stripe: API keys, Edit"
        )
    if not lacking:
        yield Finding("rights of the key", "ok", "it may do all that is needed")


def portal(session: Session, config: Config) -> Iterator[Finding]:
    """What customers may do on Stripe's own pages."""
    there = stripe_reads.default_portal_configuration()
    fix = "Settings → Billing → Customer portal, in the dashboard"
    if there is None:
        says = "its settings were never saved in this mode, so Stripe opens none of its pages"
        yield Finding("billing portal", "wrong", says, f"save them once: {fix}")
        return
    features = there["features"]
    wrong = (
        [] if features["payment_method_update"]["enabled"] else ["updating payment methods is not allowed"]
    )
    odd = [] if features["invoice_history"]["enabled"] else ["invoices are not shown"]
    customer = features["customer_update"]
    if customer["enabled"] and "email" in customer["allowed_updates"]:
        odd.append("the email address may be changed there, and stays as it is here")
    cancel = features["subscription_cancel"]
    if cancel["enabled"] and cancel["mode"] == "immediately":
        odd.append("canceling ends a plan at once")
    if wrong or odd:
        yield Finding("billing portal", "wrong" if wrong else "warn", "; ".join([*wrong, *odd]), fix)
    else:
        yield Finding("billing portal", "ok", "saved, and as docs/deploy.md wants it")


def prices(session: Session, config: Config) -> Iterator[Finding]:
    """The catalogue, line by line, at Stripe."""
    steps = comparison.compare(session, running.catalogue(), past=False)
    lacking = [step for step in steps if step.writes]
    for step in lacking:
        yield Finding("catalogue at Stripe", "wrong", step.says(), "run `flask plans push`")
    if not lacking:
        yield Finding("catalogue at Stripe", "ok", f"{len(steps)} prices and products are as plans.toml says")

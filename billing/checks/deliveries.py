"""What came from Stripe, what was refused and why, and what the reconciler had to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import refusals, stripe_client
from billing.checks.finding import Finding, Level
from billing.config import Config
from billing.diagnosis import ALTERED, CLOCK, OLD, UNKNOWN, UNSIGNED
from billing.models import StripeEvent, SyncRun

# How each case of a refused delivery is called, and what to do.
CASES: dict[str, tuple[str, str]] = {
    UNKNOWN: (
        "signed with no secret of ours: STRIPE_WEBHOOK_SECRET is another endpoint’s or that of `stripe listen`, or a "
        "stranger is knocking",
        "compare STRIPE_WEBHOOK_SECRET with the signing secret of this endpoint at Stripe",
    ),
    UNSIGNED: (
        "without a signature: not Stripe’s, or a proxy takes the header Stripe-Signature away",
        "let the proxy pass the header on",
    ),
    OLD: (
        "signed with an old secret that has ended here",
        "end it at Stripe too, or give it a later end in STRIPE_WEBHOOK_SECRET",
    ),
    CLOCK: (
        "rightly signed, and the time of the signature is more than 5 minutes off",
        "set this machine’s clock; if it is right, somebody sends old deliveries again",
    ),
    ALTERED: (
        "rightly signed, and the body was changed on its way",
        "something in front reads the JSON and writes it anew: let it pass the bytes of /webhooks/stripe as they are",
    ),
    "livemode": (
        "rightly signed, and of the other mode than STRIPE_SECRET_KEY",
        "an endpoint of the other mode leads here: remove it, or use the key and secret of that mode",
    ),
    "account": (
        "rightly signed, and of an account that is not ours",
        "an endpoint for connected accounts leads here: remove it, or set STRIPE_ACCOUNT",
    ),
}
FIRST = "make the endpoint at Stripe (docs/deploy.md, step 2), then send it a test event"


def last(session: Session, config: Config) -> Iterator[Finding]:
    """When Stripe was heard last, in which version, and whether others had to be fetched since."""
    by_webhook = select(StripeEvent.received_at, StripeEvent.api_version).where(
        StripeEvent.source == "webhook"
    )
    found = session.execute(by_webhook.order_by(StripeEvent.received_at.desc()).limit(1)).first()
    if found is None:
        yield Finding("last webhook", "warn", "no event was ever delivered here", FIRST)
        return
    at, version = found
    fetched = _fetched_since(session, at)
    says = f"an event came at {_moment(at)}"
    if fetched:
        says += f"; {fetched} had to be fetched since, which should have come by themselves"
        yield Finding("last webhook", "warn", says, "see the lines on the endpoint and on refused deliveries")
    elif version != stripe_client.API_VERSION:
        fix = f"set the endpoint’s version to {stripe_client.API_VERSION}"
        yield Finding("last webhook", "warn", f"{says}, in API version {version}", fix)
    else:
        yield Finding("last webhook", "ok", says)


def _fetched_since(session: Session, moment: datetime) -> int:
    fetched = (StripeEvent.source == "events_api", StripeEvent.received_at > moment)
    return session.execute(select(func.count()).select_from(StripeEvent).where(*fetched)).scalar_one()


def refused(session: Session, config: Config) -> Iterator[Finding]:
    """Deliveries of the last hour that were refused, by case. Strangers are known to the process that met them."""
    cases = refusals.lately(session)
    for case in cases:
        says, fix = CASES[case]
        level: Level = "wrong" if case in refusals.PROVEN or refusals.many() else "warn"
        yield Finding("refused deliveries", level, says, fix)
    if not cases:
        yield Finding("refused deliveries", "ok", "none in the last hour")


def passes(session: Session, config: Config) -> Iterator[Finding]:
    """What the reconciler's last pass came to."""
    ended = select(SyncRun).where(SyncRun.ended_at.is_not(None)).order_by(SyncRun.id.desc()).limit(1)
    run = session.execute(ended).scalar()
    if run is None or run.ended_at is None:
        yield Finding(
            "reconciler", "warn", "there was no pass yet", "start the clock: it makes one within seconds"
        )
        return
    says = f"the last pass ended at {_moment(run.ended_at)}: {run.missed} missed events, {run.healed} rows healed"
    if run.problem:
        yield Finding("reconciler", "wrong", f"{says}; it stopped: {run.problem}", "see /admin/reconciler")
    else:
        yield Finding("reconciler", "ok", says)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

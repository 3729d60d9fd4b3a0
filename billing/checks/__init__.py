"""Is everything set up as it should be: read-only questions, each answered with what is and how to mend it.

``here`` asks our own parts and costs little, ``stripes`` asks Stripe, ``everything`` also greets the mail server and
compares what costs more. Where one part is away its line says so, and the rest is asked all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from billing import mailer
from billing.checks import at_stripe, deliveries, parts, settings
from billing.checks.finding import Finding, Level
from billing.config import Config
from billing.errors import MailFailed

__all__ = ["Finding", "Level", "everything", "here", "stripes"]

Check = Callable[[Session, Config], Iterator[Finding]]
OF_ROWS: tuple[Check, ...] = (
    parts.installed,
    parts.on_sale,
    parts.lights_red,
    deliveries.last,
    deliveries.refused,
    deliveries.passes,
)


def here(session: Session, config: Config) -> Iterator[Finding]:
    """The settings, the database and what its rows say, Redis; and what only the operator can see at Stripe."""
    yield from settings.found(config)
    database = list(_kept(session, config, parts.database))
    yield from database
    if all(one.level != "wrong" for one in database):
        for check in OF_ROWS:
            yield from _kept(session, config, check)
    yield from parts.redis(config)
    yield from settings.mails(config)


def stripes(session: Session, config: Config, *, thorough: bool = False) -> Iterator[Finding]:
    """What Stripe says: whose key it is, its clock, the endpoint, what was not delivered, the portal."""
    yield from at_stripe.found(session, config, thorough=thorough)


def everything(session: Session, config: Config) -> Iterator[Finding]:
    """All of it, for ``flask doctor``."""
    yield from here(session, config)
    yield _smtp(config)
    yield from stripes(session, config, thorough=True)


def _kept(session: Session, config: Config, check: Check) -> Iterator[Finding]:
    """What a check found; where the database fails it, that."""
    try:
        yield from list(check(session, config))
    except SQLAlchemyError as problem:
        says = f"it can’t be used ({type(problem).__name__})"
        yield Finding("database", "wrong", says, "check DATABASE_URL, and that the server is up")
    finally:
        session.rollback()


def _smtp(config: Config) -> Finding:
    try:
        mailer.reach(config)
    except MailFailed as problem:
        return Finding("mail server", "wrong", f"it can’t be used ({problem})", "check SMTP_URL")
    return Finding("mail server", "ok", "it answers and lets us in; no mail was sent")

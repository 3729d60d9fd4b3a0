"""Looking at Stripe again, through the same door as every event: a row in the inbox, then ``jobs``."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from billing import inbox, jobs, reconcile
from billing.clock import now
from billing.config import Config
from billing.installation import current
from billing.models import StripeEvent, User

FRESH = timedelta(hours=24)


def subscription(
    session: Session, stripe_id: str, customer: str | None, config: Config, actor: str
) -> StripeEvent:
    """Fetch one subscription now and write what Stripe says. Returns the event with what became of it."""
    event_id = inbox.ask_for_refresh(session, stripe_id, customer, livemode=config.livemode, actor=actor)
    session.commit()
    jobs.apply_one(session, event_id)
    return session.get_one(StripeEvent, event_id, populate_existing=True)


def person(session: Session, user: User, config: Config, actor: str) -> int:
    """Look at every subscription that Stripe has for the person. Returns how many there are."""
    if user.stripe_customer_id is None:
        return 0
    customer = user.stripe_customer_id
    ids = reconcile.unknown_to_us(session, customer)
    for stripe_id in ids:
        subscription(session, stripe_id, customer, config, actor)
    return len(ids)


def everything(session: Session, config: Config) -> tuple[int, int]:
    """One pass of the reconciler: missed events, then stale rows. Returns both counts."""
    found = current(session)
    if found is None:
        return 0, 0
    types = [name for name in jobs.HANDLERS if name != inbox.REFRESH]
    missed = reconcile.catch_up(session, found, types, now())
    session.commit()
    jobs.apply_due(session)
    old = reconcile.stale(session, now(), FRESH)
    for stripe_id, customer in old:
        subscription(session, stripe_id, customer, config, "reconciler")
    found.reconciled_at = now()
    session.commit()
    return missed, len(old)

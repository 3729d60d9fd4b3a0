"""Looking at Stripe again, through the same door as every event: a row in the inbox, then ``jobs``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy.orm import Session

from billing import inbox, jobs, reconcile, stripe_client
from billing.clock import now
from billing.config import Config
from billing.installation import current
from billing.models import Installation, StripeEvent, User
from billing.payloads import Object

FRESH = timedelta(hours=24)
BATCH = 100


def subscription(
    session: Session, stripe_id: str, customer: str | None, config: Config, actor: str
) -> StripeEvent:
    """Fetch one subscription now and write what Stripe says. Returns the event with what became of it."""
    event_id = inbox.ask_for_refresh(session, stripe_id, customer, livemode=config.livemode, actor=actor)
    session.commit()
    jobs.apply_one(session, event_id)
    return session.get_one(StripeEvent, event_id, populate_existing=True)


def person(session: Session, user: User, config: Config, actor: str, *, running_only: bool = False) -> int:
    """Look at every subscription that Stripe has for the person, or at those that are not over. How many there are."""
    customer = user.stripe_customer_id
    if customer is None:
        return 0
    session.rollback()  # no transaction is open while Stripe is asked
    ids = reconcile.at_stripe(customer, running_only=running_only)
    for stripe_id in ids:
        subscription(session, stripe_id, customer, config, actor)
    return len(ids)


def everything(session: Session, config: Config) -> tuple[int, int]:
    """One pass of the reconciler: missed events, then stale rows. Returns both counts."""
    found = current(session)
    if found is None:
        return 0, 0
    caught_up = _catch_up(session, found)
    jobs.apply_due(session)
    old = reconcile.stale(session, now(), FRESH)
    for stripe_id, customer in old:
        subscription(session, stripe_id, customer, config, "reconciler")
    found.reconciled_at = now()
    session.commit()
    return caught_up, len(old)


def missed(session: Session) -> Iterator[Object]:
    """Stripe's events that we don't have, none of them stored."""
    found = current(session)
    events = _listed(session, found, now()) if found else iter(())
    while batch := list(islice(events, BATCH)):
        unknown = reconcile.unknown(session, batch)
        session.rollback()
        yield from unknown


def _catch_up(session: Session, found: Installation) -> int:
    """Store what Stripe's list has and we don't, batch by batch; the cursor moves when the list was read whole."""
    started, stored = now(), 0
    events = _listed(session, found, started)
    while batch := list(islice(events, BATCH)):
        stored += reconcile.store_missed(session, batch)
        session.commit()
    found.events_cursor = int(started.timestamp())
    session.commit()
    return stored


def _listed(session: Session, found: Installation, moment: datetime) -> Iterator[Object]:
    types = [name for name in jobs.HANDLERS if name != inbox.REFRESH]
    since = reconcile.since(found.events_cursor, moment)
    session.rollback()  # no transaction is open while Stripe is asked
    return stripe_client.list_events(types, since)

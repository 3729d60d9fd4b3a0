"""Stripe's test clocks: when one has moved, look again at the subscriptions that live on it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import stripe_reads
from billing.clock import from_stripe
from billing.models import Subscription
from billing.payloads import Object
from billing.syncing import Cause, Outcome


def fetch(stripe_id: str, hints: list[str]) -> Object:
    return stripe_reads.get_test_clock(stripe_id)


def write(session: Session, clock: Object, cause: Cause) -> Outcome:
    """Move the time of every row on this clock, so that pages count days as Stripe does.

    Only the time moves, never back: what happened meanwhile is told by events of its own.
    """
    time = from_stripe(clock["frozen_time"])
    rows = select(Subscription).where(Subscription.test_clock == clock["id"]).with_for_update()
    found = session.execute(rows).scalars().all()
    for row in found:
        if time and (row.clock_time is None or time > row.clock_time):
            row.clock_time = time
    return Outcome(None, None if found else "no subscription of ours is on this clock")

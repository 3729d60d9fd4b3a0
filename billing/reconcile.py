"""Healing what webhooks did not bring: events that never arrived, and rows that nobody looked at."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from billing import inbox, stripe_reads
from billing.models import CheckoutSession, StripeEvent, Subscription, User
from billing.models.subscriptions import FINAL
from billing.payloads import Object

OVERLAP = timedelta(hours=1)
# Stripe keeps events for 30 days.
WINDOW = timedelta(days=30)


def since(cursor: int | None, now: datetime) -> int:
    """From which moment on to read Stripe's list of events (Unix seconds).

    The cursor is the time of the last complete pass, and each pass reads an hour more than that: events
    appear in Stripe's list with a delay.
    """
    longest = int((now - WINDOW).timestamp())
    return max(longest, cursor - int(OVERLAP.total_seconds())) if cursor else longest


def unknown(session: Session, events: list[Object]) -> list[Object]:
    """Those of Stripe's events that we don't have, oldest first."""
    wanted = select(StripeEvent.event_id).where(StripeEvent.event_id.in_([one["id"] for one in events]))
    known = set(session.execute(wanted).scalars())
    return [one for one in reversed(events) if one["id"] not in known]


def store_missed(session: Session, events: list[Object]) -> int:
    """Put those of Stripe's events that we don't have into the inbox. Returns how many. The caller commits."""
    return sum(
        inbox.store(session, event, json.dumps(event), source="events_api", handled=True) for event in events
    )


def stale(session: Session, now: datetime, limit: timedelta) -> list[tuple[str, str | None]]:
    """Subscriptions to look at again, oldest first: (id, customer). Not final, and not fetched for ``limit`` or
    since their period ended."""
    rows = (
        select(Subscription.stripe_id, User.stripe_customer_id)
        .join(User)
        .where(
            Subscription.status.not_in(FINAL),
            or_(
                Subscription.fetched_at < now - limit,
                (Subscription.current_period_end < now)
                & (Subscription.fetched_at < now - timedelta(hours=2)),
            ),
        )
        .order_by(Subscription.fetched_at)
    )
    return [(stripe_id, customer) for stripe_id, customer in session.execute(rows)]


def overdue_sessions(session: Session, now: datetime) -> list[tuple[str, str | None]]:
    """Checkout Sessions that are open on our row and can't be at Stripe any more, which lists none by its state:
    (id, customer). The event of their end was lost, and is no longer kept there."""
    rows = (
        select(CheckoutSession.stripe_id, User.stripe_customer_id)
        .join(User)
        .where(
            CheckoutSession.status == "open",
            CheckoutSession.expires_at < now - OVERLAP,
            CheckoutSession.stripe_id.is_not(None),
            User.stripe_customer_id.is_not(None),
        )
        .order_by(CheckoutSession.id)
    )
    return [(str(stripe_id), customer) for stripe_id, customer in session.execute(rows)]


def at_stripe(customer: str, *, running_only: bool = False) -> list[str]:
    """Ids of a customer's subscriptions at Stripe, whatever our rows say; ``running_only``: those not over there."""
    found = stripe_reads.list_subscriptions(customer)
    return [str(one["id"]) for one in found if not running_only or one["status"] not in FINAL]

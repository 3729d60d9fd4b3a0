"""Healing what webhooks did not bring: events that never arrived, and rows that nobody looked at."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from billing import inbox, stripe_client
from billing.models import Installation, Subscription, User
from billing.models.subscriptions import FINAL

OVERLAP = timedelta(hours=1)
# Stripe keeps events for 30 days.
WINDOW = timedelta(days=30)


def catch_up(session: Session, installation: Installation, types: list[str], now: datetime) -> int:
    """Put events that Stripe has and we don't into the inbox. Returns how many. The caller commits.

    The cursor is the time of the last complete pass, and each pass reads an hour more than that: events
    appear in Stripe's list with a delay.
    """
    last = installation.events_cursor
    since = max(int((now - WINDOW).timestamp()), last - int(OVERLAP.total_seconds()) if last else 0)
    found = 0
    for event in stripe_client.list_events(types, since):
        found += inbox.store(session, event, json.dumps(event), source="events_api", handled=True)
    installation.events_cursor = int(now.timestamp())
    return found


def stale(session: Session, now: datetime, limit: timedelta) -> list[tuple[str, str | None]]:
    """Subscriptions to look at again: (id, customer). Not final, and not fetched for ``limit`` or since
    their period ended."""
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
        .limit(500)
    )
    return [(stripe_id, customer) for stripe_id, customer in session.execute(rows)]


def unknown_to_us(session: Session, customer: str) -> list[str]:
    """Ids of a customer's subscriptions at Stripe, for a look at each."""
    return [str(found["id"]) for found in stripe_client.list_subscriptions(customer)]

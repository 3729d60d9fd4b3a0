"""Whether the lost end of a plan, or the lost taking back of one, was seen to be done.

An end that was made, and taken back by somebody since, looks at Stripe like one that was never made. To make it again
would end the plan of somebody who was promised that it goes on. Our rows may have shown it; else Stripe's event of it
tells. What we keep of events says only which of them to ask Stripe for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import reconcile, stripe_reads
from billing.errors import StripeRefused
from billing.installation import current
from billing.models import AuditEntry, StripeEvent, StripeWrite, Subscription
from billing.payloads import Object
from billing.registry import HORIZON

UPDATED = "customer.subscription.updated"
# For the list of events to be read; whoever asked to leave waits no longer, nor until they are charged again.
PATIENCE = timedelta(hours=4)
SOON = timedelta(hours=2)
# Clocks differ; more is looked through than counts.
EARLIER = timedelta(days=1)


class Sought(NamedTuple):
    """``wanted``: whether the plan was to end with its period. ``asked``: when, in Unix seconds of the database."""

    target: str
    key: str
    wanted: bool
    asked: int

    def is_told_by(self, event: Object) -> bool:
        """Whether the event is of our request (Stripe: docs.stripe.com/api/events/object,
        ``request.idempotency_key``), or of another that has since made what was asked for: of two tabs, the second
        finds all as it wants it, and its write makes no event. A second is left for the first tab to be ahead."""
        request, data = event.get("request"), event.get("data") or {}
        if isinstance(request, dict) and request.get("idempotency_key") == self.key:
            return True
        before = (data.get("previous_attributes") or {}).get("cancel_at_period_end")
        after = (data.get("object") or {}).get("cancel_at_period_end")
        return (before, after) == (not self.wanted, self.wanted) and event["created"] >= self.asked - 1


class Hint(NamedTuple):
    """An event that Stripe is to be asked for."""

    sought: Sought
    event_id: str


def sought(row: StripeWrite) -> Sought | None:
    """None for a write that says nothing of a plan's end with its period, or that was never sent."""
    wanted = json.loads(row.params).get("cancel_at_period_end")
    if row.operation != "subscription.update" or wanted is None or row.first_sent_at is None:
        return None
    return Sought(row.target or "", row.idempotency_key, wanted, int(row.created_at.timestamp()))


def may_yet_be_told(session: Session, row: StripeWrite) -> bool:
    """Whether to wait for the event of a write whose key is too old: until the reconciler has read Stripe's list up to
    the last moment at which that key was sent, and an hour more, since events appear there with a delay."""
    found, first, last = sought(row), row.first_sent_at, row.last_sent_at
    if found is None or first is None or last is None or last - first > HORIZON + PATIENCE:
        return False
    renews = select(Subscription.current_period_end).where(Subscription.stripe_id == found.target)
    until = session.execute(renews).scalar()
    if found.wanted and until is not None and until < last + SOON:
        return False
    installation = current(session)
    read_until = (installation.events_cursor if installation else None) or 0
    return read_until < (first + HORIZON + reconcile.OVERLAP).timestamp()


def hints(session: Session, row: StripeWrite) -> list[Hint]:
    """Events that tell of it, by what we keep of them."""
    found = sought(row)
    if found is None:
        return []
    kept = select(StripeEvent.event_id, StripeEvent.payload).where(
        StripeEvent.subject == found.target,
        StripeEvent.type == UPDATED,
        StripeEvent.stripe_created >= row.created_at - EARLIER,
    )
    return [
        Hint(found, name) for name, payload in session.execute(kept) if found.is_told_by(json.loads(payload))
    ]


def told(hints: Iterable[Hint]) -> Object | None:
    """The subscription's id, where Stripe itself says what one of these events seemed to. Raises StripeError where
    Stripe can't be asked; an event that it does not know tells nothing."""
    for sought, event_id in hints:
        try:
            event = stripe_reads.get_event(event_id)
        except StripeRefused as problem:
            if problem.status != 404:
                raise
            continue
        if sought.is_told_by(event):
            return {"id": sought.target}
    return None


def was_shown(session: Session, row: StripeWrite) -> bool:
    """Whether our rows have come to show what was asked for since it was sent."""
    found = sought(row)
    if found is None:
        return False
    shown = select(AuditEntry.id).where(
        AuditEntry.user_id == row.user_id,
        AuditEntry.subject == found.target,
        AuditEntry.at >= row.first_sent_at,
        AuditEntry.before["cancel_at_period_end"].as_boolean() != found.wanted,
        AuditEntry.after["cancel_at_period_end"].as_boolean() == found.wanted,
    )
    return session.execute(select(shown.exists())).scalar_one()

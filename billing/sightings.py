"""Whether a lost write was seen to be done: by our rows, or by Stripe's event of it.

An end of a plan that was made, and taken back by somebody since, looks at Stripe like one that was never made. To make
it again would end the plan of somebody who was promised that it goes on.
"""

from __future__ import annotations

import json

from sqlalchemy import JSON, cast, or_, select
from sqlalchemy.orm import Session

from billing import reconcile
from billing.installation import current
from billing.models import AuditEntry, StripeEvent, StripeWrite
from billing.registry import HORIZON


def was_seen(session: Session, row: StripeWrite) -> bool:
    """Whether our rows have come to show what was asked for since it was sent, or an event of Stripe does. Then it was
    done, and if it isn't so any more, somebody wanted it otherwise.

    An event does where it names the write's key (Stripe: docs.stripe.com/api/events/object,
    ``request.idempotency_key``); or where it shows what was asked for, and is of the second in which the write was
    first sent or later: of two tabs, the second finds all as it wants it, and its write makes no event of its own.
    """
    if row.first_sent_at is None or (wanted := _wanted(row)) is None:
        return False
    seen = select(AuditEntry.id).where(
        AuditEntry.user_id == row.user_id,
        AuditEntry.subject == row.target,
        AuditEntry.at >= row.first_sent_at,
        AuditEntry.before["cancel_at_period_end"].as_boolean() != wanted,
        AuditEntry.after["cancel_at_period_end"].as_boolean() == wanted,
    )
    event = cast(StripeEvent.payload, JSON)
    told = select(StripeEvent.event_id).where(
        StripeEvent.subject == row.target,
        StripeEvent.type == "customer.subscription.updated",
        or_(
            event["request"]["idempotency_key"].as_string() == row.idempotency_key,
            (StripeEvent.stripe_created >= row.first_sent_at.replace(microsecond=0))
            & (event["data"]["object"]["cancel_at_period_end"].as_string() == json.dumps(wanted)),
        ),
    )
    return session.execute(select(or_(seen.exists(), told.exists()))).scalar_one()


def may_yet_be_seen(session: Session, row: StripeWrite) -> bool:
    """Whether Stripe's event of it may still be on its way: the reconciler has not yet read Stripe's list of events up
    to the last moment at which its key was sent, and an hour more, since events appear there with a delay."""
    if row.first_sent_at is None or _wanted(row) is None:
        return False
    installation = current(session)
    read_until = (installation.events_cursor if installation else None) or 0
    return read_until < (row.first_sent_at + HORIZON + reconcile.OVERLAP).timestamp()


def _wanted(row: StripeWrite) -> bool | None:
    """Whether a plan was to end with its period or not to; None of any other write."""
    if row.operation != "subscription.update":
        return None
    wanted: bool | None = json.loads(row.params).get("cancel_at_period_end")
    return wanted

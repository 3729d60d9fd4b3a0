"""Rows for the tests of the admin pages, written as applied events would have left them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing.extensions import db
from billing.installation import current
from billing.models import AuditEntry, Dispute, Invoice, Notice, Payment, StripeEvent, Subscription, User
from tests.support import csrf_of

NOW = datetime.now(UTC).replace(microsecond=0)
_numbers = itertools.count(1)


def add(session: Session, row: Any) -> Any:
    session.add(row)
    session.commit()
    return row


def mode_of(session: Session) -> bool:
    """The mode of this database; a row of the other one would be refused."""
    found = current(session)
    return found is not None and found.livemode


def stripe_event(session: Session, kind: str = "customer.subscription.updated", **more: Any) -> StripeEvent:
    number = next(_numbers)
    thing = {"id": f"sub_{number}", "object": "subscription", "customer": more.get("customer_id")}
    values: dict[str, Any] = {
        "event_id": f"evt_{number:06d}",
        "type": kind,
        "livemode": mode_of(session),
        "api_version": "2026-10-28.endive",
        "subject": f"sub_{number}",
        "object_id": f"sub_{number}",
        "stripe_created": NOW,
        "payload": json.dumps({"object": "event", "type": kind, "data": {"object": thing}}),
        "source": "webhook",
        "received_at": NOW + timedelta(milliseconds=number),
        "state": "applied",
        **more,
    }
    return add(session, StripeEvent(**values))


def subscription(session: Session, user: User, **more: Any) -> Subscription:
    number = next(_numbers)
    cause = stripe_event(session, user_id=user.id, customer_id=user.stripe_customer_id)
    values: dict[str, Any] = {
        "stripe_id": f"sub_test_{number:06d}",
        "user_id": user.id,
        "status": "active",
        "plan": "pro",
        "price_id": "price_pro_month",
        "amount": 2900,
        "currency": "eur",
        "interval": "month",
        "created": NOW - timedelta(days=10),
        "current_period_start": NOW - timedelta(days=10),
        "current_period_end": NOW + timedelta(days=20),
        "collection_method": "charge_automatically",
        "card_brand": "visa",
        "card_last4": "4242",
        "livemode": mode_of(session),
        "fetch_no": 1,
        "fetched_at": NOW,
        "cause_event_id": cause.event_id,
        **more,
    }
    return add(session, Subscription(**values))


def invoice(session: Session, row: Subscription, **more: Any) -> Invoice:
    number = next(_numbers)
    values: dict[str, Any] = {
        "stripe_id": f"in_test_{number:06d}",
        "user_id": row.user_id,
        "subscription": row.stripe_id,
        "number": f"DUN-{number:04d}",
        "status": "paid",
        "description": "1 × Pro",
        "currency": "eur",
        "total": 2900,
        "amount_due": 2900,
        "amount_paid": 2900,
        "amount_remaining": 0,
        "created": NOW - timedelta(days=10),
        "attempted": True,
        "attempt_count": 1,
        "payment_intent": f"pi_test_{number:06d}",
        "fetch_no": 1,
        "fetched_at": NOW,
        "cause_event_id": row.cause_event_id,
        **more,
    }
    return add(session, Invoice(**values))


def owed(session: Session, row: Subscription, **more: Any) -> Invoice:
    """An open invoice whose first try failed two days ago."""
    failed: dict[str, Any] = {
        "status": "open",
        "amount_paid": 0,
        "amount_remaining": 2900,
        "first_failed_at": NOW - timedelta(days=2),
        "decline_code": "insufficient_funds",
        "next_payment_attempt": NOW + timedelta(days=3),
    }
    return invoice(session, row, **{**failed, **more})


def payment(session: Session, user: User, **more: Any) -> Payment:
    number = next(_numbers)
    values: dict[str, Any] = {
        "payment_intent": f"pi_once_{number:06d}",
        "user_id": user.id,
        "product": "credits-100",
        "status": "succeeded",
        "amount": 1500,
        "currency": "eur",
        "created": NOW,
        "fulfilled_at": NOW,
        "fetch_no": 1,
        "cause_event_id": stripe_event(session, "payment_intent.succeeded", user_id=user.id).event_id,
        **more,
    }
    return add(session, Payment(**values))


def dispute(session: Session, user: User, **more: Any) -> Dispute:
    values: dict[str, Any] = {
        "stripe_id": f"du_test_{next(_numbers):06d}",
        "user_id": user.id,
        "status": "needs_response",
        "reason": "fraudulent",
        "amount": 2900,
        "currency": "eur",
        "created": NOW,
        "fetch_no": 1,
        "cause_event_id": stripe_event(session, "charge.dispute.created", user_id=user.id).event_id,
        **more,
    }
    return add(session, Dispute(**values))


def mail(session: Session, user: User, kind: str = "receipt", **more: Any) -> Notice:
    key = f"{kind}:{next(_numbers)}"
    values: dict[str, Any] = {
        "dedupe_key": key,
        "kind": kind,
        "user_id": user.id,
        "to": user.email,
        "facts": {"amount": "€29.00", "plan": "Pro", "paid_date": "3 December 2026"},
        "state": "sent",
        "sent_at": NOW,
        "message_id": f"<{key}@example.com>",
        **more,
    }
    return add(session, Notice(**values))


def audit_of(session: Session, kind: str) -> list[AuditEntry]:
    session.rollback()
    return list(session.query(AuditEntry).filter_by(kind=kind).order_by(AuditEntry.id))


def press(client: FlaskClient, path: str, *, came_from: str | None = None, **fields: str) -> TestResponse:
    """Send the one-button form that leads to ``path``, as the browser does."""
    token = csrf_of(client, "/admin/subscribers")
    headers = {"Referer": came_from} if came_from else {}
    return client.post(path, data={"csrf_token": token, **fields}, headers=headers)


@contextmanager
def queries() -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)

"""What Stripe says, without a Stripe: its objects as the API gives them, and the job's own way of writing them."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from sqlalchemy.orm import Session

from billing import inbox, leases, subscriptions
from billing.clock import from_stripe, now
from billing.installation import public_id
from billing.models import StripeEvent, User
from billing.payloads import Object
from billing.syncing import Cause, Outcome
from tests.support import make_event

DAY = 86400
START = 1_795_000_000  # 2026-11-18
_numbers = itertools.count(1)


def a_subscription(user: User, **changes: Any) -> Object:
    """An active subscription to Pro by the month, with the card and customer expanded as we ask for them."""
    id_ = changes.pop("id", f"sub_told{next(_numbers):06d}")
    card = {
        "id": "pm_1",
        "object": "payment_method",
        "type": "card",
        "card": {"brand": "visa", "last4": "4242"},
    }
    price = {
        "id": "price_pro",
        "object": "price",
        "unit_amount": 2900,
        "currency": "eur",
        "recurring": {"interval": "month", "interval_count": 1},
        "metadata": {"plan": "pro"},
    }
    item = {
        "id": "si_1",
        "object": "subscription_item",
        "price": price,
        "quantity": 1,
        "current_period_start": START,
        "current_period_end": START + 30 * DAY,
    }
    return {
        "id": id_,
        "object": "subscription",
        "status": "active",
        "created": START,
        "currency": "eur",
        "customer": {"id": user.stripe_customer_id, "object": "customer", "invoice_settings": {}},
        "items": {"object": "list", "data": [item], "has_more": False},
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "default_payment_method": card,
        "ended_at": None,
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "pause_collection": None,
        "schedule": None,
        "status_details": None,
        "test_clock": None,
        "trial_end": None,
        **changes,
    }


def an_invoice(subscription: Object, **changes: Any) -> Object:
    """A paid renewal of the subscription, with its payment's PaymentIntent expanded as we ask for it."""
    id_ = changes.pop("id", f"in_told{next(_numbers):06d}")
    decline, status = changes.pop("decline", None), changes.get("status", "paid")
    paid = status == "paid"
    error = {"code": "card_declined", "decline_code": decline} if decline else None
    intent = {
        "id": f"pi_{id_}",
        "object": "payment_intent",
        "status": changes.pop("intent", "succeeded" if paid else "requires_payment_method"),
        "last_payment_error": error,
    }
    payment = {"created": START, "payment": {"type": "payment_intent", "payment_intent": intent}}
    return {
        "id": id_,
        "object": "invoice",
        "customer": subscription["customer"]["id"],
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"subscription": subscription["id"], "metadata": {}},
        },
        "status": status,
        "billing_reason": "subscription_cycle",
        "number": "A1B2C3D4-0002",
        "description": None,
        "currency": "eur",
        "total": 2900,
        "amount_due": 2900,
        "amount_paid": 2900 if paid else 0,
        "amount_remaining": 0 if paid else 2900,
        "created": START,
        "collection_method": "charge_automatically",
        "status_transitions": {"finalized_at": START + 3600, "paid_at": int(time.time()) if paid else None},
        "attempted": True,
        "attempt_count": 1,
        "next_payment_attempt": None,
        "lines": {"data": [{"description": "1 × Pro", "period": {"start": START, "end": START + 30 * DAY}}]},
        "payments": {"data": [payment]},
        "metadata": {},
        **changes,
    }


def owing(subscription: Object, attempts: int, **changes: Any) -> Object:
    """The same invoice after so many failed attempts."""
    more = {"decline": "insufficient_funds", "next_payment_attempt": START + 8 * DAY, **changes}
    return an_invoice(subscription, status="open", attempt_count=attempts, **more)


def tell(
    session: Session,
    subscription: Object,
    *told: Object,
    types: tuple[str, ...] = (),
    clock: int | None = None,
) -> Outcome:
    """Write Stripe's state as the job does: an event of the inbox, the lease, the write, one commit."""
    event = make_event("customer.subscription.updated", {"id": subscription["id"], "object": "subscription"})
    inbox.store(session, event, json.dumps(event), source="webhook", handled=True)
    session.commit()
    lease = leases.take(session, str(subscription["customer"]["id"]), wait=30)
    assert lease is not None
    fetched = subscriptions.Fetched(subscription, list(told), from_stripe(clock))
    leases.hold(session, lease)
    cause = Cause(event["id"], lease.fence, public_id(session), now(), frozenset(types))
    outcome = subscriptions.write(session, fetched, cause)
    row = session.get_one(StripeEvent, event["id"])
    row.state = StripeEvent.IGNORED if outcome.ignored else StripeEvent.APPLIED
    session.commit()
    leases.free(session, lease)
    return outcome

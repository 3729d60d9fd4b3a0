"""A second plan of somebody who has one: how it comes about, and what Stripe holds of it."""

from __future__ import annotations

import time
from typing import Any

from tests.story import Shopper
from tests.support import wait_until


def another(person: Shopper, **more: Any) -> str:
    """A second plan, bought past our guards in a later second, as in Stripe's dashboard; its id."""
    api = person.sandbox.stripe
    began = api.subscriptions.retrieve(person.row.stripe_id).created
    wait_until(lambda: int(time.time()) > began, "the next second")
    session = api.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": person.customer,
            "line_items": [{"price": person.row.price_id, "quantity": 1}],
            "success_url": "http://127.0.0.1:9/ok",
            **more,
        }
    )
    assert person.pay(session.id).status == 303
    return str(api.checkout.sessions.retrieve(session.id).subscription)


def at_stripe(person: Shopper, stripe_id: str) -> tuple[str, int]:
    """The status of a subscription, and how much of what was paid for it went back."""
    api = person.sandbox.stripe
    sub = api.subscriptions.retrieve(stripe_id, {"expand": ["latest_invoice.payments"]})
    payments = sub.latest_invoice.payments.data
    refunds = [
        refund.amount
        for payment in payments
        for refund in api.refunds.list({"payment_intent": payment.payment.payment_intent}).data
    ]
    return sub.status, sum(refunds)

"""Deleting a customer, and a test clock with everybody on it."""

from __future__ import annotations

from typing import Any

from sandbox.engine import subscriptions
from sandbox.events import emit
from sandbox.house import db

Json = dict[str, Any]


def remove_customer(customer: Json) -> None:
    """The customer's subscriptions end; what they were billed stays."""
    for sub in db().all("subscription", customer=customer["id"]):
        if sub["status"] not in subscriptions.ENDED:
            subscriptions.cancel_now(sub)
    customer = db().get("customer", customer["id"])
    db().put(customer | {"_deleted": True})
    emit("customer.deleted", customer)


def remove_clock(test_clock: Json) -> None:
    """Its customers go with it (facts 6)."""
    for customer in db().all("customer", test_clock=test_clock["id"]):
        if not customer.get("_deleted"):
            remove_customer(customer)
    db().delete(test_clock["id"])
    emit("test_helpers.test_clock.deleted", test_clock)


def clock_is_old(clock_id: str) -> None:
    """A test clock is deleted thirty days after it was made."""
    remove_clock(db().get("test_helpers.test_clock", clock_id))

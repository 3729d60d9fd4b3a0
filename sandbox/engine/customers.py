"""Customers: making one, and the one-time message that waits for a person's next page."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import balance
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import customer as shapes

Json = dict[str, Any]

DEFAULT_CURRENCY = "usd"  # the account's, where nobody was billed in another yet


def create(given: Json, test_clock: str | None = None) -> Json:
    """A new customer; on a clock it is born at the clock's time."""
    now = clock.wall()
    if test_clock:
        now = db().get("test_helpers.test_clock", test_clock)["frozen_time"]
    customer = shapes.customer(now, given, test_clock)
    db().put(customer)
    if customer["balance"]:
        currency = customer["currency"] or DEFAULT_CURRENCY
        balance.record(customer | {"balance": 0}, customer["balance"], currency, {"type": "initial"})
    emit("customer.created", customer)
    return customer


def bill_in(customer: Json, currency: str) -> None:
    """The first currency that a customer is billed in becomes the customer's own."""
    known = db().get("customer", customer["id"])
    if known["currency"] is None:
        change(known, "customer.updated", currency=currency)
    customer["currency"] = known["currency"]


def remember(kind: str, id_: str, message: str) -> None:
    """Keep words for the page that is shown next."""
    db().set_token(f"message:{kind}:{id_}", {"kind": "message", "message": message})


def recall(kind: str, id_: str) -> str:
    """The kept words, once."""
    name = f"message:{kind}:{id_}"
    kept = db().token(name)
    if kept is None:
        return ""
    db().drop_token(name)
    return str(kept["message"])

"""Customers with a card on a clock of their own, and subscriptions that the API makes for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.sandbox.engine.driver import Json, Sandbox

DAY, HOUR = 86400, 3600
LATE = "invoice_payment.paid"


def moment(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


START = moment(2027, 4, 1)  # April has 30 days: halfway is the 16th
HALFWAY = START + 15 * DAY


def payer(sandbox: Sandbox, card: str | None = "pm_card_visa", at: int = START) -> Any:
    """A customer who lives from `at` on, with a card as default or without."""
    clock = sandbox.api.test_helpers.test_clocks.create({"frozen_time": at})
    customer = sandbox.api.customers.create({"email": "bo@example.com", "test_clock": clock.id})
    if card is not None:
        give_card(sandbox, customer.id, card)
    return customer


def give_card(sandbox: Sandbox, customer: str, card: str) -> str:
    method = sandbox.api.payment_methods.attach(card, {"customer": customer})
    sandbox.api.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    return method.id


def subscribe(sandbox: Sandbox, customer: str, price: str | None = None, **more: Any) -> Any:
    items = more.pop("items", None) or [{"price": price or sandbox.price(5000)}]
    return sandbox.api.subscriptions.create({"customer": customer, "items": items, **more})


def change(sandbox: Sandbox, sub: Any, price: str, **more: Any) -> Any:
    """Another price for the one item."""
    item: Json = {"id": sub.items.data[0].id, "price": price}
    if "quantity" in more:
        item["quantity"] = more.pop("quantity")
    return sandbox.api.subscriptions.update(sub.id, {"items": [item], **more})


def renewed(sandbox: Sandbox, sub: Any) -> Any:
    """The subscription after its current period and the hour of the draft."""
    now = sandbox.api.subscriptions.retrieve(sub.id)
    sandbox.advance(now.customer, now.items.data[0].current_period_end + HOUR)
    return sandbox.api.subscriptions.retrieve(sub.id)


def newest(sandbox: Sandbox, sub: Any) -> Any:
    return sandbox.api.invoices.retrieve(str(sandbox.api.subscriptions.retrieve(sub.id).latest_invoice))


def amounts(invoice: Any) -> list[int]:
    return [line.amount for line in invoice.lines.data]


def told(sandbox: Sandbox, customer: str, mark: str | None) -> list[str]:
    """The types of a customer's events since then, without the one that comes late."""
    return [each for each in sandbox.types(mark, customer) if each != LATE]


def previous(
    sandbox: Sandbox, customer: str, mark: str | None, kind: str = "customer.subscription.updated"
) -> Any:
    """previous_attributes of the last event of that type since then."""
    found = [each for each in sandbox.events(mark, customer) if each["type"] == kind]
    return found[-1]["data"].get("previous_attributes")

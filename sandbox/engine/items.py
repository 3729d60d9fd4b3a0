"""Invoice items: amounts that wait for a customer's next invoice, and how they become its lines."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import customers
from sandbox.events import emit
from sandbox.house import db
from sandbox.objects import invoice as lines
from sandbox.objects import invoiceitem as shapes

Json = dict[str, Any]


def unsaved(customer: Json, given: Json) -> Json:
    """An invoice item for a preview; `given` as in `add`.

    Negative amounts and prorations are not discountable unless `given` says so, as at Stripe.
    """
    discountable = given.get("discountable")
    if discountable is None:
        discountable = given["amount"] >= 0 and not given.get("proration")
    return shapes.invoiceitem(clock.now(customer["id"]), customer, {**given, "discountable": discountable})


def add(customer: Json, given: Json) -> Json:
    """Make and store an invoice item, and tell of it.

    `given`: amount (minor units, negative for a credit), currency; and as far as there are any: description,
    period {start, end}, subscription (id), subscription_item (id), proration, credited_items
    ({invoice, invoice_line_items}), price (the object), unit_amount_decimal, quantity, metadata, discountable,
    discounts (ids), invoice (id).
    """
    customers.bill_in(customer, given["currency"])
    item = db().put(unsaved(customer, given))
    emit("invoiceitem.created", item)
    return item


def pending(customer_id: str, subscription_id: str | None, only: bool = False) -> list[Json]:
    """What waits for the next invoice of a subscription, oldest first: its own items and those of no
    subscription (`only`: just its own). Without a subscription all that waits for the customer."""
    waiting = [item for item in db().all("invoiceitem", customer=customer_id) if item["invoice"] is None]
    if subscription_id is None:
        return waiting
    allowed = (subscription_id,) if only else (subscription_id, None)
    return [item for item in waiting if subscription_of(item) in allowed]


def subscription_of(item: Json) -> str | None:
    """The id of the subscription that an item is for."""
    details = (item["parent"] or {}).get("subscription_details") or {}
    subscription: str | None = details.get("subscription")
    return subscription


def line(item: Json) -> Json:
    """The invoice line of an item."""
    return lines.item_line(item)


def newest_first(waiting: list[Json]) -> list[Json]:
    """Stripe's order of the pending items of an invoice; what was made in the same second stays in order."""
    return sorted(waiting, key=lambda item: -int(item["date"]))

"""/v1/invoices/create_preview: what an invoice would be, without making it."""

from __future__ import annotations

from typing import Any

from sandbox.api import discount_params, subscription_creation, subscriptions
from sandbox.api import subscription_item_params as item_rows
from sandbox.api.form import Params
from sandbox.api.operation import Call, Operation
from sandbox.engine import discounts, items, previewing, starting
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db

Json = dict[str, Any]

DETAILS = (
    f"{item_rows.spell('items.#', item_rows.ITEM + ' id deleted')} billing_cycle_anchor.type cancel_at"
    " cancel_at_period_end cancel_now metadata.* proration_behavior proration_date trial_end"
)
ITEM = (
    f"amount currency description discountable metadata.* period.start period.end price quantity unit_amount"
    f" {item_rows.spell('price_data', item_rows.PRICE_DATA)}"
)


def create(call: Call) -> Json:
    params = call.params
    for name in ("schedule", "schedule_details"):
        if params.has(name):
            raise not_built("previews of schedules", name)
    sub = _subscription(params)
    customer = _customer(params, sub)
    details = params.child("subscription_details")
    more = _more(params, customer, sub)
    if sub is not None and details.flag("cancel_now"):
        return previewing.of_end(sub, more)
    if sub is not None:
        return previewing.of_change(sub, subscriptions.wanted(sub, details), more)
    if details.has("items"):
        return _new(details, customer, more)
    return previewing.of_items(customer, more)


def _subscription(params: Params) -> Json | None:
    id_ = params.text("subscription")
    sub = db().find("subscription", id_)
    if id_ and sub is None:
        raise missing("subscription", id_, "subscription", 400)
    return sub


def _customer(params: Params, sub: Json | None) -> Json:
    id_ = params.text("customer")
    if sub is not None and id_ in (None, sub["customer"]):
        return db().get("customer", sub["customer"])
    if id_ is None:
        raise required("customer")
    customer = db().find("customer", id_)
    if customer is None or customer.get("_deleted"):
        raise missing("customer", id_, "customer", 400)
    if sub is not None:
        raise request_error("The subscription is another customer's.", param="subscription")
    return customer


def _more(params: Params, customer: Json, sub: Json | None) -> Json:
    """invoice_items and discounts, as invoicing.compose takes them."""
    currency = (sub or customer)["currency"]
    more: Json = {
        "items": [items.unsaved(customer, _item(row, currency, sub)) for row in params.rows("invoice_items")]
    }
    if params.has("discounts"):
        named = discount_params.read(params, discounts.Purchase(customer, currency)) or []
        more["discounts"] = [
            discounts.unsaved(each, {"customer": customer["id"]})
            if isinstance(each, discounts.Offer)
            else each
            for each in named
        ]
    return more


def _item(row: Params, currency: str | None, sub: Json | None) -> Json:
    quantity = row.integer("quantity", least=0)
    price = item_rows.price(row, None, recurring=False) if row.has("price") or row.has("price_data") else None
    unit = price["unit_amount"] if price else row.integer("unit_amount")
    amount = row.integer("amount")
    if amount is None:
        if unit is None:
            raise required(row.name("amount"))
        amount = unit * (1 if quantity is None else quantity)
    period = row.child("period")
    given: Json = {
        "amount": amount,
        "currency": (row.text("currency") or (price or {}).get("currency") or currency or "usd").lower(),
        "description": row.text("description"),
        "metadata": row.metadata(),
        "price": price,
        "quantity": 1 if quantity is None else quantity,
        "subscription": sub["id"] if sub else None,
    }
    if period.tree:
        given["period"] = {"start": period.integer("start"), "end": period.integer("end")}
    if row.has("discountable"):
        given["discountable"] = row.flag("discountable")
    return given


def _new(details: Params, customer: Json, more: Json) -> Json:
    lines, given = subscription_creation.creation(details, customer)
    _, invoice = starting.preview(customer, lines, given, more)
    if invoice is None:
        raise request_error("Nothing would be invoiced.", "invoice_upcoming_none")
    return previewing.shown(invoice)


OPERATIONS = (
    Operation(
        "POST", "/v1/invoices/create_preview", create,
        "customer subscription schedule schedule_details.* discounts.#.coupon"
        " discounts.#.discount discounts.#.promotion_code"
        f" {item_rows.spell('subscription_details', DETAILS)} {item_rows.spell('invoice_items.#', ITEM)}",
    ),
)  # fmt: skip

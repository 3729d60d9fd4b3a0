"""The line items of a Checkout Session, and what is due today."""

from __future__ import annotations

from typing import Any

from sandbox import money
from sandbox.api import prices
from sandbox.api.form import Params
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db
from sandbox.objects import session as shapes

Json = dict[str, Any]


def line_items(params: Params, mode: str) -> list[Json]:
    rows = params.rows("line_items")
    if not rows:
        raise required("line_items")
    if len(rows) > (100 if mode == "payment" else 40):
        raise request_error("There are too many line items.", param="line_items")
    items = [_line_item(row, mode) for row in rows]
    if len({item["currency"] for item in items}) > 1:
        raise request_error("All prices of a Checkout Session must use one currency.", param="line_items")
    recurring = [item["price"]["recurring"] for item in items]
    if mode == "subscription" and (None in recurring or any(each != recurring[0] for each in recurring)):
        raise not_built("subscriptions with one-time prices or different intervals", "line_items")
    if mode == "payment" and any(recurring):
        raise request_error(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode"
            " or use only one-time prices.",
            param="line_items",
        )
    return items


def _line_item(row: Params, mode: str) -> Json:
    quantity = row.integer("quantity", least=1)
    if quantity is None:
        raise required(row.name("quantity"))
    price = _price(row)
    if not price["active"] and not row.has("price_data"):
        message = "The price specified is inactive. This field only accepts active prices."
        raise request_error(message, "price_inactive", row.name("price"))
    product = db().find("product", price["product"]) or {"name": "Product"}
    currency = price["currency"]
    if row.child("adjustable_quantity").flag("enabled"):
        raise not_built("adjustable quantities", row.name("adjustable_quantity"))
    if mode == "subscription" and price["recurring"] is None:
        raise not_built("one-time prices beside a subscription", row.name("price"))
    item = shapes.line_item(price, product["name"], quantity, currency, price["unit_amount"])
    return item | {"_unit_amount": price["unit_amount"], "metadata": row.metadata()}


def _price(row: Params) -> Json:
    id_ = row.text("price")
    if id_ is None and row.has("price_data"):
        data = row.child("price_data")
        unit = prices.amount(data)
        price = prices.build(data, prices.product_of(data), unit, {})
        return db().put(price | {"active": False})
    if id_ is None:
        raise required(row.name("price"))
    price_ = db().find("price", id_)
    if price_ is None:
        raise missing("price", id_, row.name("price"), 400)
    return price_


def total_due(items: list[Json], given: Json) -> int:
    """What is due today: nothing while a trial starts; never under the currency's minimum otherwise."""
    data = given["subscription_data"]
    if data["trial_period_days"] or data["trial_end"]:
        for item in items:
            item.update(amount_subtotal=0, amount_total=0)
        return 0
    total = sum(item["amount_total"] for item in items)
    least = money.minimum(given["currency"])
    if 0 < total < least:
        raise request_error(
            "The Checkout Session's total amount due must add up to at least"
            f" {money.words(least, given['currency'])} {given['currency']}",
            "amount_too_small",
        )
    return int(total)

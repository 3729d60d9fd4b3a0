"""The line items of a Checkout Session: which prices, in which currency, how many of each."""

from __future__ import annotations

from typing import Any

from sandbox.api import prices
from sandbox.api.form import Params
from sandbox.engine import amounts
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db
from sandbox.objects import session as shapes

Json = dict[str, Any]

MOST, MOST_RECURRING, MOST_ONE_TIME = 100, 20, 20  # facts 1.3
MOST_ADJUSTED = 999_999


def line_items(params: Params, mode: str) -> list[Json]:
    """The items, all in one currency: the one that `currency` names, else that of the prices."""
    rows = params.rows("line_items")
    if mode == "setup":
        if rows:
            raise request_error("You can not pass `line_items` in `setup` mode.", param="line_items")
        return []
    if not rows:
        raise required("line_items")
    asked = params.text("currency")
    items = [_line_item(row, asked.lower() if asked else None) for row in rows]
    if len({item["currency"] for item in items}) > 1:
        raise request_error("All prices of a Checkout Session must use one currency.", param="line_items")
    _check_mode(items, mode)
    return items


def _check_mode(items: list[Json], mode: str) -> None:
    recurring = [item["price"]["recurring"] for item in items if item["price"]["recurring"]]
    one_time = len(items) - len(recurring)
    if mode == "payment" and recurring:
        raise request_error(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode"
            " or use only one-time prices.",
            param="line_items",
        )
    if mode == "subscription" and not recurring:
        raise request_error(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
            param="line_items",
        )
    if any(each != recurring[0] for each in recurring):
        raise not_built("subscriptions with different intervals", "line_items")
    too_many = len(items) > MOST if mode == "payment" else len(recurring) > MOST_RECURRING
    if too_many or (mode == "subscription" and one_time > MOST_ONE_TIME):
        raise request_error("There are too many line items.", param="line_items")


def _line_item(row: Params, currency: str | None) -> Json:
    if row.has("tax_rates"):
        raise not_built("tax rates", row.name("tax_rates"))
    adjustable = _adjustable(row.child("adjustable_quantity"))
    quantity = row.integer("quantity", least=0 if adjustable else 1)
    if quantity is None:
        raise required(row.name("quantity"))
    if adjustable and not adjustable["minimum"] <= quantity <= adjustable["maximum"]:
        raise request_error(
            "The quantity must be between the minimum and the maximum of `adjustable_quantity`.",
            param=row.name("quantity"),
        )
    price = _price(row)
    if not price["active"] and not row.has("price_data"):
        message = "The price specified is inactive. This field only accepts active prices."
        raise request_error(message, "price_inactive", row.name("price"))
    currency = currency or price["currency"]
    unit = amounts.unit_amount(price, currency)
    if unit is None:
        message = f"The price `{price['id']}` has no amount in {currency}."
        raise request_error(message, param=row.name("price"))
    product = db().find("product", price["product"]) or {"name": "Product"}
    item = shapes.line_item(price, product["name"], quantity, currency, unit)
    return item | {"_unit_amount": unit, "metadata": row.metadata(), "adjustable_quantity": adjustable}


def _adjustable(params: Params) -> Json | None:
    """Whether the person may choose how many: within a minimum (0) and a maximum (99)."""
    if not params.tree:
        return None
    if not params.flag("enabled"):
        return None
    least, most = params.integer("minimum", least=0) or 0, params.integer("maximum", least=1) or 99
    if most > MOST_ADJUSTED or least > most:
        raise request_error(
            f"`maximum` may be up to {MOST_ADJUSTED} and not below `minimum`.", param=params.name("maximum")
        )
    return {"enabled": True, "maximum": most, "minimum": least}


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

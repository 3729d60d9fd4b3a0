"""What an invoice item or a line of an invoice costs, read from the parameters that both have."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from sandbox import money
from sandbox.api import prices
from sandbox.api.form import Params
from sandbox.engine import amounts
from sandbox.engine.totals import rounded
from sandbox.errors import missing, request_error, required
from sandbox.house import db

Json = dict[str, Any]

PRICE_DATA = (
    "price_data.currency price_data.product price_data.tax_behavior price_data.unit_amount"
    " price_data.unit_amount_decimal"
)
COMMON = (
    "amount description discountable metadata metadata.* period.end period.start pricing.price quantity"
    f" {PRICE_DATA}"
)
WAYS = ("amount", "pricing", "price_data", "unit_amount_decimal")


def cost(params: Params, currency: str, quantity: int | None) -> Json:
    """amount, quantity, price and unit_amount_decimal of what is asked for in one of Stripe's four ways.

    `quantity` is what holds where the request names none.
    """
    ways = [name for name in WAYS if params.has(name)]
    if len(ways) != 1:
        code = "parameters_exclusive" if ways else "parameter_missing"
        raise request_error(
            f"You must specify exactly one of: {', '.join(WAYS)}.", code, params.name("amount")
        )
    given = params.integer("quantity", least=0)
    count = given if given is not None else quantity if quantity is not None else 1
    if ways[0] == "amount":
        return _of_amount(params, currency, given)
    if ways[0] == "unit_amount_decimal":
        return _of_unit(params, currency, count)
    price = _price(params, currency)
    unit = amounts.unit_amount(price, currency)
    if unit is None:
        raise request_error(f"The price has no amount in {currency}.", param=params.name("pricing"))
    return {"amount": unit * count, "quantity": count, "price": price, "unit_amount_decimal": str(unit)}


def _of_amount(params: Params, currency: str, quantity: int | None) -> Json:
    amount = params.integer("amount")
    if amount is None:
        raise required(params.name("amount"))
    if quantity not in (None, 1):
        raise request_error(
            "You may only specify one of these parameters: amount, quantity.",
            "parameters_exclusive",
            params.name("quantity"),
        )
    return {
        "amount": _allowed(amount, currency, params, "amount"),
        "quantity": 1,
        "unit_amount_decimal": str(amount),
    }


def _of_unit(params: Params, currency: str, count: int) -> Json:
    unit = params.need("unit_amount_decimal")
    if not re.fullmatch(r"-?\d{1,15}(\.\d{1,12})?", unit):
        raise request_error(f"Invalid decimal: {unit}", param=params.name("unit_amount_decimal"))
    amount = rounded(Fraction(unit) * count)
    _allowed(amount, currency, params, "unit_amount_decimal")
    return {"amount": amount, "quantity": count, "unit_amount_decimal": unit}


def _allowed(amount: int, currency: str, params: Params, name: str) -> int:
    wrong = money.problem(abs(amount), currency)
    if wrong:
        code = "amount_too_large" if "large" in wrong else "parameter_invalid_integer"
        raise request_error(f"Invalid amount: {amount} {currency} {wrong}.", code, params.name(name))
    return amount


def _price(params: Params, currency: str) -> Json:
    """The one-time price that is named, or one made for this item alone from price_data."""
    if params.has("price_data"):
        data = params.child("price_data")
        data.need("product")
        if prices.currency_of(data) != currency:
            raise request_error(
                f"The currency of price_data must be {currency}.", param=data.name("currency")
            )
        made = prices.build(data, prices.product_of(data), prices.amount(data), {})
        return db().put(made | {"active": False})
    pricing = params.child("pricing")
    id_ = pricing.need("price")
    price = db().find("price", id_)
    if price is None:
        raise missing("price", id_, pricing.name("price"), 400)
    if price["recurring"] is not None:
        raise request_error(
            "The price specified is set to `type=recurring` but this field only accepts prices with"
            " `type=one_time`.",
            param=pricing.name("price"),
        )
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise request_error(message, "price_inactive", pricing.name("price"))
    return price


def period(params: Params) -> Json | None:
    """`period` {start, end} in UTC seconds, or None where it is not given."""
    if not params.has("period"):
        return None
    given = params.child("period")
    start, end = given.integer("start", least=0), given.integer("end", least=0)
    if start is None or end is None:
        raise required(given.name("start" if start is None else "end"))
    if end < start:
        raise request_error("The end of the period must not be before its start.", param=given.name("end"))
    return {"end": end, "start": start}


def rest(params: Params, metadata: Json | None = None) -> Json:
    """description, discountable, metadata and period, as far as they were sent."""
    given = params.words("description")
    if params.has("discountable"):
        given["discountable"] = params.flag("discountable")
    if params.has("metadata"):
        given["metadata"] = params.metadata(metadata)
    when = period(params)
    return given | ({"period": when} if when else {})

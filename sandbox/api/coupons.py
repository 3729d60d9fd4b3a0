"""/v1/coupons."""

from __future__ import annotations

import re
from typing import Any

from sandbox import clock, money
from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, request_error, required
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import discount as shapes

Json = dict[str, Any]

COMMON = "currency_options.* metadata metadata.* name"
NEW = "amount_off applies_to.products.# currency duration duration_in_months id max_redemptions percent_off redeem_by"


def create(call: Call) -> Json:
    params = call.params
    id_ = params.text("id")
    known = db().find("coupon", id_)
    if known is not None and not known.get("_deleted"):
        raise request_error(f"Coupon already exists: {id_}", "resource_already_exists", "id")
    given = {
        "id": id_,
        **_off(params),
        **_duration(params),
        "currency_options": _options(params),
        "max_redemptions": params.integer("max_redemptions", least=1),
        "metadata": params.metadata(),
        "name": _name(params),
        "products": _products(params),
        "redeem_by": _redeem_by(params),
    }
    coupon = db().put(shapes.coupon(clock.wall(), given))
    emit("coupon.created", coupon)
    return coupon


def _off(params: Params) -> Json:
    percent, amount = params.text("percent_off"), params.integer("amount_off", least=1)
    if (percent is None) == (amount is None):
        raise request_error(
            "You must pass exactly one of percent_off and amount_off.", "parameters_exclusive", "percent_off"
        )
    if percent is not None:
        if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", percent) or not 0 < float(percent) <= 100:
            raise request_error(
                "Invalid percent_off: must be more than 0 and up to 100.", param="percent_off"
            )
        return {"percent_off": float(percent)}
    currency = params.need("currency").lower()
    return {"amount_off": amount_off(params, currency), "currency": currency}


def amount_off(params: Params, currency: str, name: str = "amount_off") -> int:
    """An amount that its currency allows."""
    if currency not in money.KNOWN:
        raise request_error(f"Invalid currency: {currency}.", "parameter_invalid_string", params.name(name))
    value = params.integer(name, least=1)
    if value is None:
        raise required(params.name(name))
    wrong = money.problem(value, currency)
    if wrong:
        raise request_error(
            f"Invalid amount: {value} {currency} {wrong}.", "parameter_invalid_integer", params.name(name)
        )
    return value


def _duration(params: Params) -> Json:
    duration = params.choice("duration", "forever", "once", "repeating") or "once"
    months = params.integer("duration_in_months", least=1)
    if duration == "repeating" and months is None:
        raise required("duration_in_months")
    if duration != "repeating" and months is not None:
        raise request_error(
            "You may only give duration_in_months where duration is repeating.", param="duration_in_months"
        )
    return {"duration": duration, "duration_in_months": months}


def _options(params: Params) -> Json:
    options = params.child("currency_options")
    return {
        currency: {"amount_off": amount_off(options.child(currency), currency)} for currency in options.tree
    }


def _name(params: Params) -> str | None:
    name = params.text("name")
    if name is not None and len(name) > 40:
        raise request_error("A coupon's name may have up to 40 characters.", param="name")
    return name


def _products(params: Params) -> list[str] | None:
    chosen = params.child("applies_to").texts("products")
    for id_ in chosen:
        if db().find("product", id_) is None:
            raise missing("product", id_, "applies_to[products]", 400)
    return chosen or None


def _redeem_by(params: Params) -> int | None:
    moment = params.integer("redeem_by")
    if moment is not None and moment <= clock.wall():
        raise request_error("redeem_by must be in the future.", param="redeem_by")
    return moment


def retrieve(call: Call) -> Json:
    return call.subject("coupon")


def update(call: Call) -> Json:
    """Its name, metadata and more currencies: what it takes off can't be changed."""
    coupon, params = retrieve(call), call.params
    changed: Json = {}
    if params.has("name"):
        changed["name"] = _name(params)
    if params.has("metadata"):
        changed["metadata"] = params.metadata(coupon["metadata"])
    if params.has("currency_options"):
        if coupon["amount_off"] is None:
            raise request_error(
                "Only coupons with amount_off have currency_options.", param="currency_options"
            )
        changed["_currency_options"] = coupon["_currency_options"] | _options(params)
    return change(coupon, "coupon.updated", **changed)


def delete(call: Call) -> Json:
    """Nobody can redeem it any more; discounts made of it go on."""
    coupon = retrieve(call)
    coupon["valid"] = False
    db().put(coupon | {"_deleted": True})
    emit("coupon.deleted", coupon)
    for code in db().all("promotion_code", promotion__coupon=coupon["id"]):
        change(code, "promotion_code.updated", active=False)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def list_(call: Call) -> Json:
    return listing.page(call, "coupon", "/v1/coupons")


OPERATIONS = (
    Operation("POST", "/v1/coupons", create, f"{COMMON} {NEW}"),
    Operation("GET", "/v1/coupons", list_, f"{LISTED} {CREATED}"),
    Operation("GET", "/v1/coupons/<id>", retrieve),
    Operation("POST", "/v1/coupons/<id>", update, COMMON),
    Operation("DELETE", "/v1/coupons/<id>", delete),
)

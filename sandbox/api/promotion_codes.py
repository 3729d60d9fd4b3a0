"""/v1/promotion_codes."""

from __future__ import annotations

import re
from typing import Any

from sandbox import clock
from sandbox.api import listing
from sandbox.api.coupons import amount_off
from sandbox.api.customers import living
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import discounts
from sandbox.errors import request_error, required
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import discount as shapes

Json = dict[str, Any]

COMMON = "active metadata.* restrictions.currency_options.*"
NEW = (
    "code customer expires_at max_redemptions promotion.coupon promotion.type"
    " restrictions.first_time_transaction restrictions.minimum_amount restrictions.minimum_amount_currency"
)


def create(call: Call) -> Json:
    params = call.params
    coupon = _coupon(params.child("promotion"))
    customer = params.text("customer")
    if customer is not None:
        living(customer)
    active = params.flag("active") is not False
    given = {
        "active": active,
        "code": _code(params, customer) if active else params.text("code"),
        "customer": customer,
        "expires_at": _expires_at(params, coupon),
        "max_redemptions": _max_redemptions(params, coupon),
        "metadata": params.metadata(),
        "restrictions": _restrictions(params.child("restrictions")),
    }
    code = db().put(shapes.promotion_code(clock.wall(), coupon["id"], given))
    emit("promotion_code.created", code)
    return code


def _coupon(promotion: Params) -> Json:
    if promotion.choice("type", "coupon") is None:
        raise required(promotion.name("type"))
    id_ = promotion.need("coupon")
    coupon = discounts.offer(id_, None, "promotion").coupon
    if not coupon["valid"]:
        raise request_error(f"Coupon expired: {id_}", "coupon_expired", promotion.name("coupon"))
    return coupon


def _code(params: Params, customer: str | None) -> str | None:
    code = params.text("code", limit=500)
    if code is None:
        return None
    if not re.fullmatch(r"[A-Za-z0-9-]+", code):
        raise request_error("A code consists of letters, digits and dashes.", param="code")
    _must_be_free(code, customer, "code")
    return code


def _must_be_free(code: str, customer: str | None, param: str) -> None:
    for other in db().all("promotion_code", active=True):
        if other["code"].lower() == code.lower() and other["customer"] == customer:
            raise request_error(
                f"An active promotion code with `code: {code}` already exists.",
                "resource_already_exists",
                param,
            )


def _expires_at(params: Params, coupon: Json) -> int | None:
    moment = params.integer("expires_at")
    if moment is None:
        return None
    if moment <= clock.wall():
        raise request_error("expires_at must be in the future.", param="expires_at")
    if coupon["redeem_by"] is not None and moment > coupon["redeem_by"]:
        raise request_error("expires_at can't be later than the coupon's redeem_by.", param="expires_at")
    return moment


def _max_redemptions(params: Params, coupon: Json) -> int | None:
    most = params.integer("max_redemptions", least=1)
    if most is not None and coupon["max_redemptions"] is not None and most > coupon["max_redemptions"]:
        raise request_error(
            "max_redemptions can't be more than the coupon's max_redemptions.", param="max_redemptions"
        )
    return most


def _restrictions(params: Params) -> Json:
    currency = params.text("minimum_amount_currency")
    least = params.integer("minimum_amount", least=1)
    if (least is None) != (currency is None):
        raise required(params.name("minimum_amount" if least is None else "minimum_amount_currency"))
    return {
        "first_time_transaction": params.flag("first_time_transaction") or False,
        "minimum_amount": least,
        "minimum_amount_currency": currency.lower() if currency else None,
        "minimums": _minimums(params),
    }


def _minimums(params: Params) -> Json:
    options = params.child("currency_options")
    return {
        currency: {"minimum_amount": amount_off(options.child(currency), currency, "minimum_amount")}
        for currency in options.tree
    }


def retrieve(call: Call) -> Json:
    return call.subject("promotion_code", "promotion code")


def update(call: Call) -> Json:
    code, params = retrieve(call), call.params
    changed: Json = {}
    if params.has("metadata"):
        changed["metadata"] = params.metadata(code["metadata"])
    if params.has("restrictions"):
        changed["_minimums"] = code["_minimums"] | _minimums(params.child("restrictions"))
    if params.has("active"):
        changed["active"] = params.flag("active")
        if changed["active"] and not code["active"]:
            _check_revival(code)
    return change(code, "promotion_code.updated", **changed)


def _check_revival(code: Json) -> None:
    """It can be made active again only while it could be redeemed."""
    coupon = db().get("coupon", code["promotion"]["coupon"])
    over = code["expires_at"] is not None and code["expires_at"] <= clock.wall()
    used = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
    if over or used or not coupon["valid"]:
        raise request_error("This promotion code can no longer be made active.", param="active")
    _must_be_free(code["code"], code["customer"], "active")


def list_(call: Call) -> Json:
    params = call.params
    where = {
        "active": params.flag("active"),
        "customer": params.text("customer"),
        "promotion.coupon": params.text("coupon"),
    }
    extra: tuple[str, list[Any]] = ("", [])
    if params.text("code"):
        extra = ("lower(json_extract(body, '$.code'))=lower(?)", [params.text("code")])
    return listing.page(call, "promotion_code", "/v1/promotion_codes", where, extra)


OPERATIONS = (
    Operation("POST", "/v1/promotion_codes", create, f"{COMMON} {NEW}"),
    Operation("GET", "/v1/promotion_codes", list_, f"{LISTED} {CREATED} active code coupon customer"),
    Operation("GET", "/v1/promotion_codes/<id>", retrieve),
    Operation("POST", "/v1/promotion_codes/<id>", update, f"{COMMON} metadata"),
)

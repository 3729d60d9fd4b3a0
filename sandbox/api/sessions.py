"""/v1/checkout/sessions."""

from __future__ import annotations

from typing import Any

from sandbox import clock, money
from sandbox.api import customers, listing, session_lines, session_params
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import checkout, discounts
from sandbox.errors import not_built, request_error, required
from sandbox.events import change
from sandbox.house import db, house
from sandbox.objects import session as shapes

Json = dict[str, Any]

# `update` takes these for Checkout outside its hosted page alone.
ELSEWHERE = (
    "collected_information.shipping_details.name collected_information.shipping_details.address.line1"
    " line_items.#.id line_items.#.price line_items.#.quantity shipping_options.#.shipping_rate"
    " payment_intent_data.description payment_intent_data.metadata.*"
)


def create(call: Call) -> Json:
    params = call.params
    mode = params.choice("mode", "payment", "subscription", "setup")
    if mode is None:
        raise required("mode")
    session_params.refuse(params)
    customer = customers.living(params.need("customer")) if params.text("customer") else None
    now = clock.now(customer["id"] if customer else None)
    given = session_params.given(params, mode, now)
    items = session_lines.line_items(params, mode)
    given["currency"] = items[0]["currency"] if items else _setup_currency(params)
    given["payment_method_types"] = _types(given)
    session = shapes.session(now, given, items, customer)
    _discount(session, params, customer)
    checkout.reckon(session)
    _check_total(session)
    return db().put(session)


def _setup_currency(params: Params) -> str | None:
    currency = params.text("currency")
    if currency is None and not params.has("allowed_payment_method_types"):
        raise required("currency")
    if currency is not None and currency.lower() not in money.KNOWN:
        raise request_error(f"Invalid currency: {currency}.", "parameter_invalid_string", "currency")
    return currency.lower() if currency else None


def _types(given: Json) -> list[str]:
    """What the session allows by name, else what the account offers, as far as its currency permits."""
    asked = given["allowed_payment_method_types"] or house().settings()["payment_methods"]
    excluded = given["excluded_payment_method_types"] or []
    types = [
        each for each in checkout.payable_by(given["currency"]) if each in asked and each not in excluded
    ]
    if not types:
        raise not_built(
            f"Checkout with {', '.join(asked)} in {given['currency']}", "allowed_payment_method_types"
        )
    return types


def _discount(session: Json, params: Params, customer: Json | None) -> None:
    rows = params.rows("discounts")
    if len(rows) > 1:
        raise request_error("You can only apply one discount.", param="discounts")
    if not rows:
        return
    if session["mode"] == "setup":
        raise request_error("You can not pass `discounts` in `setup` mode.", param="discounts")
    coupon, code = rows[0].text("coupon"), rows[0].text("promotion_code")
    if (coupon is None) == (code is None):
        raise request_error("Give either `coupon` or `promotion_code`.", param="discounts[0]")
    offered = discounts.offer(coupon, code, "discounts[0]")
    checkout.reckon(session)
    purchase = discounts.Purchase(customer, session["currency"], session["amount_subtotal"])
    discounts.check(offered, purchase, "discounts[0]")
    session["discounts"] = [{"coupon": coupon, "promotion_code": code}]


def _check_total(session: Json) -> None:
    if session["mode"] == "setup":
        return
    total, currency = session["amount_total"], session["currency"]
    least = money.minimum(currency)
    if 0 < total < least:
        raise request_error(
            "The Checkout Session's total amount due must add up to at least"
            f" {money.words(least, currency)} {currency}",
            "amount_too_small",
        )


def retrieve(call: Call) -> Json:
    return call.subject("checkout.session", "checkout.session")


def update(call: Call) -> Json:
    session = retrieve(call)
    for name in dict.fromkeys(each.partition(".")[0] for each in ELSEWHERE.split()):
        if call.params.has(name):
            raise request_error(f"`{name}` can't be updated when `ui_mode` is `hosted_page`.", param=name)
    return change(session, None, metadata=call.params.metadata(session["metadata"]))


def expire(call: Call) -> Json:
    session = retrieve(call)
    if session["status"] != "open":
        raise request_error(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a'
            f" status of `{session['status']}`."
        )
    return checkout.expire(session)


def list_(call: Call) -> Json:
    params = call.params
    where = {
        "customer": params.text("customer"),
        "status": params.choice("status", "open", "complete", "expired"),
        "subscription": params.text("subscription"),
        "payment_intent": params.text("payment_intent"),
        "customer_details.email": params.child("customer_details").text("email"),
    }
    return listing.page(call, "checkout.session", "/v1/checkout/sessions", where)


def line_items(call: Call) -> Json:
    session = retrieve(call)
    return listing.of(call, session["_line_items"], f"/v1/checkout/sessions/{session['id']}/line_items")


OPERATIONS = (
    Operation("POST", "/v1/checkout/sessions", create, session_params.ACCEPTED),
    Operation(
        "GET", "/v1/checkout/sessions", list_,
        f"{LISTED} {CREATED} customer status subscription payment_intent customer_details.email",
    ),
    Operation("GET", "/v1/checkout/sessions/<id>", retrieve),
    Operation("POST", "/v1/checkout/sessions/<id>", update, f"metadata.* {ELSEWHERE}"),
    Operation("POST", "/v1/checkout/sessions/<id>/expire", expire),
    Operation("GET", "/v1/checkout/sessions/<id>/line_items", line_items, LISTED),
)  # fmt: skip

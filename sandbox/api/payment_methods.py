"""/v1/payment_methods."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import customers, listing
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import methods
from sandbox.errors import not_built, request_error, required, unreadable_card
from sandbox.events import change

Json = dict[str, Any]

BILLING = "billing_details.email billing_details.name billing_details.phone billing_details.address.*"
CARD = "card.number card.exp_month card.exp_year card.cvc card.token"
PARTS = {"invalid_expiry_month": "exp_month", "invalid_expiry_year": "exp_year"}


def create(call: Call) -> Json:
    params = call.params
    if params.need("type") != "card":
        raise not_built("payment methods other than cards", "type")
    card = params.child("card")
    billing = _billing(params) | {"metadata": params.metadata()}
    token = card.text("token")
    if token:
        found = methods.find(token, "card[token]")
        return change(found, None, metadata=billing["metadata"])
    number = card.text("number")
    if number is None:
        raise required("card[number]")
    month, year = card.integer("exp_month") or 0, card.integer("exp_year") or 0
    wrong = methods.problem(number, month, year, card.text("cvc") or "123")
    if wrong is not None:
        raise unreadable_card(wrong.message, wrong.code, PARTS.get(wrong.code, wrong.field))
    return methods.create(number, billing, clock.wall(), (month, year))


def _billing(params: Params) -> Json:
    details = params.child("billing_details")
    return {name: details.text(name) for name in ("email", "name", "phone")}


def retrieve(call: Call) -> Json:
    return call.subject("payment_method", "PaymentMethod")


def list_(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "type": params.text("type")}
    return listing.page(call, "payment_method", "/v1/payment_methods", where)


def attach(call: Call) -> Json:
    customer = customers.living(call.params.need("customer"))
    return methods.attach(methods.find(call.id, "payment_method"), customer)


def detach(call: Call) -> Json:
    method = retrieve(call)
    if method["customer"] is None:
        raise request_error(
            "The payment method you provided is not attached to a customer.", param="payment_method"
        )
    return methods.detach(method)


OPERATIONS = (
    Operation("POST", "/v1/payment_methods", create, f"type metadata.* {BILLING} {CARD}"),
    Operation("GET", "/v1/payment_methods", list_, f"{LISTED} customer type"),
    Operation("GET", "/v1/payment_methods/<id>", retrieve),
    Operation("POST", "/v1/payment_methods/<id>/attach", attach, "customer"),
    Operation("POST", "/v1/payment_methods/<id>/detach", detach),
)

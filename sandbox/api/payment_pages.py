"""/v1/payment_pages: what Checkout's own page asks of Stripe. Not public, but Stripe's CLI completes sessions by it."""

from __future__ import annotations

from typing import Any

from sandbox.api.operation import Call, Operation
from sandbox.engine import checkout, methods
from sandbox.errors import ApiError, doc_url, request_error

Json = dict[str, Any]


def retrieve(call: Call) -> Json:
    return call.subject("checkout.session", "payment page")


def confirm(call: Call) -> Json:
    """Pay with a stored payment method; 402 when it is declined, 400 when the amount is another by now."""
    session, params = retrieve(call), call.params
    if session["status"] != "open":
        raise request_error("This Checkout Session is no longer open.", param="session")
    expected = params.integer("expected_amount")
    if expected is not None and expected != session["amount_total"]:
        raise request_error("The amount of this Checkout Session has changed.", param="expected_amount")
    method = methods.find(params.need("payment_method"))
    if method["type"] not in session["payment_method_types"]:
        raise request_error(f"This Checkout Session does not take {method['type']}.", param="payment_method")
    outcome = checkout.confirm(session, method)
    if outcome.kind == "declined":
        code = "card_declined"
        error = {"code": code, "doc_url": doc_url(code), "message": outcome.message, "type": "card_error"}
        raise ApiError(402, error, executed=True)
    return retrieve(call)


OPERATIONS = (
    Operation("GET", "/v1/payment_pages/<id>", retrieve),
    Operation("POST", "/v1/payment_pages/<id>/confirm", confirm, "payment_method expected_amount"),
)

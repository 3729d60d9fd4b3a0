"""/v1/checkout/sessions."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import customers, listing, session_lines, session_params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import checkout
from sandbox.errors import not_built, request_error, required
from sandbox.events import change
from sandbox.house import db
from sandbox.objects import session as shapes

Json = dict[str, Any]


def create(call: Call) -> Json:
    params = call.params
    session_params.refuse(params)
    mode = params.choice("mode", "payment", "subscription", "setup")
    if mode is None:
        raise required("mode")
    if mode == "setup":
        raise not_built("Checkout in setup mode", "mode")
    customer = customers.living(params.need("customer")) if params.text("customer") else None
    if customer and params.text("customer_email"):
        message = "You may only specify one of these parameters: customer, customer_email."
        raise request_error(message, "parameters_exclusive", "customer")
    items = session_lines.line_items(params, mode)
    now = clock.now(customer["id"] if customer else None)
    given = session_params.given(params, mode, now) | {"currency": items[0]["currency"]}
    total = session_lines.total_due(items, given)
    session = shapes.session(now, given, items, total, customer)
    return db().put(session)


def retrieve(call: Call) -> Json:
    return call.subject("checkout.session", "checkout.session")


def update(call: Call) -> Json:
    session = retrieve(call)
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
    Operation("POST", "/v1/checkout/sessions/<id>", update, "metadata.*"),
    Operation("POST", "/v1/checkout/sessions/<id>/expire", expire),
    Operation("GET", "/v1/checkout/sessions/<id>/line_items", line_items, LISTED),
)  # fmt: skip

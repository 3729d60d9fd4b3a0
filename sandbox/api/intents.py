"""/v1/payment_intents and /v1/setup_intents, to be read."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import CREATED, LISTED, Call, Operation

Json = dict[str, Any]


def payment(call: Call) -> Json:
    return call.subject("payment_intent")


def payments(call: Call) -> Json:
    where = {"customer": call.params.text("customer")}
    return listing.page(call, "payment_intent", "/v1/payment_intents", where)


def setup(call: Call) -> Json:
    return call.subject("setup_intent")


def setups(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "payment_method": params.text("payment_method")}
    return listing.page(call, "setup_intent", "/v1/setup_intents", where)


OPERATIONS = (
    Operation("GET", "/v1/payment_intents", payments, f"{LISTED} {CREATED} customer"),
    Operation("GET", "/v1/payment_intents/<id>", payment, "client_secret"),
    Operation("GET", "/v1/setup_intents", setups, f"{LISTED} {CREATED} customer payment_method"),
    Operation("GET", "/v1/setup_intents/<id>", setup, "client_secret"),
)

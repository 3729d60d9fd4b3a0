"""/v1/setup_intents."""

from __future__ import annotations

from typing import Any

from sandbox.api import customers, intent_params, listing, method_types
from sandbox.api.intent_params import (
    CONFIRMING,
    DATA,
    METHOD,
    REQUEST_3DS,
    check_secret,
    confirmation,
    request_3ds,
)
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import direct, direct_setups, setups
from sandbox.engine.direct import CONFIRMABLE
from sandbox.events import change

Json = dict[str, Any]

REASONS = ("abandoned", "duplicate", "requested_by_customer")


def create(call: Call) -> Json:
    """With `confirm`, saved at once or 402; the intent stays either way."""
    params = call.params
    customer = params.text("customer")
    given = method_types.read(params, None) | {
        "automatic_payment_methods": method_types.automatic(params),
        "description": params.text("description"),
        "metadata": params.metadata(),
        "usage": params.choice("usage", "off_session", "on_session"),
    }
    owner = customers.living(customer)["id"] if customer else None
    method = intent_params.method(params)
    intent = setups.open_setup(owner, given)
    request_3ds(intent, params)
    if method is not None:
        direct_setups.choose(intent, method)
    if params.flag("confirm"):
        return direct_setups.confirm(intent, confirmation(params, None))
    return intent


def retrieve(call: Call) -> Json:
    return check_secret(call.subject("setup_intent"), call.params)


def update(call: Call) -> Json:
    intent, params = retrieve(call), call.params
    method_types.refuse_removed(params)
    changed = params.words("description")
    if params.has("customer"):
        changed["customer"] = customers.living(params.need("customer"))["id"]
    if params.has("metadata"):
        changed["metadata"] = params.metadata(intent["metadata"])
    if params.has("allowed_payment_method_types") or params.has("excluded_payment_method_types"):
        changed |= method_types.read(params, None)
    method = intent_params.method(params)
    if (method is not None or params.has("customer")) and intent["status"] not in CONFIRMABLE:
        raise direct.unexpected(
            intent, f"This SetupIntent could not be updated because it has a status of {intent['status']}."
        )
    change(intent, None, **changed)
    request_3ds(intent, params)
    if method is not None:
        direct_setups.choose(intent, method)
    return intent


def confirm(call: Call) -> Json:
    intent, params = retrieve(call), call.params
    method_types.refuse_removed(params)
    request_3ds(intent, params)
    return direct_setups.confirm(intent, confirmation(params, intent_params.method(params)))


def cancel(call: Call) -> Json:
    return direct_setups.cancel(retrieve(call), call.params.choice("cancellation_reason", *REASONS))


def list_(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "payment_method": params.text("payment_method")}
    return listing.page(call, "setup_intent", "/v1/setup_intents", where)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/setup_intents",
        create,
        f"{METHOD} {CONFIRMING} {method_types.AUTOMATIC} confirm customer description metadata.* usage",
    ),
    Operation("GET", "/v1/setup_intents", list_, f"{LISTED} {CREATED} customer payment_method"),
    Operation("GET", "/v1/setup_intents/<id>", retrieve, "client_secret"),
    Operation("POST", "/v1/setup_intents/<id>", update, f"{METHOD} customer description metadata.*"),
    Operation(
        "POST",
        "/v1/setup_intents/<id>/confirm",
        confirm,
        f"payment_method {DATA} {REQUEST_3DS} {CONFIRMING} allowed_payment_method_types.#",
    ),
    Operation("POST", "/v1/setup_intents/<id>/cancel", cancel, "cancellation_reason"),
)

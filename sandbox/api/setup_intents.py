"""/v1/setup_intents."""

from __future__ import annotations

from typing import Any

from sandbox.api import customers, listing, method_types, payment_methods
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.api.payment_intents import DATA, MANDATE, REQUEST_3DS, acceptance
from sandbox.engine import direct_setups, methods, setups
from sandbox.engine.direct import CONFIRMABLE, Confirmation
from sandbox.events import change
from sandbox.house import db

Json = dict[str, Any]

COMMON = f"payment_method {DATA} {REQUEST_3DS} {method_types.ACCEPTED}"
CONFIRMING = f"return_url use_stripe_sdk {MANDATE}"
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
    method = _method(params)
    intent = setups.open_setup(owner, given)
    _request_3ds(intent, params)
    if method is not None:
        direct_setups.choose(intent, method)
    if params.flag("confirm"):
        return direct_setups.confirm(intent, _confirmation(params, None))
    return intent


def _method(params: Params) -> Json | None:
    id_ = params.text("payment_method")
    if id_:
        return methods.find(id_)
    data = params.child("payment_method_data")
    return payment_methods.make(data) if data.tree else None


def _request_3ds(intent: Json, params: Params) -> None:
    card = params.child("payment_method_options").child("card")
    wanted = card.choice("request_three_d_secure", "any", "automatic", "challenge")
    if wanted and "card" in intent["payment_method_options"]:
        intent["payment_method_options"]["card"]["request_three_d_secure"] = wanted
        db().put(intent)


def _confirmation(params: Params, method: Json | None) -> Confirmation:
    return Confirmation(
        method,
        return_url=params.text("return_url"),
        acceptance=acceptance(params),
        sdk=params.flag("use_stripe_sdk") or False,
    )


def retrieve(call: Call) -> Json:
    return call.subject("setup_intent")


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
    method = _method(params)
    if (method is not None or params.has("customer")) and intent["status"] not in CONFIRMABLE:
        raise direct_setups.unexpected(
            intent, f"This SetupIntent could not be updated because it has a status of {intent['status']}."
        )
    change(intent, None, **changed)
    _request_3ds(intent, params)
    if method is not None:
        direct_setups.choose(intent, method)
    return intent


def confirm(call: Call) -> Json:
    intent, params = retrieve(call), call.params
    method_types.refuse_removed(params)
    _request_3ds(intent, params)
    return direct_setups.confirm(intent, _confirmation(params, _method(params)))


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
        f"{COMMON} {CONFIRMING} {method_types.AUTOMATIC} confirm customer description metadata.* usage",
    ),
    Operation("GET", "/v1/setup_intents", list_, f"{LISTED} {CREATED} customer payment_method"),
    Operation("GET", "/v1/setup_intents/<id>", retrieve, "client_secret"),
    Operation("POST", "/v1/setup_intents/<id>", update, f"{COMMON} customer description metadata.*"),
    Operation(
        "POST",
        "/v1/setup_intents/<id>/confirm",
        confirm,
        f"payment_method {DATA} {REQUEST_3DS} {CONFIRMING} allowed_payment_method_types.#",
    ),
    Operation("POST", "/v1/setup_intents/<id>/cancel", cancel, "cancellation_reason"),
)

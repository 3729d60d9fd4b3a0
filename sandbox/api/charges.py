"""/v1/charges, /v1/radar/early_fraud_warnings, /v1/balance_transactions."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.intent_params import SHIPPING, shipping
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import captures
from sandbox.errors import request_error
from sandbox.events import change

Json = dict[str, Any]


def retrieve(call: Call) -> Json:
    return call.subject("charge")


def list_(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "charge", "/v1/charges", where)


def update(call: Call) -> Json:
    charge, params = retrieve(call), call.params
    changed = params.words("description", "receipt_email")
    if params.has("metadata"):
        changed["metadata"] = params.metadata(charge["metadata"])
    report = params.child("fraud_details").choice("user_report", "fraudulent", "safe")
    if report is not None:
        changed["fraud_details"] = {"user_report": report}
    if params.has("shipping"):
        changed["shipping"] = shipping(params)
    return change(charge, "charge.updated", **changed)


def capture(call: Call) -> Json:
    """Take an authorisation in full, or `amount` minor units of it."""
    charge = retrieve(call)
    if charge["captured"]:
        raise request_error(f"Charge {charge['id']} has already been captured.", "charge_already_captured")
    if charge["status"] != "succeeded" or charge["refunded"]:
        raise request_error(f"Charge {charge['id']} can no longer be captured.", "charge_expired_for_capture")
    amount = call.params.integer("amount", least=1) or charge["amount"]
    if amount > charge["amount"]:
        raise request_error("You cannot capture more than was authorized.", "amount_too_large", "amount")
    return captures.capture(charge, amount)


def warning(call: Call) -> Json:
    return call.subject("radar.early_fraud_warning")


def warnings(call: Call) -> Json:
    params = call.params
    where = {"charge": params.text("charge"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "radar.early_fraud_warning", "/v1/radar/early_fraud_warnings", where)


def transaction(call: Call) -> Json:
    return call.subject("balance_transaction")


def transactions(call: Call) -> Json:
    where = {name: call.params.text(name) for name in ("source", "type", "currency")}
    return listing.page(call, "balance_transaction", "/v1/balance_transactions", where)


ABOUT = f"{LISTED} {CREATED} charge payment_intent"

OPERATIONS = (
    Operation("GET", "/v1/charges", list_, f"{LISTED} {CREATED} customer payment_intent"),
    Operation("GET", "/v1/charges/<id>", retrieve),
    Operation(
        "POST",
        "/v1/charges/<id>",
        update,
        f"description receipt_email metadata.* fraud_details.user_report {SHIPPING}",
    ),
    Operation("POST", "/v1/charges/<id>/capture", capture, "amount"),
    Operation("GET", "/v1/radar/early_fraud_warnings", warnings, ABOUT),
    Operation("GET", "/v1/radar/early_fraud_warnings/<id>", warning),
    Operation("GET", "/v1/balance_transactions", transactions, f"{LISTED} {CREATED} source type currency"),
    Operation("GET", "/v1/balance_transactions/<id>", transaction),
)

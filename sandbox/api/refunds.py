"""/v1/refunds."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import refunds
from sandbox.errors import missing, request_error, required
from sandbox.house import db

Json = dict[str, Any]

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(call: Call) -> Json:
    params = call.params
    subject = _charge(params)
    amount = params.integer("amount", least=1) or refunds.left(subject)
    given = {"metadata": params.metadata(), "reason": params.choice("reason", *REASONS)}
    return refunds.refund(subject, amount, given)


def _charge(params: Params) -> Json:
    charge_id, intent_id = params.text("charge"), params.text("payment_intent")
    if charge_id is None and intent_id is None:
        raise required("charge")
    if charge_id is None:
        intent = db().find("payment_intent", intent_id)
        if intent is None:
            raise missing("payment_intent", intent_id or "", "payment_intent")
        charge_id = intent["latest_charge"]
        if charge_id is None:
            raise _nothing_paid(intent["id"])
    found = db().find("charge", charge_id)
    if found is None:
        raise missing("charge", charge_id or "", "charge")
    if found["status"] != "succeeded" or not found["captured"]:
        raise _nothing_paid(found["payment_intent"])
    return found


def _nothing_paid(intent_id: str) -> Exception:
    return request_error(
        f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
        "payment_intent_unexpected_state",
        "payment_intent",
    )


def retrieve(call: Call) -> Json:
    return call.subject("refund")


def update(call: Call) -> Json:
    found = retrieve(call)
    return refunds.updated(found, metadata=call.params.metadata(found["metadata"]))


def cancel(call: Call) -> Json:
    """Only a refund that waits for the customer's action can be canceled, and cards' never do."""
    found = retrieve(call)
    raise request_error(
        f"You cannot cancel this Refund because it has a status of {found['status']}. Only a Refund with one of"
        " the following statuses may be canceled: requires_action.",
        "status_transition_invalid",
    )


def list_(call: Call) -> Json:
    params = call.params
    where = {"charge": params.text("charge"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "refund", "/v1/refunds", where)


OPERATIONS = (
    Operation("POST", "/v1/refunds", create, "charge payment_intent amount reason metadata.*"),
    Operation("GET", "/v1/refunds", list_, f"{LISTED} {CREATED} charge payment_intent"),
    Operation("GET", "/v1/refunds/<id>", retrieve),
    Operation("POST", "/v1/refunds/<id>", update, "metadata.*"),
    Operation("POST", "/v1/refunds/<id>/cancel", cancel),
)

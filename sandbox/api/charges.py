"""/v1/charges, /v1/refunds, /v1/disputes, /v1/radar/early_fraud_warnings, /v1/balance_transactions."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import aftermath
from sandbox.errors import missing, request_error, required
from sandbox.events import change
from sandbox.house import db
from sandbox.objects.aftermath import EVIDENCE

Json = dict[str, Any]

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def charge(call: Call) -> Json:
    return call.subject("charge")


def charges(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "charge", "/v1/charges", where)


def create_refund(call: Call) -> Json:
    params = call.params
    subject = _charge_to_refund(params)
    left = subject["amount"] - subject["amount_refunded"]
    amount = params.integer("amount", least=1) or left
    given = {"metadata": params.metadata(), "reason": params.choice("reason", *REASONS)}
    return aftermath.refund(subject, amount, given)


def _charge_to_refund(params: Params) -> Json:
    charge_id, intent_id = params.text("charge"), params.text("payment_intent")
    if charge_id is None and intent_id is None:
        raise required("charge")
    if charge_id is None:
        intent = db().find("payment_intent", intent_id)
        if intent is None:
            raise missing("payment_intent", intent_id or "", "payment_intent")
        charge_id = intent["latest_charge"]
    found = db().find("charge", charge_id)
    if found is None:
        raise missing("charge", charge_id or "", "charge")
    if found["status"] != "succeeded":
        raise request_error(
            f"This charge ({found['id']}) did not succeed and can't be refunded.",
            "payment_intent_unexpected_state",
        )
    return found


def refund(call: Call) -> Json:
    return call.subject("refund")


def update_refund(call: Call) -> Json:
    found = refund(call)
    return change(found, "refund.updated", metadata=call.params.metadata(found["metadata"]))


def refunds(call: Call) -> Json:
    params = call.params
    where = {"charge": params.text("charge"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "refund", "/v1/refunds", where)


def dispute(call: Call) -> Json:
    return call.subject("dispute")


def disputes(call: Call) -> Json:
    params = call.params
    where = {"charge": params.text("charge"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "dispute", "/v1/disputes", where)


def update_dispute(call: Call) -> Json:
    """Evidence is submitted unless `submit` is false."""
    found, params = dispute(call), call.params
    if params.has("metadata"):
        change(found, "charge.dispute.updated", metadata=params.metadata(found["metadata"]))
    if not params.has("evidence"):
        return found
    if found["status"] not in ("needs_response", "warning_needs_response"):
        raise request_error("This dispute is already closed.", "status_transition_invalid")
    evidence = params.child("evidence").words(*EVIDENCE)
    return aftermath.give_evidence(found, evidence, params.flag("submit") is not False)


def close_dispute(call: Call) -> Json:
    return aftermath.accept_loss(dispute(call))


def warning(call: Call) -> Json:
    return call.subject("radar.early_fraud_warning")


def warnings(call: Call) -> Json:
    params = call.params
    where = {"charge": params.text("charge"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "radar.early_fraud_warning", "/v1/radar/early_fraud_warnings", where)


def transaction(call: Call) -> Json:
    return call.subject("balance_transaction")


def transactions(call: Call) -> Json:
    where = {"source": call.params.text("source"), "type": call.params.text("type")}
    return listing.page(call, "balance_transaction", "/v1/balance_transactions", where)


ABOUT = f"{LISTED} {CREATED} charge payment_intent"

OPERATIONS = (
    Operation("GET", "/v1/charges", charges, f"{LISTED} {CREATED} customer payment_intent"),
    Operation("GET", "/v1/charges/<id>", charge),
    Operation("POST", "/v1/refunds", create_refund, "charge payment_intent amount reason metadata.*"),
    Operation("GET", "/v1/refunds", refunds, ABOUT),
    Operation("GET", "/v1/refunds/<id>", refund),
    Operation("POST", "/v1/refunds/<id>", update_refund, "metadata.*"),
    Operation("GET", "/v1/disputes", disputes, ABOUT),
    Operation("GET", "/v1/disputes/<id>", dispute),
    Operation(
        "POST", "/v1/disputes/<id>", update_dispute,
        " ".join([*(f"evidence.{name}" for name in EVIDENCE), "submit metadata.*"]),
    ),
    Operation("POST", "/v1/disputes/<id>/close", close_dispute),
    Operation("GET", "/v1/radar/early_fraud_warnings", warnings, ABOUT),
    Operation("GET", "/v1/radar/early_fraud_warnings/<id>", warning),
    Operation("GET", "/v1/balance_transactions", transactions, f"{LISTED} {CREATED} source type"),
    Operation("GET", "/v1/balance_transactions/<id>", transaction),
)  # fmt: skip

"""/v1/disputes."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import disputes
from sandbox.events import change
from sandbox.objects.aftermath import EVIDENCE

Json = dict[str, Any]


def retrieve(call: Call) -> Json:
    return call.subject("dispute")


def list_(call: Call) -> Json:
    params = call.params
    where = {"charge": params.text("charge"), "payment_intent": params.text("payment_intent")}
    return listing.page(call, "dispute", "/v1/disputes", where)


def update(call: Call) -> Json:
    """Evidence is submitted unless `submit` is false."""
    found, params = retrieve(call), call.params
    if params.has("metadata"):
        change(found, "charge.dispute.updated", metadata=params.metadata(found["metadata"]))
    if not params.has("evidence"):
        return found
    evidence = {
        name: params.child("evidence").text(name, limit=disputes.EVIDENCE_LIMIT + 1)
        for name in EVIDENCE
        if params.child("evidence").has(name)
    }
    return disputes.give_evidence(found, evidence, params.flag("submit") is not False)


def close(call: Call) -> Json:
    return disputes.accept_loss(retrieve(call))


OPERATIONS = (
    Operation("GET", "/v1/disputes", list_, f"{LISTED} {CREATED} charge payment_intent"),
    Operation("GET", "/v1/disputes/<id>", retrieve),
    Operation(
        "POST", "/v1/disputes/<id>", update,
        " ".join([*(f"evidence.{name}" for name in EVIDENCE), "submit metadata.*"]),
    ),
    Operation("POST", "/v1/disputes/<id>/close", close),
)  # fmt: skip

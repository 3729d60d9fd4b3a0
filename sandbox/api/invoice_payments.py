"""/v1/invoice_payments."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import CREATED, LISTED, Call, Operation

Json = dict[str, Any]


def retrieve(call: Call) -> Json:
    return call.subject("invoice_payment")


def list_(call: Call) -> Json:
    params = call.params
    by_payment = params.child("payment")
    where = {
        "invoice": params.text("invoice"),
        "status": params.choice("status", "open", "paid", "canceled"),
        "payment.type": by_payment.text("type"),
        "payment.payment_intent": by_payment.text("payment_intent"),
    }
    return listing.page(call, "invoice_payment", "/v1/invoice_payments", where)


OPERATIONS = (
    Operation(
        "GET", "/v1/invoice_payments", list_,
        f"{LISTED} {CREATED} invoice status payment.type payment.payment_intent",
    ),
    Operation("GET", "/v1/invoice_payments/<id>", retrieve),
)  # fmt: skip

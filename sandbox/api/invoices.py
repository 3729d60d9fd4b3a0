"""/v1/invoices and /v1/invoice_payments."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import invoicing, methods
from sandbox.errors import ApiError, card_error, request_error
from sandbox.house import db

Json = dict[str, Any]

SUBSCRIPTION = "parent.subscription_details.subscription"


def retrieve(call: Call) -> Json:
    return call.subject("invoice")


def list_(call: Call) -> Json:
    params = call.params
    where = {
        "customer": params.text("customer"),
        "status": params.choice("status", "draft", "open", "paid", "uncollectible", "void"),
        "collection_method": params.text("collection_method"),
        SUBSCRIPTION: params.text("subscription"),
    }
    return listing.page(call, "invoice", "/v1/invoices", where)


def lines(call: Call) -> Json:
    invoice = retrieve(call)
    return listing.of(call, invoice["lines"]["data"], f"/v1/invoices/{invoice['id']}/lines")


def finalize(call: Call) -> Json:
    invoice = retrieve(call)
    if invoice["status"] != "draft":
        raise request_error(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            "invoice_not_editable",
        )
    return invoicing.finalize(invoice)


def pay(call: Call) -> Json:
    """Paid, or 402 with the attempt kept."""
    invoice, params = retrieve(call), call.params
    if invoice["status"] == "draft":
        invoicing.finalize(invoice)
    if invoice["status"] not in ("open", "uncollectible"):
        raise request_error(f"Invoice is already {invoice['status']}", "invoice_not_editable")
    if params.flag("paid_out_of_band"):
        raise request_error("The sandbox does not build payments out of band yet.", "sandbox_not_built")
    token = params.text("payment_method")
    method = methods.find(token) if token else invoicing.default_method(invoice)
    if method is not None and method["customer"] is None:
        method = methods.attach(method, db().get("customer", invoice["customer"]))
    if method is None:
        raise _nothing_to_charge()
    error = invoicing.collect(invoice, method, automatic=False)
    if error is not None:
        raise card_error(error)
    return invoice


def _nothing_to_charge() -> ApiError:
    """It counts as executed: real answers to it carry Stripe-Should-Retry."""
    return request_error(
        "Cannot charge this customer: it has no default payment method or source.",
        "resource_missing",
        executed=True,
    )


def void(call: Call) -> Json:
    return invoicing.void(retrieve(call))


def mark_uncollectible(call: Call) -> Json:
    return invoicing.mark_uncollectible(retrieve(call))


def payment(call: Call) -> Json:
    return call.subject("invoice_payment")


def payments(call: Call) -> Json:
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
        "GET", "/v1/invoices", list_, f"{LISTED} {CREATED} customer status subscription collection_method"
    ),
    Operation("GET", "/v1/invoices/<id>", retrieve),
    Operation("GET", "/v1/invoices/<id>/lines", lines, LISTED),
    Operation("POST", "/v1/invoices/<id>/finalize", finalize, "auto_advance"),
    Operation(
        "POST", "/v1/invoices/<id>/pay", pay, "payment_method off_session forgive paid_out_of_band"
    ),
    Operation("POST", "/v1/invoices/<id>/void", void),
    Operation("POST", "/v1/invoices/<id>/mark_uncollectible", mark_uncollectible),
    Operation(
        "GET", "/v1/invoice_payments", payments,
        f"{LISTED} {CREATED} invoice status payment.type payment.payment_intent",
    ),
    Operation("GET", "/v1/invoice_payments/<id>", payment),
)  # fmt: skip

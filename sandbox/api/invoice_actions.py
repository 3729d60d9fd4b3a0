"""What is done with an invoice: /v1/invoices/<id>/finalize, pay, send, void, mark_uncollectible."""

from __future__ import annotations

from typing import Any

from sandbox.api.form import Params
from sandbox.api.operation import Call, Operation
from sandbox.engine import closing, invoicing, methods
from sandbox.errors import ApiError, card_error, request_error
from sandbox.house import db

Json = dict[str, Any]


def _invoice(call: Call) -> Json:
    return call.subject("invoice")


def finalize(call: Call) -> Json:
    invoice = _invoice(call)
    if invoice["status"] != "draft":
        raise request_error(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            "invoice_not_editable",
        )
    return closing.finalize(invoice, call.params.flag("auto_advance"))


def pay(call: Call) -> Json:
    """Paid, or 402 with the attempt kept. `forgive` is about sources that hold an amount: cards hold none."""
    invoice, params = _invoice(call), call.params
    if invoice["status"] not in ("draft", "open", "uncollectible"):
        raise request_error(f"Invoice is already {invoice['status']}", "invoice_not_editable")
    elsewhere = params.flag("paid_out_of_band")
    if elsewhere and params.text("payment_method"):
        raise request_error(
            "You may only specify one of these parameters: paid_out_of_band, payment_method.",
            "parameters_exclusive",
        )
    if invoice["status"] == "draft":
        invoicing.finalize(invoice)
    if elsewhere:
        return closing.pay_elsewhere(invoice)
    if invoice["amount_remaining"]:
        _charge(invoice, params)
    else:
        invoicing.mark_paid(invoice)
    return invoice


def _charge(invoice: Json, params: Params) -> None:
    token = params.text("payment_method")
    method = methods.find(token) if token else invoicing.default_method(invoice)
    if method is not None and method["customer"] != invoice["customer"]:
        method = methods.attach(method, db().get("customer", invoice["customer"]))
    if method is None:
        raise _nothing_to_charge()
    present = params.flag("off_session") is False
    error = invoicing.collect(invoice, method, automatic=False, on_session=present)
    if error is not None:
        raise card_error(error)


def _nothing_to_charge() -> ApiError:
    """It counts as executed: real answers to it carry Stripe-Should-Retry."""
    return request_error(
        "Cannot charge this customer: it has no default payment method or source.",
        "resource_missing",
        executed=True,
    )


def send(call: Call) -> Json:
    return closing.send(_invoice(call))


def void(call: Call) -> Json:
    return invoicing.void(_invoice(call))


def mark_uncollectible(call: Call) -> Json:
    return invoicing.mark_uncollectible(_invoice(call))


OPERATIONS = (
    Operation("POST", "/v1/invoices/<id>/finalize", finalize, "auto_advance"),
    Operation("POST", "/v1/invoices/<id>/pay", pay, "forgive off_session paid_out_of_band payment_method"),
    Operation("POST", "/v1/invoices/<id>/send", send),
    Operation("POST", "/v1/invoices/<id>/void", void),
    Operation("POST", "/v1/invoices/<id>/mark_uncollectible", mark_uncollectible),
)

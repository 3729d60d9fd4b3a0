"""What happens to a draft that is finalised, by Stripe or by hand, and to an invoice that is sent to be paid."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import dunning, invoicing, payments
from sandbox.errors import request_error
from sandbox.events import change, emit
from sandbox.house import db

Json = dict[str, Any]

CHARGE_SECONDS = 3600


def advance(invoice: Json) -> None:
    """The draft's time has come: open it and, where Stripe collects, charge or send it at once."""
    invoicing.finalize(invoice)
    if invoice["amount_remaining"] == 0:
        invoicing.mark_paid(invoice)
    elif invoice["collection_method"] == "send_invoice":
        emit("invoice.sent", invoice)
    elif invoice["auto_advance"]:
        invoicing.collect(invoice, invoicing.default_method(invoice), automatic=True)


def finalize(invoice: Json, auto_advance: bool | None) -> Json:
    """Open it on request. What Stripe collects by itself is charged an hour later; nothing due is paid at once."""
    if auto_advance is not None:
        invoice["auto_advance"] = auto_advance
    invoicing.finalize(invoice)
    if invoice["amount_remaining"] == 0:
        invoicing.mark_paid(invoice)
    elif invoice["auto_advance"]:
        collect_later(invoice, True)
    return invoice


def collect_later(invoice: Json, wanted: bool) -> Json:
    """Whether Stripe goes on with an open invoice by itself."""
    charges = wanted and invoice["collection_method"] == "charge_automatically"
    moment = clock.now(invoice["customer"]) + CHARGE_SECONDS if charges else None
    return change(invoice, "invoice.updated", auto_advance=wanted, next_payment_attempt=moment)


def send(invoice: Json) -> Json:
    """Send it to the customer, final from now on. No mail leaves the sandbox, as none leaves Stripe's test mode."""
    if invoice["collection_method"] != "send_invoice":
        raise request_error(
            "You can only manually send an invoice if its collection_method is `send_invoice`.",
            param="collection_method",
        )
    if invoice["status"] == "draft":
        finalize(invoice, None)
    elif invoice["status"] != "open":
        raise request_error(f"You can't send an invoice that is {invoice['status']}.", "invoice_not_editable")
    emit("invoice.sent", invoice)
    return invoice


def pay_elsewhere(invoice: Json) -> Json:
    """Paid outside of Stripe: nothing is charged, and what waited for a card is canceled."""
    intent = db().find("payment_intent", invoice["_payment_intent"])
    if intent is not None:
        payments.cancel(intent, "automatic")
        invoicing.cancel_payments(invoice)
    invoice["amount_paid_off_stripe"] = invoice["amount_remaining"]
    invoicing.mark_paid(invoice)
    return invoice


def will_be_due(invoice_id: str) -> None:
    invoice = db().put(db().get("invoice", invoice_id) | {"_notice_sent": True})
    emit("invoice.will_be_due", invoice)


def overdue(invoice_id: str) -> None:
    """Nobody paid in time: the customer is delinquent, the subscription past due (facts 1.1)."""
    invoice = db().put(db().get("invoice", invoice_id) | {"_overdue": True})
    emit("invoice.overdue", invoice)
    dunning.fall_behind(invoice)

"""What a person does on an invoice's page and on a receipt."""

from __future__ import annotations

from typing import Any

from sandbox.engine import banks, hosted_invoice, invoicing
from sandbox.house import db, house
from sandbox.outcomes import Bank, Card, NotFound, Outcome
from sandbox.store import public

Json = dict[str, Any]


def invoice_view(token: str) -> Json:
    """invoice, lines, discounts ({label, amount}), business_name, payable, processing, kinds, saved_method."""
    invoice = hosted_invoice.invoice_of(token)
    saved = invoicing.default_method(invoice)
    processing = hosted_invoice.processing(invoice)
    return {
        "invoice": public(invoice),
        "lines": invoice["lines"]["data"],
        "discounts": [_discount(each) for each in invoice["total_discount_amounts"] if each["amount"]],
        "business_name": house().settings()["business_name"],
        "payable": hosted_invoice.payable(invoice) and not processing,
        "processing": processing,
        "kinds": banks.types_for(invoice["currency"]),
        "saved_method": public(saved) if saved else None,
    }


def _discount(taken: Json) -> Json:
    discount = db().get("discount", taken["discount"])
    coupon = db().find("coupon", discount["source"]["coupon"]) or {}
    code = db().find("promotion_code", discount["promotion_code"])
    label = code["code"] if code else coupon.get("name") or discount["source"]["coupon"]
    return {"label": label, "amount": taken["amount"]}


def pay_invoice(token: str, means: Card | Bank | None) -> Outcome:
    """Pay an open invoice; None takes the saved payment method."""
    with db().transaction():
        return hosted_invoice.pay(token, means)


def _charge(token: str) -> Json:
    """The charge of a receipt's address, be it the newest or one before."""
    found = db().all("charge", receipt_url=f"{house().base_url}/receipts/{token}")
    if found:
        return found[0]
    known = db().token(token) or {}
    if known.get("kind") != "receipt":
        raise NotFound(token)
    return db().get("charge", known["charge"])


def receipt_view(token: str) -> Json:
    """charge, method (words may be made of it), business_name, lines of its invoice if there is one."""
    charge = _charge(token)
    payments = db().all("invoice_payment", payment__payment_intent=charge["payment_intent"])
    invoice = db().find("invoice", payments[0]["invoice"]) if payments else None
    return {
        "charge": public(charge),
        "method": charge["payment_method_details"],
        "invoice": public(invoice) if invoice else None,
        "business_name": house().settings()["business_name"],
    }

"""How objects looked before 2025-03-31.basil."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.house import db
from sandbox.objects.catalogue import plan
from sandbox.versions.change import Answer, looked_up

Json = dict[str, Any]


def _subscription(sub: Json) -> None:
    items = sub["items"]["data"]
    sub["current_period_end"] = items[0].get("current_period_end") if items else None
    sub["current_period_start"] = items[0].get("current_period_start") if items else None
    sub["discount"] = _first_discount(sub["discounts"])
    alone = items[0] if len(items) == 1 else {}
    sub["plan"] = alone.get("plan")
    sub["quantity"] = alone.get("quantity")


def _subscription_item(item: Json) -> None:
    item.pop("current_period_start", None)
    item.pop("current_period_end", None)


def _invoice(invoice: Json) -> None:
    parent = invoice.pop("parent", None) or {}
    details = parent.get("subscription_details") or {}
    taxes = invoice.pop("total_taxes", None) or []
    payment = _payment(invoice.get("id")) if invoice["status"] != "draft" else None
    invoice["subscription"] = details.get("subscription")
    invoice["subscription_details"] = {"metadata": details.get("metadata")}
    if details.get("subscription_proration_date") is not None:
        invoice["subscription_proration_date"] = details["subscription_proration_date"]
    invoice["quote"] = (parent.get("quote_details") or {}).get("quote")
    invoice["payment_intent"] = payment["id"] if payment else None
    invoice["charge"] = payment["latest_charge"] if payment and invoice["attempted"] else None
    invoice["paid"] = invoice["status"] == "paid"
    invoice["paid_out_of_band"] = bool(invoice["paid"] and payment is None and invoice["amount_paid"])
    invoice["discount"] = _first_discount(invoice["discounts"])
    invoice["tax"] = sum(each["amount"] for each in taxes) if taxes else None
    invoice["total_tax_amounts"] = [_tax_amount(each) for each in taxes]


def _payment(invoice_id: str | None) -> Json | None:
    """The PaymentIntent of an invoice; None where nothing was to be paid."""
    payments = db().all("invoice_payment", invoice=invoice_id) if invoice_id else []
    ids = [each["payment"].get("payment_intent") for each in payments if each["is_default"]]
    return db().find("payment_intent", ids[-1]) if ids else None


def _first_discount(discounts: list[Any] | None) -> Any:
    return looked_up("discount", discounts[0]) if discounts else None


def _tax_amount(tax: Json) -> Json:
    return {
        "amount": tax["amount"],
        "inclusive": tax["tax_behavior"] == "inclusive",
        "tax_rate": (tax.get("tax_rate_details") or {}).get("tax_rate"),
        "taxability_reason": tax["taxability_reason"],
        "taxable_amount": tax["taxable_amount"],
    }


def _line(line: Json) -> None:
    parent = line.pop("parent", None) or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    pricing = line.pop("pricing", None) or {}
    taxes = line.pop("taxes", None) or []
    line.pop("subtotal", None)
    line.pop("quantity_decimal", None)
    line["type"] = "invoiceitem" if details.get("invoice_item") else "subscription"
    if details.get("invoice_item"):
        line["invoice_item"] = details["invoice_item"]
    line["proration"] = details.get("proration", False)
    line["proration_details"] = details.get("proration_details") or {"credited_items": None}
    line["subscription"] = details.get("subscription")
    if details.get("subscription_item"):
        line["subscription_item"] = details["subscription_item"]
    _name_price(line, pricing)
    line["amount_excluding_tax"] = line["amount"]
    line["unit_amount_excluding_tax"] = _each(line["amount"], line["quantity"])
    line["tax_amounts"] = [_tax_amount(each) for each in taxes]
    line["tax_rates"] = []


def _each(amount: int, quantity: int | None) -> str | None:
    return format((Decimal(amount) / quantity).normalize(), "f") if quantity else None


def _name_price(node: Json, pricing: Json) -> None:
    """`price` whole, and `plan` where it repeats."""
    price = looked_up("price", (pricing.get("price_details") or {}).get("price"))
    node["price"] = price
    node["plan"] = plan(price) if isinstance(price, dict) and price["recurring"] else None


def _invoiceitem(item: Json) -> None:
    parent = item.pop("parent", None) or {}
    details = parent.get("subscription_details") or {}
    pricing = item.pop("pricing", None) or {}
    _name_price(item, pricing)
    each = pricing.get("unit_amount_decimal")
    item["unit_amount_decimal"] = each
    item["unit_amount"] = int(each) if each is not None and Decimal(each) == int(Decimal(each)) else None
    item["subscription"] = details.get("subscription")
    if details.get("subscription_item"):
        item["subscription_item"] = details["subscription_item"]
    for name in ("net_amount", "proration_details", "quantity_decimal"):
        item.pop(name, None)


def _session(session: Json) -> None:
    session["shipping_details"] = (session.get("collected_information") or {}).get("shipping_details")


def _payment_intent(intent: Json) -> None:
    intent["invoice"] = _invoice_of(intent["id"])


def _charge(charge: Json) -> None:
    charge["invoice"] = _invoice_of(charge["payment_intent"])


def _invoice_of(intent: Any) -> str | None:
    id_ = intent.get("id") if isinstance(intent, dict) else intent
    found = db().all("invoice_payment", payment__payment_intent=id_) if id_ else []
    return found[-1]["invoice"] if found else None


ANSWERS: dict[str, Answer] = {
    "subscription": _subscription,
    "subscription_item": _subscription_item,
    "invoice": _invoice,
    "line_item": _line,
    "invoiceitem": _invoiceitem,
    "checkout.session": _session,
    "payment_intent": _payment_intent,
    "charge": _charge,
}

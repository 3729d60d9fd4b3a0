"""invoiceitem: an amount that waits for the next invoice, or belongs to one."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def invoiceitem(created: int, customer: Json, given: Json) -> Json:
    """`given`: amount, currency, and what else engine.items.add names."""
    price, subscription = given.get("price"), given.get("subscription")
    unit = given.get("unit_amount_decimal")
    return {
        "id": given.get("id") or ids.dated("ii"),
        "object": "invoiceitem",
        "amount": given["amount"],
        "currency": given["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "date": created,
        "description": given.get("description"),
        "discountable": given["discountable"],
        "discounts": given.get("discounts", []),
        "frozen_fields": None,
        "invoice": given.get("invoice"),
        "invoicing_rules": None,
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "net_amount": None if given["discountable"] else given["amount"],
        "parent": {
            "subscription_details": {
                "subscription": subscription,
                "subscription_item": given.get("subscription_item"),
            },
            "type": "subscription_details",
        }
        if subscription
        else None,
        "period": given.get("period") or {"end": created, "start": created},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]} if price else None,
            "type": "price_details",
            "unit_amount_decimal": unit,
        },
        "proration": given.get("proration", False),
        "proration_details": {
            "credited_items": _credited(given.get("credited_items")),
            "discount_amounts": given.get("discount_amounts", []),
        }
        if given.get("proration")
        else None,
        "quantity": given.get("quantity", 1),
        "quantity_decimal": str(given.get("quantity", 1)),
        "tax_rates": [],
        "test_clock": customer["test_clock"],
    }


def _credited(lines: Json | None) -> Json | None:
    """The item's way of naming the invoice lines ({invoice, invoice_line_items}) that a credit is for."""
    if lines is None:
        return None
    return {"invoice_item": None, "invoice_line_item_details": lines, "type": "invoice_line_items"}

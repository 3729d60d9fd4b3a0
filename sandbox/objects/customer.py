"""customer."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def customer(created: int, given: Json, test_clock: str | None) -> Json:
    """A customer with the given fields (address, email, name, … as the API takes them)."""
    settings = given.get("invoice_settings") or {}
    return {
        "id": ids.new("cus", 14),
        "object": "customer",
        "address": given.get("address"),
        "balance": given.get("balance", 0),
        "business_name": given.get("business_name"),
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "discount": None,
        "email": given.get("email"),
        "individual_name": given.get("individual_name"),
        "invoice_prefix": given.get("invoice_prefix") or ids.random_text(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": settings.get("default_payment_method"),
            "footer": settings.get("footer"),
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "name": given.get("name"),
        "next_invoice_sequence": 1,
        "phone": given.get("phone"),
        "preferred_locales": given.get("preferred_locales", []),
        "shipping": given.get("shipping"),
        "tax_exempt": given.get("tax_exempt", "none"),
        "test_clock": test_clock,
    }


def balance_transaction(created: int, customer: str, amount: int, currency: str, given: Json) -> Json:
    """A customer_balance_transaction. `given`: type, ending, and what there is of invoice, description, metadata."""
    return {
        "id": ids.dated("cbtxn"),
        "object": "customer_balance_transaction",
        "amount": amount,
        "checkout_session": None,
        "created": created,
        "credit_note": None,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": given.get("description"),
        "ending_balance": given["ending"],
        "invoice": given.get("invoice"),
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "type": given["type"],
    }

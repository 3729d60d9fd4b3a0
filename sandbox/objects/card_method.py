"""payment_method of type card."""

from __future__ import annotations

import hashlib

from sandbox import ids
from sandbox.objects.parts import Json, empty_address


def payment_method(created: int, card: Json, billing: Json) -> Json:
    """A card that belongs to nobody yet.

    `card` holds number, brand, funding, country, exp_month, exp_year, three_d_secure, checks; `billing` holds
    name, email, phone, address, metadata, as far as they are known.
    """
    brand = card["brand"]
    return {
        "id": ids.dated("pm"),
        "object": "payment_method",
        "allow_redisplay": billing.get("allow_redisplay") or "unspecified",
        "billing_details": billing_details(billing),
        "card": {
            "brand": brand,
            "checks": card["checks"],
            "country": card["country"],
            "display_brand": brand,
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": hashlib.sha256(card["number"].encode()).hexdigest()[:16],
            "funding": card["funding"],
            "generated_from": None,
            "last4": card["number"][-4:],
            "networks": {"available": [brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": card["three_d_secure"]},
            "wallet": None,
        },
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": billing.get("metadata", {}),
        "type": "card",
        "_number": card["number"],
        "_set_up": False,
    }


def billing_details(billing: Json) -> Json:
    """Who pays, as far as it is known: name, email, phone, address."""
    return {
        "address": empty_address() | (billing.get("address") or {}),
        "email": billing.get("email"),
        "name": billing.get("name"),
        "phone": billing.get("phone"),
        "tax_id": None,
    }

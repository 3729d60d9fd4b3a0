"""card: a saved card as the Sources API shows it."""

from __future__ import annotations

from sandbox.objects.parts import Json

BRANDS = {
    "visa": "Visa",
    "mastercard": "MasterCard",
    "amex": "American Express",
    "discover": "Discover",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


def card(method: Json) -> Json:
    """The card payment method `method` in its old shape."""
    inner, billing = method["card"], method["billing_details"]
    address = billing["address"]
    return {
        "id": method["id"],
        "object": "card",
        "address_city": address["city"],
        "address_country": address["country"],
        "address_line1": address["line1"],
        "address_line1_check": inner["checks"]["address_line1_check"],
        "address_line2": address["line2"],
        "address_state": address["state"],
        "address_zip": address["postal_code"],
        "address_zip_check": inner["checks"]["address_postal_code_check"],
        "brand": BRANDS[inner["brand"]],
        "country": inner["country"],
        "customer": method["customer"],
        "cvc_check": inner["checks"]["cvc_check"],
        "dynamic_last4": None,
        "exp_month": inner["exp_month"],
        "exp_year": inner["exp_year"],
        "fingerprint": inner["fingerprint"],
        "funding": inner["funding"],
        "last4": inner["last4"],
        "metadata": method["metadata"],
        "name": billing["name"],
        "regulated_status": inner["regulated_status"],
        "tokenization_method": None,
    }

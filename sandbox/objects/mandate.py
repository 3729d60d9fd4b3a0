"""mandate: a customer's leave to debit a bank account."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json


def mandate(created: int, method: Json, acceptance: Json, base_url: str) -> Json:
    """`acceptance` is the customer_acceptance that the API was given: type, and accepted_at or online."""
    id_ = ids.dated("mandate")
    kind = method["type"]
    sepa = {"reference": ids.random_text(16).upper(), "url": f"{base_url}/mandates/{id_}"}
    details: Json = {"sepa_debit": sepa} if kind == "sepa_debit" else {"us_bank_account": {}}
    return {
        "id": id_,
        "object": "mandate",
        "customer_acceptance": {"accepted_at": created} | acceptance,
        "livemode": False,
        "multi_use": {},
        "payment_method": method["id"],
        "payment_method_details": details | {"type": kind},
        "status": "active",
        "type": "multi_use",
    }

"""charge."""

from __future__ import annotations

from typing import Literal

from sandbox import ids
from sandbox.objects import charge_details
from sandbox.objects.parts import Json

State = Literal["captured", "authorized", "pending", "failed"]


def charge(
    created: int, intent: Json, method: Json, state: State, decline: Json | None, base_url: str
) -> Json:
    """One attempt to collect. `decline` holds code, decline_code and message of a `failed` one."""
    prefix = "ch" if method["type"] == "card" else "py"
    amount = intent["amount"]
    return {
        "id": ids.payment(prefix, ids.stem_of(intent["id"])),
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if state in ("captured", "pending") else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": intent["statement_descriptor"] or "DUNLIN",
        "captured": state in ("captured", "pending"),
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline["code"] if decline else None,
        "failure_message": decline["message"] if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": charge_details.outcome(method, decline),
        "paid": state in ("captured", "authorized"),
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": charge_details.details(created, method, amount, state == "authorized"),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{base_url}/receipts/{ids.random_text(40)}" if state != "failed" else None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": {"pending": "pending", "failed": "failed"}.get(state, "succeeded"),
        "transfer_data": None,
        "transfer_group": None,
    }

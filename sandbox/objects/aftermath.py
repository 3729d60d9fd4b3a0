"""What can follow a charge: refund, dispute, radar.early_fraud_warning."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json

_EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure"
    " cancellation_rebuttal customer_communication customer_email_address customer_name"
    " customer_purchase_ip customer_signature duplicate_charge_documentation"
    " duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy"
    " refund_policy_disclosure refund_refusal_explanation service_date service_documentation"
    " shipping_address shipping_carrier shipping_date shipping_documentation"
    " shipping_tracking_number uncategorized_file uncategorized_text"
)
EVIDENCE = tuple(_EVIDENCE.split())
ANSWER_SECONDS = 9 * 86400  # until evidence is due
NETWORK_REASONS = {"product_not_received": "13.1", "noncompliant": None}
ELIGIBLE: dict[str, Json] = {
    "visa_compelling_evidence_3": {
        "required_actions": [
            "missing_disputed_transaction_description",
            "missing_prior_undisputed_transactions",
        ],
        "status": "requires_action",
    },
    "visa_compliance": {"status": "requires_fee_acknowledgement"},
}


def refund(created: int, charge: Json, amount: int, given: Json) -> Json:
    """A refund that succeeded at once. `given`: metadata, reason."""
    kind = charge["payment_method_details"]["type"]
    return {
        "id": ids.payment("re" if kind == "card" else "pyr", ids.stem_of(charge["id"])),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": DESTINATIONS[kind] | {"type": DESTINATION_TYPES.get(kind, kind)},
        "metadata": given.get("metadata", {}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


DESTINATION_TYPES = {
    "customer_balance": "customer_cash_balance",
    "sepa_debit": "eu_bank_transfer",
    "us_bank_account": "us_bank_transfer",
}
_NUMBERED: Json = {"reference": None, "reference_status": "pending"}
DESTINATIONS: dict[str, Json] = {
    "card": {
        "card": {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        }
    },
    "customer_balance": {"customer_cash_balance": {}},
    "sepa_debit": {"eu_bank_transfer": _NUMBERED},
    "us_bank_account": {"us_bank_transfer": _NUMBERED},
}


def dispute(created: int, charge: Json, status: str, reason: str, amount: int, eligible: str | None) -> Json:
    """A dispute or, with a `warning_…` status, an inquiry. `eligible` is an enhanced way to answer it."""
    card = charge["payment_method_details"]["card"]
    inquiry = status.startswith("warning")
    case = "inquiry" if inquiry else "compliance" if reason == "noncompliant" else "chargeback"
    return {
        "id": ids.dated("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [eligible] if eligible else [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": created + ANSWER_SECONDS,
            "enhanced_eligibility": {eligible: ELIGIBLE[eligible]} if eligible else {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": "manual",
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": None,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": card["brand"],
                "case_type": case,
                "network": card["network"],
                "network_reason_code": NETWORK_REASONS.get(reason, "10.4"),
            },
            "type": "card",
        },
        "reason": reason,
        "status": status,
        "_customer": charge["customer"],
    }


def early_fraud_warning(created: int, charge: Json) -> Json:
    return {
        "id": ids.dated("issfr"),
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": charge["id"],
        "created": created,
        "fraud_type": "unauthorized_use_of_card",
        "livemode": False,
        "payment_intent": charge["payment_intent"],
        "_customer": charge["customer"],
    }

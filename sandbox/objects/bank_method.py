"""payment_method of types sepa_debit and us_bank_account."""

from __future__ import annotations

import hashlib

from sandbox import ids
from sandbox.objects.card_method import billing_details
from sandbox.objects.parts import Json


def payment_method(created: int, kind: str, account: Json, billing: Json) -> Json:
    """An account that belongs to nobody yet. `account` is the part named after its type."""
    return {
        "id": ids.dated("pm"),
        "object": "payment_method",
        "allow_redisplay": billing.get("allow_redisplay") or "unspecified",
        "billing_details": billing_details(billing),
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": billing.get("metadata", {}),
        kind: account,
        "type": kind,
    }


def sepa_debit(iban: str) -> Json:
    return {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": fingerprint(iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }


def us_bank_account(account_number: str, routing_number: str, holder_type: str, account_type: str) -> Json:
    return {
        "account_holder_type": holder_type,
        "account_type": account_type,
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint(routing_number + account_number),
        "last4": account_number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": routing_number,
        "status_details": {},
    }


def fingerprint(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]

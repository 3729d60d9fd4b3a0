"""The account's balance: what each charge, refund and dispute moves, fees, and when money can be paid out."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.house import db
from sandbox.objects.balance import balance_transaction

Json = dict[str, Any]

DAY = 86400
PENDING_DAYS = 2
DISPUTE_FEE = 1500
CARD_FIXED, SEPA_FEE, ACH_MOST = 30, 35, 500


def credit(charge: Json, at_once: bool = False) -> Json:
    """The money of a captured charge; `at_once` where the test card skips the wait."""
    amount = charge["amount_captured"]
    kind = "charge" if charge["payment_method_details"]["type"] == "card" else "payment"
    return _entry(kind, charge["id"], charge, amount, fee(charge, amount), at_once)


def debit(kind: str, source: str, charge: Json, amount: int, fee_: int = 0) -> Json:
    """Money that leaves for a refund or dispute, or comes back from one (`amount` positive)."""
    if kind == "refund" and charge["payment_method_details"]["type"] != "card":
        kind = "payment_refund"
    return _entry(kind, source, charge, amount, fee_, True)


def fee(charge: Json, amount: int) -> int:
    """Stripe's list price: cards 2.9 % + 30 minor units, SEPA 35, ACH 0.8 % up to 500,
    transfers 1.5 %; halves go up."""
    kind = charge["payment_method_details"]["type"]
    if kind == "sepa_debit":
        return SEPA_FEE
    if kind == "customer_balance":
        return (amount * 15 + 500) // 1000
    if kind == "us_bank_account":
        return min((amount * 8 + 500) // 1000, ACH_MOST)
    return (amount * 29 + 500) // 1000 + CARD_FIXED


def _entry(kind: str, source: str, charge: Json, amount: int, fee_: int, at_once: bool) -> Json:
    now = clock.now(charge["customer"])
    available = now if at_once else (now // DAY + PENDING_DAYS + 1) * DAY  # at midnight UTC
    made = balance_transaction(now, kind, source, amount, charge["currency"], fee_, available)
    return db().put(made | {"_customer": charge["customer"]})


def shown(transaction: Json) -> Json:
    """The transaction as it stands at its customer's time: pending until `available_on`."""
    now = clock.now(transaction.get("_customer"))
    return transaction | {"status": "available" if transaction["available_on"] <= now else "pending"}

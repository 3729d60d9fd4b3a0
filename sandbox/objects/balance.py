"""balance_transaction."""

from __future__ import annotations

from sandbox import ids
from sandbox.objects.parts import Json

CATEGORIES = {
    "adjustment": "dispute",
    "refund_failure": "refund_failure",
    "payment": "charge",
    "payment_refund": "refund",
}


def balance_transaction(
    created: int, kind: str, source: str, amount: int, currency: str, fee: int = 0, available_on: int = 0
) -> Json:
    """`kind` is charge, payment, refund, payment_refund, refund_failure or adjustment.

    Amounts in minor units, negative when money leaves; `available_on` in UTC seconds.
    """
    return {
        "id": ids.payment("txn", ids.stem_of(source)),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available_on,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [_fee(fee, currency)] if fee else [],
        "net": amount - fee,
        "reporting_category": CATEGORIES.get(kind, kind),
        "source": source,
        "status": "available" if available_on <= created else "pending",
        "type": kind,
    }


def _fee(amount: int, currency: str) -> Json:
    return {
        "amount": amount,
        "application": None,
        "currency": currency,
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }

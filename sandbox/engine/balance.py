"""The customer's balance: negative is a credit that pays the next invoices, positive is added to the next."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.events import change
from sandbox.house import db
from sandbox.objects import customer as shapes

Json = dict[str, Any]


def of(customer: Json, currency: str) -> int:
    """What an invoice in that currency starts from: the balance is in the customer's own currency alone."""
    known = db().get("customer", customer["id"])
    amount: int = known["balance"]
    return amount if known["currency"] in (None, currency) else 0


def move(customer_id: str, amount: int, currency: str, type_: str, given: Json | None = None) -> Json:
    """Add `amount` (minor units) to the balance, record why and tell of it; the customer_balance_transaction.

    `type_` is Stripe's (adjustment, applied_to_invoice, invoice_too_small, unapplied_from_invoice, …). `given` may
    hold invoice, description, metadata.
    """
    customer = db().get("customer", customer_id)
    transaction = record(customer, amount, currency, {"type": type_, **(given or {})})
    change(
        customer,
        "customer.updated",
        balance=transaction["ending_balance"],
        currency=customer["currency"] or currency,
    )
    return transaction


def record(customer: Json, amount: int, currency: str, given: Json) -> Json:
    """The transaction alone, for a customer whose balance is what it was before."""
    fields = {"ending": customer["balance"] + amount, **given}
    now = clock.now(customer["id"])
    return db().put(shapes.balance_transaction(now, customer["id"], amount, currency, fields))

"""The customer's balance: negative is a credit that pays the next invoices, positive is added to the next."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.events import change
from sandbox.house import db
from sandbox.objects import customer as shapes

Json = dict[str, Any]


def move(customer_id: str, amount: int, currency: str, type_: str, given: Json | None = None) -> Json:
    """Add `amount` (minor units) to the balance and record why; the customer_balance_transaction.

    `type_` is Stripe's (adjustment, applied_to_invoice, invoice_too_small, unapplied_from_invoice, …). `given` may
    hold invoice, description, metadata.
    """
    customer = db().get("customer", customer_id)
    ending = customer["balance"] + amount
    transaction = shapes.balance_transaction(
        clock.now(customer_id),
        customer_id,
        amount,
        currency,
        {"type": type_, "ending": ending, **(given or {})},
    )
    db().put(transaction)
    change(customer, "customer.updated", balance=ending, currency=customer["currency"] or currency)
    return transaction


def start(customer: Json, amount: int) -> None:
    """Record the balance that a customer was created with. It has a currency only once it is billed in one."""
    currency = customer["currency"] or "usd"
    given = {"type": "initial", "ending": amount}
    db().put(shapes.balance_transaction(customer["created"], customer["id"], amount, currency, given))

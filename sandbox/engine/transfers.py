"""Bank transfers: a customer sends money, which pays what waits for it (only yen is waited for), oldest first."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import account_balance, charging, states
from sandbox.events import emit
from sandbox.house import db, house
from sandbox.objects import cash

Json = dict[str, Any]

KIND = "customer_balance"


def begin(intent: Json, method: Json) -> None:
    """Wait for the customer's transfer; what it sent before is taken at once."""
    action = cash.instructions(intent["amount"], intent["currency"], house().base_url)
    states.require_action(intent, method, action)
    _reconcile(intent["customer"], intent["currency"])
    intent.update(db().get("payment_intent", intent["id"]))


def fund(customer: Json, amount: int, currency: str, reference: str | None) -> Json:
    """A transfer of `amount` minor units arrives; the transaction that books it."""
    made = _book(customer["id"], currency, amount, cash.funded(currency, reference))
    _reconcile(customer["id"], currency)
    customer = db().get("customer", customer["id"])
    if customer["_cash"][currency]:
        emit("cash_balance.funds_available", cash.cash_balance(customer))
    return made


def _book(customer_id: str, currency: str, amount: int, why: Json) -> Json:
    customer = db().get("customer", customer_id)
    held = customer.get("_cash", {})
    customer["_cash"] = held | {currency: held.get(currency, 0) + amount}
    db().put(customer)
    made = db().put(cash.transaction(clock.now(customer_id), customer, currency, amount, why))
    emit("customer_cash_balance_transaction.created", made)
    return made


def _reconcile(customer_id: str, currency: str) -> None:
    """Use the customer's cash for its payments that wait for a transfer."""
    for intent in db().all(
        "payment_intent", customer=customer_id, status="requires_action", currency=currency
    ):
        left = db().get("customer", customer_id).get("_cash", {}).get(currency, 0)
        waits = (intent["next_action"] or {}).get("display_bank_transfer_instructions")
        if left and waits:
            _apply(intent, waits, min(left, waits["amount_remaining"]))


def _apply(intent: Json, waits: Json, amount: int) -> None:
    _book(
        intent["customer"],
        intent["currency"],
        -amount,
        {"applied_to_payment": {"payment_intent": intent["id"]}},
    )
    waits["amount_remaining"] -= amount
    db().put(intent)
    if waits["amount_remaining"]:
        emit("payment_intent.partially_funded", intent)
        return
    method = db().get("payment_method", intent["payment_method"])
    charge = charging.make(intent, method, "captured")
    charge["balance_transaction"] = account_balance.credit(charge)["id"]
    db().put(charge)
    emit("charge.succeeded", charge)
    states.succeed(intent, charge)
    states.settled(intent)

"""Authorisations: captured in full or in part, released, or expired after seven days."""

from __future__ import annotations

from typing import Any

from sandbox import cards, ids
from sandbox.engine import account_balance, aftermath, states
from sandbox.events import change
from sandbox.house import db, house

Json = dict[str, Any]


def capture(charge: Json, amount: int) -> Json:
    """Take `amount` minor units of what is held and release the rest."""
    method = db().get("payment_method", charge["payment_method"])
    card = cards.known(method["_number"])
    entry = account_balance.credit(charge | {"amount_captured": amount}, card.available_at_once)
    change(charge, "charge.captured", amount_captured=amount, balance_transaction=entry["id"], captured=True)
    states.succeed(db().get("payment_intent", charge["payment_intent"]), charge)
    if amount < charge["amount"]:
        change(
            charge, "charge.refunded", amount_refunded=charge["amount"] - amount, receipt_url=receipt(charge)
        )
    aftermath.follow(charge, card, bool(charge["payment_method_details"]["card"]["three_d_secure"]))
    return charge


def release(charge: Json) -> None:
    """Give back the whole hold."""
    change(
        charge,
        "charge.refunded",
        amount_refunded=charge["amount"],
        refunded=True,
        receipt_url=receipt(charge),
    )


def expire(charge_id: str) -> None:
    """Nobody captured it in time."""
    charge = db().get("charge", charge_id)
    change(
        charge, "charge.expired", amount_refunded=charge["amount"], refunded=True, receipt_url=receipt(charge)
    )
    states.cancel(db().get("payment_intent", charge["payment_intent"]), "expired")


def receipt(charge: Json) -> str:
    """A receipt's new address; every change of what was paid gives it one. The one before leads to it still."""
    db().set_token(charge["receipt_url"].rpartition("/")[2], {"kind": "receipt", "charge": charge["id"]})
    return f"{house().base_url}/receipts/{ids.random_text(40)}"

"""Refunds: at once, later, or sent back by the bank."""

from __future__ import annotations

from typing import Any

from sandbox import cards, clock
from sandbox.engine import account_balance, captures, disputes
from sandbox.errors import request_error
from sandbox.events import change, difference, emit
from sandbox.house import db
from sandbox.objects import aftermath as shapes
from sandbox.store import public

Json = dict[str, Any]

SETTLES = 86400  # ours: how long a pending or failing refund takes


def left(charge: Json) -> int:
    """What can still be given back, in minor units."""
    amount: int = charge["amount"] - charge["amount_refunded"]
    return amount


def refund(charge: Json, amount: int, given: Json) -> Json:
    """Give back `amount` minor units, as the card settles it: at once, later, or not at all."""
    _check(charge, amount)
    now = clock.now(charge["customer"])
    made = shapes.refund(now, charge, amount, given)
    kind = _kind(charge)
    if kind == "pending":
        made |= {"status": "pending", "pending_reason": "processing"}
    if kind != "succeeds":
        made["_settles_at"] = now + SETTLES
    made["balance_transaction"] = account_balance.debit("refund", made["id"], charge, -amount)["id"]
    db().put(made)
    emit("refund.created", made)
    _take_back(charge, amount)
    if given.get("reason") == "fraudulent":
        change(charge, "charge.updated", fraud_details={"user_report": "fraudulent"})
    return made


def _check(charge: Json, amount: int) -> None:
    if charge["disputed"] and not _refundable(charge):
        raise request_error(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge_disputed"
        )
    if left(charge) <= 0:
        raise request_error(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
    if amount > left(charge):
        raise request_error(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left(charge)})",
            param="amount",
        )


def _refundable(charge: Json) -> bool:
    return all(each["is_charge_refundable"] for each in db().all("dispute", charge=charge["id"]))


def _kind(charge: Json) -> str:
    method = db().get("payment_method", charge["payment_method"])
    return cards.known(method["_number"]).refund if method["type"] == "card" else "succeeds"


def _take_back(charge: Json, amount: int) -> None:
    total = charge["amount_refunded"] + amount
    full = total == charge["amount"]
    change(
        charge, "charge.refunded", amount_refunded=total, refunded=full, receipt_url=captures.receipt(charge)
    )
    if full:
        disputes.mute_warnings(charge)


def updated(made: Json, **fields: Any) -> Json:
    """Change a refund and tell it twice: `charge.refund.updated` is the older twin of `refund.updated`."""
    before = public(db().get("refund", made["id"]))
    change(made, "refund.updated", **fields)
    previous = difference(before, public(made))
    if previous:
        emit("charge.refund.updated", made, previous)
    return made


def settle(refund_id: str) -> None:
    """The bank's late answer: the money arrives, or comes back and the charge is whole again."""
    made = db().get("refund", refund_id)
    made["_settles_at"] = None
    charge = db().get("charge", made["charge"])
    if _kind(charge) == "pending":
        made.pop("pending_reason", None)
        updated(made, status="succeeded")
        return
    entry = account_balance.debit("refund_failure", made["id"], charge, made["amount"])
    updated(made, status="failed", failure_reason="unknown", failure_balance_transaction=entry["id"])
    emit("refund.failed", made)
    change(
        charge,
        "charge.updated",
        amount_refunded=charge["amount_refunded"] - made["amount"],
        refunded=False,
        receipt_url=captures.receipt(charge),
    )

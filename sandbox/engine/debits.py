"""Bank debits: asked for now, collected or refused days later (here: minutes)."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import account_balance, banks, charging, methods, states
from sandbox.events import emit
from sandbox.house import db, house

Json = dict[str, Any]


def begin(intent: Json, method: Json) -> None:
    """Send the debit to the bank. It settles by the wall clock: test clocks do not collect bank debits."""
    charge = charging.make(intent, method, "pending")
    slow = banks.account_of(method).slow
    charge["_settles_at"] = clock.wall() + (house().settings()["bank_debit_seconds"] if slow else 0)
    db().put(charge)
    states.process(intent, method, charge)
    emit("charge.pending", charge)


def settle(charge_id: str) -> None:
    """The bank's answer. It happens at the customer's own time, whichever clock it was due by."""
    charge = db().get("charge", charge_id)
    with db().transaction(moment=clock.own(charge["customer"])):
        charge["_settles_at"] = None
        intent = db().get("payment_intent", charge["payment_intent"])
        method = db().get("payment_method", charge["payment_method"])
        decline = banks.account_of(method).decline
        if decline is None:
            charge.update(status="succeeded", paid=True)
            charge["balance_transaction"] = account_balance.credit(charge)["id"]
            db().put(charge)
            emit("charge.succeeded", charge)
            states.succeed(intent, charge)
        else:
            charge.update(
                status="failed", amount_captured=0, captured=False,
                failure_code=decline.code, failure_message=decline.message,
            )  # fmt: skip
            db().put(charge)
            emit("charge.failed", charge)
            states.fail(intent, methods.refusal(decline, charge, method))
        states.settled(intent)

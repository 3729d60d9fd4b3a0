"""Charges: one for each attempt that reaches the bank."""

from __future__ import annotations

from typing import Any

from sandbox import cards, clock
from sandbox.engine import account_balance, aftermath, methods, states
from sandbox.events import emit
from sandbox.house import db, house
from sandbox.objects import charge as shapes

Json = dict[str, Any]


def decline(intent: Json, method: Json, reason: cards.Decline) -> Json:
    """A failed charge; the error that the intent now carries."""
    charge = make(intent, method, "failed", reason.as_json())
    emit("charge.failed", charge)
    error = methods.refusal(reason, charge, method)
    intent["latest_charge"] = charge["id"]
    states.fail(intent, error)
    return error


def collect(intent: Json, method: Json) -> None:
    """A card charge that the bank allows: taken, or held until it is captured."""
    if intent["capture_method"] == "manual":
        charge = make(intent, method, "authorized")
        emit("charge.succeeded", charge)
        states.hold(intent, method, charge)
        return
    card = cards.known(method["_number"])
    late = intent["capture_method"] == "automatic_async"
    charge = make(intent, method, "captured")
    if not late:
        credit(charge, card)
    emit("charge.succeeded", charge)
    states.succeed(intent, charge)
    if late:
        credit(charge, card)
        emit("charge.updated", charge, {"balance_transaction": None}, late=house().settings()["late_seconds"])
    aftermath.follow(charge, card, bool(method.get("_flow")))


def make(intent: Json, method: Json, state: shapes.State, reason: Json | None = None) -> Json:
    now = clock.now(intent["customer"])
    charge = shapes.charge(now, intent, method, state, reason, house().base_url)
    return db().put(charge)


def credit(charge: Json, card: cards.TestCard) -> None:
    """Put the charge's money on the balance, and its transaction on the charge."""
    charge["balance_transaction"] = account_balance.credit(charge, card.available_at_once)["id"]
    db().put(charge)

"""A PaymentIntent's way from state to state, its events, and who wants to know how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import clock
from sandbox.events import emit
from sandbox.house import db

Json = dict[str, Any]

# By kind of the owner (`invoice`, `checkout.session`): called with the owner's id and the intent, succeeded or
# requires_payment_method, when it ended apart from its owner: a debit settled, or the API confirmed it.
ON_SETTLED: dict[str, Callable[[str, Json], None]] = {}


def owner(intent: Json) -> tuple[str, str] | None:
    """The kind and id of the invoice or Checkout Session that the intent pays, or None."""
    kept = intent.get("_belongs_to")
    return (kept[0], kept[1]) if kept else None


def settled(intent: Json) -> None:
    """Tell whoever the intent belongs to that it ended."""
    belongs = owner(intent)
    if belongs is not None and belongs[0] in ON_SETTLED:
        ON_SETTLED[belongs[0]](belongs[1], intent)


def require_action(intent: Json, method: Json, next_action: Json) -> None:
    _move(intent, "requires_action", payment_method=method["id"], next_action=next_action)
    emit("payment_intent.requires_action", intent)


def process(intent: Json, method: Json, charge: Json) -> None:
    _move(intent, "processing", payment_method=method["id"], latest_charge=charge["id"])
    emit("payment_intent.processing", intent)


def hold(intent: Json, method: Json, charge: Json) -> None:
    amount = charge["amount"]
    _move(
        intent, "requires_capture",
        payment_method=method["id"], latest_charge=charge["id"], amount_capturable=amount,
    )  # fmt: skip
    emit("payment_intent.amount_capturable_updated", intent)


def succeed(intent: Json, charge: Json) -> None:
    _move(
        intent, "succeeded",
        payment_method=charge["payment_method"], latest_charge=charge["id"],
        amount_capturable=0, amount_received=charge["amount_captured"],
    )  # fmt: skip
    emit("payment_intent.succeeded", intent)


def fail(intent: Json, error: Json) -> None:
    """The attempt came to nothing; the intent waits for another payment method."""
    _move(intent, "requires_payment_method", error, payment_method=None)
    emit("payment_intent.payment_failed", intent)


def cancel(intent: Json, reason: str | None) -> None:
    _move(
        intent, "canceled", intent["last_payment_error"],
        amount_capturable=0, canceled_at=clock.now(intent["customer"]), cancellation_reason=reason,
    )  # fmt: skip
    emit("payment_intent.canceled", intent)


def _move(intent: Json, status: str, error: Json | None = None, **fields: Any) -> None:
    intent.update({"next_action": None, "last_payment_error": error} | fields | {"status": status})
    db().put(intent)

"""SetupIntents: saving a payment method for later."""

from __future__ import annotations

from typing import Any

from sandbox import cards, clock
from sandbox.engine import methods, payments
from sandbox.engine.payments import AUTHENTICATION_FAILED, Attempt
from sandbox.events import emit
from sandbox.house import db
from sandbox.objects import intents

Json = dict[str, Any]


def open_setup(customer: str | None, given: Json) -> Json:
    metadata = given.get("metadata", {})
    intent = db().put(intents.setup_intent(clock.now(customer), customer, metadata, given))
    emit("setup_intent.created", intent)
    return intent


def set_up(
    intent: Json | None,
    customer: str | None,
    method: Json,
    authenticated: bool = False,
    url: str = "",
    action: Json | None = None,
) -> tuple[Json, Attempt]:
    """Save a payment method for later: a SetupIntent (a new one without `intent`) and what came of it."""
    if intent is None:
        intent = open_setup(customer, {})
    intent["customer"] = customer
    intent["payment_method"] = method["id"]
    if method["type"] != "card":
        intent["mandate"] = method["_mandate"]
        return intent, _saved(intent, method)
    card = cards.known(method["_number"])
    on_request = card.three_d_secure == "on_request" and payments.requested(intent)
    if (card.asks_at_setup or on_request) and not authenticated:
        intent.update(
            status="requires_action", next_action=action or payments.next_action(url), last_setup_error=None
        )
        db().put(intent)
        emit("setup_intent.requires_action", intent)
        return intent, Attempt("action")
    if card.decline is not None and not card.attaches:
        return intent, _failed(intent, methods.refusal(card.decline, None, method))
    return intent, _saved(intent, method)


def _saved(intent: Json, method: Json) -> Attempt:
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    db().put(intent)
    if intent["usage"] == "off_session":
        method["_set_up"] = True
        db().put(method)
    emit("setup_intent.succeeded", intent)
    return Attempt("paid")


def fail_setup_authentication(intent: Json) -> None:
    method = db().find("payment_method", intent["payment_method"])
    decline = cards.Decline("setup_intent_authentication_failure", None, AUTHENTICATION_FAILED)
    _failed(intent, methods.refusal(decline, None, method) | {"type": "invalid_request_error"})


def cancel(intent: Json, reason: str | None) -> Json:
    intent.update(status="canceled", cancellation_reason=reason, next_action=None)
    db().put(intent)
    emit("setup_intent.canceled", intent)
    return intent


def _failed(intent: Json, error: Json) -> Attempt:
    intent.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error
    )
    db().put(intent)
    emit("setup_intent.setup_failed", intent)
    return Attempt("declined", error)

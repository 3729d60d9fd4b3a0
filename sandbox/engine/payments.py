"""Paying with a PaymentIntent: 3D Secure, the bank's answer, and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sandbox import cards, clock
from sandbox.engine import banks, captures, charging, debits, methods, states, transfers
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import intents

Json = dict[str, Any]

AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method."
    " Please choose a different payment method and try again."
)


@dataclass(frozen=True)
class Attempt:
    """`error` is what the intent's last_payment_error became; only for `declined`.

    `processing` is a bank debit under way: `states.ON_SETTLED` hears of its end.
    """

    result: Literal["paid", "declined", "action", "processing"]
    error: Json | None = None


def open_intent(amount: int, currency: str, customer: str | None, given: Json) -> Json:
    """A PaymentIntent for an invoice or Checkout (`given["belongs_to"]`: kind and id), or by itself."""
    given = {"payment_method_types": banks.types_for(currency)} | given
    intent = intents.payment_intent(clock.now(customer), amount, currency, customer, given)
    db().put(intent)
    emit("payment_intent.created", intent)
    return intent


def belong(intent: Json, kind: str, id_: str) -> None:
    """Let the intent pay that invoice or Checkout Session from now on."""
    intent["_belongs_to"] = [kind, id_]
    db().put(intent)


def challenged(method: Json, off_session: bool, requested: bool = False) -> bool:
    """Whether the bank asks for 3D Secure now; `requested` where the payment itself demands it."""
    if method["type"] != "card":
        return False
    rule = cards.known(method["_number"]).three_d_secure
    if rule in ("never", "frictionless"):
        return False
    if rule == "on_request":
        return requested and not off_session
    return rule == "always" or not (off_session and method["_set_up"])


def will_be_saved(method: Json, authenticated: bool) -> bool:
    if method["type"] != "card":
        return True
    card = cards.known(method["_number"])
    return (card.decline is None or card.attaches) and (authenticated or not card.asks_at_setup)


def will_be_paid(method: Json, off_session: bool, authenticated: bool) -> bool:
    """Whether an attempt now ends well, at once or as a debit that is under way."""
    if method["type"] != "card":
        return True
    return cards.known(method["_number"]).decline is None and (
        authenticated or not challenged(method, off_session)
    )


def confirm(
    intent: Json,
    method: Json,
    off_session: bool,
    authenticated: bool = False,
    url: str = "",
    action: Json | None = None,
) -> Attempt:
    """One attempt. `url` is the challenge page where a person is there to answer it, `action` a whole
    next_action in its stead."""
    if method["type"] == transfers.KIND:
        transfers.begin(intent, method)
        return Attempt("paid" if intent["status"] == "succeeded" else "action")
    if method["type"] != "card":
        debits.begin(intent, method)
        return Attempt("processing")
    if not authenticated and challenged(method, off_session, requested(intent)):
        states.require_action(intent, method, action or next_action(url))
        return Attempt("action")
    if off_session and methods.expired(method, clock.now(intent["customer"])):
        return Attempt("declined", charging.decline(intent, method, cards.EXPIRED))
    card = cards.known(method["_number"])
    if card.decline is not None:
        return Attempt("declined", charging.decline(intent, method, card.decline))
    charging.collect(intent, method | {"_flow": _flow(card, off_session, authenticated)})
    if intent["setup_future_usage"] == "off_session":
        db().put(db().get("payment_method", method["id"]) | {"_set_up": True})
    return Attempt("paid")


def _flow(card: cards.TestCard, off_session: bool, authenticated: bool) -> str | None:
    """How 3D Secure went, if there was any."""
    if authenticated:
        return "challenge"
    return "frictionless" if card.three_d_secure == "frictionless" and not off_session else None


def requested(intent: Json) -> bool:
    """Whether the intent itself demands 3D Secure wherever the card has it."""
    card = intent["payment_method_options"].get("card") or {}
    return card.get("request_three_d_secure") in ("any", "challenge")


def next_action(url: str, return_url: str | None = None, sdk: bool = False) -> Json:
    """Where the challenge waits; for Stripe.js (`sdk`) where it is to be shown inside the shop's page."""
    if url and not sdk:
        return {"redirect_to_url": {"return_url": return_url, "url": url}, "type": "redirect_to_url"}
    challenge = {"stripe_js": url, "type": "three_d_secure_redirect"} if url else {}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": challenge}


def waits_for(intent: Json, method_id: str) -> bool:
    """Whether this intent still waits for the challenge of that card: a later attempt ends an earlier one."""
    return bool(intent["status"] == "requires_action" and intent["payment_method"] == method_id)


def fail_authentication(intent: Json) -> Json:
    """The person did not pass 3D Secure; there is no charge. The error, as the intent now carries it."""
    method = db().find("payment_method", intent["payment_method"])
    code = "payment_intent_authentication_failure"
    error = methods.refusal(cards.Decline(code, None, AUTHENTICATION_FAILED), None, method)
    states.fail(intent, error | {"type": "invalid_request_error"})
    return error


def cancel(intent: Json, reason: str | None) -> None:
    """Give it up unless it is over or under way; what was held is released."""
    if intent["status"] in ("succeeded", "canceled", "processing"):
        return
    if intent["status"] == "requires_capture":
        captures.release(db().get("charge", intent["latest_charge"]))
    states.cancel(intent, reason)


def adopt(intent: Json, customer_id: str) -> None:
    """Give an intent made for a guest its customer, once there is one."""
    if intent["customer"] is None:
        change(intent, None, customer=customer_id)

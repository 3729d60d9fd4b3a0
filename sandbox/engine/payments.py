"""PaymentIntents and SetupIntents: asking the bank, 3D Secure, charges and their balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sandbox import cards, clock
from sandbox.engine import aftermath, methods
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import charge as charges
from sandbox.objects import intents

Json = dict[str, Any]

AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method."
    " Please choose a different payment method and try again."
)


@dataclass(frozen=True)
class Attempt:
    """`error` is what the intent's last_payment_error became; only for `declined`."""

    result: Literal["paid", "declined", "action"]
    error: Json | None = None


def open_intent(amount: int, currency: str, customer: str | None, given: Json) -> Json:
    intent = intents.payment_intent(clock.now(customer), amount, currency, customer, given)
    db().put(intent)
    emit("payment_intent.created", intent)
    return intent


def challenged(method: Json, off_session: bool) -> bool:
    """Whether the bank asks for 3D Secure now."""
    rule = cards.known(method["_number"]).three_d_secure
    if rule == "never":
        return False
    return rule == "always" or not (off_session and method["_set_up"])


def will_be_saved(method: Json, authenticated: bool) -> bool:
    card = cards.known(method["_number"])
    asked = card.three_d_secure != "never" and not card.already_set_up
    return (card.decline is None or card.attaches) and (authenticated or not asked)


def will_be_paid(method: Json, off_session: bool, authenticated: bool) -> bool:
    return cards.known(method["_number"]).decline is None and (
        authenticated or not challenged(method, off_session)
    )


def confirm(
    intent: Json, method: Json, off_session: bool, authenticated: bool = False, url: str = ""
) -> Attempt:
    """One attempt with a card. `url` is the challenge page where a person is there to answer it."""
    if not authenticated and challenged(method, off_session):
        _ask(intent, method, url)
        return Attempt("action")
    decline = cards.known(method["_number"]).decline
    if decline is not None:
        return _declined(intent, method, decline)
    _charge(intent, method | {"_authenticated": authenticated})
    if intent["setup_future_usage"] == "off_session":
        db().put(method | {"_set_up": True})
    return Attempt("paid")


def _ask(intent: Json, method: Json, url: str) -> None:
    redirect = {"redirect_to_url": {"return_url": None, "url": url}, "type": "redirect_to_url"}
    intent.update(
        status="requires_action",
        payment_method=method["id"],
        last_payment_error=None,
        next_action=redirect if url else {"type": "use_stripe_sdk", "use_stripe_sdk": {}},
    )
    db().put(intent)
    emit("payment_intent.requires_action", intent)


def waits_for(intent: Json, method_id: str) -> bool:
    """Whether this intent still waits for the challenge of that card: a later attempt ends an earlier one."""
    return bool(intent["status"] == "requires_action" and intent["payment_method"] == method_id)


def fail_authentication(intent: Json) -> Json:
    """The person did not pass 3D Secure; there is no charge. The error, as the intent now carries it."""
    method = db().find("payment_method", intent["payment_method"])
    code = "payment_intent_authentication_failure"
    error = methods.refusal(cards.Decline(code, None, AUTHENTICATION_FAILED), None, method)
    _back(intent, error | {"type": "invalid_request_error"})
    return error


def _declined(intent: Json, method: Json, decline: cards.Decline) -> Attempt:
    charge = charges.charge(
        clock.now(intent["customer"]), intent, method, decline.as_json(), house().base_url
    )
    db().put(charge)
    emit("charge.failed", charge)
    error = methods.refusal(decline, charge, method)
    intent["latest_charge"] = charge["id"]
    _back(intent, error)
    return Attempt("declined", error)


def _back(intent: Json, error: Json) -> None:
    intent.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error
    )
    db().put(intent)
    emit("payment_intent.payment_failed", intent)


def _charge(intent: Json, method: Json) -> None:
    charge = charges.charge(clock.now(intent["customer"]), intent, method, None, house().base_url)
    late = intent["capture_method"] == "automatic_async"
    if not late:
        charge["balance_transaction"] = _credit(charge)["id"]
    db().put(charge)
    emit("charge.succeeded", charge)
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        payment_method=method["id"],
        next_action=None,
        last_payment_error=None,
    )
    db().put(intent)
    emit("payment_intent.succeeded", intent)
    if late:
        charge["balance_transaction"] = _credit(charge)["id"]
        db().put(charge)
        emit("charge.updated", charge, {"balance_transaction": None}, late=house().settings()["late_seconds"])
    aftermath.follow(charge, cards.known(method["_number"]), bool(method["_authenticated"]))


def _credit(charge: Json) -> Json:
    amount = charge["amount"]
    fee = min(amount * 29 // 1000 + 30, amount)
    transaction = charges.balance_transaction(
        charge["created"], "charge", charge["id"], amount, charge["currency"], fee
    )
    return db().put(transaction)


def cancel(intent: Json, reason: str) -> None:
    if intent["status"] in ("succeeded", "canceled"):
        return
    intent.update(
        status="canceled",
        canceled_at=clock.now(intent["customer"]),
        cancellation_reason=reason,
        next_action=None,
    )
    db().put(intent)
    emit("payment_intent.canceled", intent)


def set_up(
    intent: Json | None, customer: str | None, method: Json, authenticated: bool = False, url: str = ""
) -> tuple[Json, Attempt]:
    """Save a card for later: a SetupIntent (a new one without `intent`) and what came of it."""
    if intent is None:
        intent = intents.setup_intent(clock.now(customer), customer, {})
        db().put(intent)
        emit("setup_intent.created", intent)
    intent["customer"] = customer
    card = cards.known(method["_number"])
    intent["payment_method"] = method["id"]
    if card.three_d_secure != "never" and not card.already_set_up and not authenticated:
        redirect = {"redirect_to_url": {"return_url": None, "url": url}, "type": "redirect_to_url"}
        intent.update(status="requires_action", next_action=redirect)
        db().put(intent)
        emit("setup_intent.requires_action", intent)
        return intent, Attempt("action")
    if card.decline is not None and not card.attaches:
        return intent, _setup_failed(intent, methods.refusal(card.decline, None, method))
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    db().put(intent)
    db().put(method | {"_set_up": True})
    method["_set_up"] = True
    emit("setup_intent.succeeded", intent)
    return intent, Attempt("paid")


def fail_setup_authentication(intent: Json) -> None:
    method = db().find("payment_method", intent["payment_method"])
    decline = cards.Decline("setup_intent_authentication_failure", None, AUTHENTICATION_FAILED)
    _setup_failed(intent, methods.refusal(decline, None, method) | {"type": "invalid_request_error"})


def _setup_failed(intent: Json, error: Json) -> Attempt:
    intent.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_setup_error=error
    )
    db().put(intent)
    emit("setup_intent.setup_failed", intent)
    return Attempt("declined", error)


def adopt(intent: Json, customer_id: str) -> None:
    """Give an intent made for a guest its customer, once there is one."""
    if intent["customer"] is None:
        change(intent, None, customer=customer_id)

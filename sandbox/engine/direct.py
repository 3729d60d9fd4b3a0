"""PaymentIntents that the API itself confirms, captures and cancels, and what each state allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sandbox import cards, clock, ids
from sandbox.engine import banks, captures, charging, methods, payments, states
from sandbox.errors import ApiError, card_error, request_error
from sandbox.house import db, house
from sandbox.outcomes import Outcome
from sandbox.store import public

Json = dict[str, Any]

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*CONFIRMABLE, "requires_capture")


@dataclass(frozen=True)
class Confirmation:
    """How an intent is confirmed. `acceptance` is a mandate's customer_acceptance; `sdk` asks for 3D Secure
    inside the shop's page, `refuse_action` for a failure where 3D Secure would be needed."""

    method: Json | None = None
    off_session: bool = False
    return_url: str | None = None
    refuse_action: bool = False
    acceptance: Json | None = None
    sdk: bool = False


def unexpected(intent: Json, message: str) -> ApiError:
    """400: the intent's state does not allow it; the error holds the intent, as at Stripe."""
    kind = intent["object"]  # payment_intent or setup_intent
    problem = request_error(message, f"{kind}_unexpected_state")
    problem.error[kind] = public(intent)
    return problem


def choose(intent: Json, method: Json) -> None:
    """Let the intent be paid with `method` once it is confirmed."""
    _fits(intent, method)
    intent.update(payment_method=method["id"], status="requires_confirmation", next_action=None)
    db().put(intent)


def _fits(intent: Json, method: Json) -> None:
    if method["type"] not in intent["payment_method_types"]:
        raise request_error(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent: it takes"
            f" {', '.join(intent['payment_method_types'])}.",
            "payment_intent_incompatible_payment_method",
            "payment_method",
        )
    if method.get("_detached"):
        raise request_error(
            "The provided PaymentMethod was detached from a Customer. It may not be used again.",
            param="payment_method",
        )
    if method["type"] in banks.BY_TRANSFER and not intent["customer"]:
        raise request_error("A bank transfer needs a customer who sends it.", "parameter_missing", "customer")
    if method["customer"] not in (None, intent["customer"]):
        raise request_error(
            f"The payment method {method['id']} belongs to the customer {method['customer']}. Include that"
            " customer in the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )


def confirm(intent: Json, given: Confirmation) -> Json:
    """Try to be paid. 402 with the intent in the error when the bank refuses; that attempt is kept."""
    _may_confirm(intent)
    method = given.method or db().find("payment_method", intent["payment_method"])
    if method is None:
        raise unexpected(
            intent,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update"
            " the PaymentIntent with a payment method and then confirm it again, or confirm it again directly"
            " with a payment method or ConfirmationToken.",
        )
    _fits(intent, method)
    if method["type"] in banks.CURRENCY:
        method = banks.accept(method, given.acceptance, clock.now(intent["customer"]))
    authenticated = intent.pop("_authenticated", None) == method["id"]
    wanted = payments.requested(intent)
    absent = given.off_session or given.refuse_action
    if absent and not authenticated and payments.challenged(method, given.off_session, wanted):
        error = charging.decline(intent, method, cards.AUTHENTICATION_REQUIRED)
        return _refused(intent, error)
    token = ids.random_text(32)
    url = f"{house().base_url}/3ds/{token}"
    action = payments.next_action(url, given.return_url, given.sdk or not given.return_url)
    attempt = payments.confirm(intent, method, given.off_session, authenticated, action=action)
    if attempt.result == "action" and method["type"] == "card":
        kept = {"intent": intent["id"], "method": method["id"], "return_url": given.return_url}
        db().set_token(token, {"kind": "payment_intent"} | kept)
        return intent
    if attempt.result == "declined":
        return _refused(intent, attempt.error or {})
    _done(intent, method)
    return intent


def _may_confirm(intent: Json) -> None:
    if (states.owner(intent) or ("", ""))[0] == "checkout.session":
        raise unexpected(
            intent, "You cannot confirm this PaymentIntent because it belongs to a Checkout Session."
        )
    if intent["status"] == "succeeded":
        raise unexpected(
            intent,
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously"
            " confirmed.",
        )
    if intent["status"] not in CONFIRMABLE:
        raise unexpected(
            intent, f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}."
        )


def _refused(intent: Json, error: Json) -> Json:
    states.settled(intent)
    raise card_error(error, payment_intent=public(intent))


def _done(intent: Json, method: Json) -> None:
    if intent["setup_future_usage"] and intent["customer"]:
        methods.bind(db().get("payment_method", method["id"]), intent["customer"])
    if intent["status"] == "succeeded":
        states.settled(intent)


def answer(token: Json, passed: bool) -> Outcome:
    """The person answered the bank's challenge of one attempt; the browser goes to the return_url."""
    intent = db().get("payment_intent", token["intent"])
    if payments.waits_for(intent, token["method"]):
        method = db().get("payment_method", token["method"])
        if not passed:
            payments.fail_authentication(intent)
            states.settled(intent)
        elif intent["confirmation_method"] == "manual":  # the server confirms once more, then it is charged
            choose(intent | {"_authenticated": method["id"]}, method)
        elif payments.confirm(intent, method, False, authenticated=True).result == "paid":
            _done(intent, method)
        else:
            states.settled(intent)
    failed = db().get("payment_intent", intent["id"])["status"] == "requires_payment_method"
    return onward(token["return_url"], "payment_intent", intent, failed)


def onward(return_url: str | None, kind: str, intent: Json, failed: bool) -> Outcome:
    """Back to the page that asked, which is told how it went; `kind` is payment_intent or setup_intent."""
    told = {
        kind: intent["id"],
        f"{kind}_client_secret": intent["client_secret"],
        "redirect_status": "failed" if failed else "succeeded",
    }
    joint = "&" if "?" in (return_url or "") else "?"
    address = f"{return_url}{joint}{urlencode(told)}" if return_url else "/"
    return Outcome("declined" if failed else "done", redirect_url=address)


def capture(intent: Json, amount: int | None) -> Json:
    """Take what is held, or `amount` minor units of it."""
    if intent["status"] != "requires_capture":
        raise unexpected(
            intent,
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a"
            " PaymentIntent with one of the following statuses may be captured: requires_capture.",
        )
    if amount is not None and amount > intent["amount_capturable"]:
        raise request_error(
            f"The amount_to_capture ({amount}) is greater than the amount_capturable"
            f" ({intent['amount_capturable']}).",
            "amount_too_large",
            "amount_to_capture",
        )
    charge = db().get("charge", intent["latest_charge"])
    captures.capture(charge, intent["amount_capturable"] if amount is None else amount)
    return db().get("payment_intent", intent["id"])


def cancel(intent: Json, reason: str | None) -> Json:
    belongs = states.owner(intent)
    if belongs is not None and not _over(belongs):
        way_out = "expire the session" if belongs[0] == "checkout.session" else "void the invoice"
        raise unexpected(
            intent, f"You cannot cancel this PaymentIntent because it belongs to {belongs[1]}: {way_out}."
        )
    if intent["status"] not in CANCELABLE:
        raise unexpected(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a"
            " PaymentIntent with one of the following statuses may be canceled:"
            f" {', '.join(CANCELABLE)}.",
        )
    payments.cancel(intent, reason)
    return intent


def _over(belongs: tuple[str, str]) -> bool:
    return db().get(*belongs)["status"] not in ("open", "draft")

"""SetupIntents that the API itself confirms and cancels, and what each state allows."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids
from sandbox.engine import banks, methods, payments, setups
from sandbox.engine.direct import CONFIRMABLE, Confirmation, onward, unexpected
from sandbox.errors import card_error, request_error
from sandbox.house import db, house
from sandbox.outcomes import Outcome
from sandbox.store import public

Json = dict[str, Any]


def choose(intent: Json, method: Json) -> None:
    """Let `method` be saved once the intent is confirmed."""
    _fits(intent, method)
    intent.update(payment_method=method["id"], status="requires_confirmation", next_action=None)
    db().put(intent)


def _fits(intent: Json, method: Json) -> None:
    if method["type"] not in intent["payment_method_types"]:
        raise request_error(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this SetupIntent: it takes"
            f" {', '.join(intent['payment_method_types'])}.",
            param="payment_method",
        )
    if method["customer"] not in (None, intent["customer"]):
        raise request_error(
            f"The payment method {method['id']} belongs to the customer {method['customer']}. Include that"
            " customer in the `customer` parameter on the SetupIntent.",
            param="payment_method",
        )


def confirm(intent: Json, given: Confirmation) -> Json:
    """Save the payment method. 402 with the intent in the error when the bank refuses."""
    if intent["status"] not in CONFIRMABLE:
        raise unexpected(
            intent, f"You cannot confirm this SetupIntent because it has a status of {intent['status']}."
        )
    method = given.method or db().find("payment_method", intent["payment_method"])
    if method is None:
        raise unexpected(
            intent,
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the SetupIntent"
            " with a payment method and then confirm it again.",
        )
    _fits(intent, method)
    if method["type"] != "card":
        method = banks.accept(method, given.acceptance, clock.now(intent["customer"]))
    token = ids.random_text(32)
    url = f"{house().base_url}/3ds/{token}"
    action = payments.next_action(url, given.return_url, given.sdk or not given.return_url)
    intent, attempt = setups.set_up(intent, intent["customer"], method, action=action)
    if attempt.result == "action":
        kept = {"intent": intent["id"], "method": method["id"], "return_url": given.return_url}
        db().set_token(token, {"kind": "setup_intent"} | kept)
    elif attempt.result == "declined":
        raise card_error(attempt.error or {}, setup_intent=public(intent))
    elif intent["customer"]:
        methods.bind(method, intent["customer"])
    return intent


def answer(token: Json, passed: bool) -> Outcome:
    """The person answered the bank's challenge; the browser goes to the return_url."""
    intent = db().get("setup_intent", token["intent"])
    if payments.waits_for(intent, token["method"]):
        method = db().get("payment_method", token["method"])
        if not passed:
            setups.fail_setup_authentication(intent)
        else:
            intent, attempt = setups.set_up(intent, intent["customer"], method, authenticated=True)
            if attempt.result == "paid" and intent["customer"]:
                methods.bind(method, intent["customer"])
    failed = db().get("setup_intent", intent["id"])["status"] == "requires_payment_method"
    return onward(token["return_url"], "setup_intent", intent, failed)


def cancel(intent: Json, reason: str | None) -> Json:
    if intent["status"] not in CONFIRMABLE:
        raise unexpected(
            intent,
            f"You cannot cancel this SetupIntent because it has a status of {intent['status']}. Only a"
            " SetupIntent with one of the following statuses may be canceled:"
            f" {', '.join(CONFIRMABLE)}.",
        )
    return setups.cancel(intent, reason)

"""One attempt after the other to pay or to save a payment method, until one succeeds."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids
from sandbox.engine import banks, customers, payments, setups, typed_methods
from sandbox.engine.checkout import finish, sums, typed
from sandbox.house import db
from sandbox.outcomes import Bank, Card, Outcome, Typed

Json = dict[str, Any]

CLOSED = "This page is no longer open."
CUSTOMER_GONE = "The customer of this page was deleted. Nothing was charged."
NOT_CONFIRMED = "The bank did not confirm this payment. Nothing was charged: try again or use another card."


def submit(session_id: str, means: Card | Bank | None, said: Typed) -> Outcome:
    """The person pressed the button. `means` may be None only where nothing is needed."""
    session = sums.find(session_id)
    if session["status"] != "open":
        return Outcome("bad_input", CLOSED)
    wrong = typed.problems(session, said)
    if wrong:
        return Outcome("bad_input", errors=wrong)
    if means is None and sums.needs_method(session):
        return Outcome("bad_input", "Enter a card number", "number")
    typed.keep(session, said)
    if means is None:
        return _refusal(session) or finish.complete(session, None)
    method = typed_methods.make(means, _billing(session), clock.now(session["customer"]))
    if isinstance(method, Outcome):
        return method
    return _attempt(session, method, authenticated=False)


def _refusal(session: Json) -> Outcome | None:
    """Of a deleted customer nothing new is made: no payment, no payment method, no subscription."""
    customer = db().get("customer", session["customer"]) if session["customer"] else {}
    return Outcome("declined", CUSTOMER_GONE) if customer.get("_deleted") else None


def _billing(session: Json) -> Json:
    kept = session["_typed"]
    redisplay = "always" if kept["save"] else "limited"
    return {
        "email": kept["email"],
        "name": kept["name"],
        "phone": kept["phone"],
        "address": kept["address"],
        "allow_redisplay": redisplay,
    }


def confirm(session: Json, method: Json) -> Outcome:
    """Pay with a payment method that is stored already, as Checkout's own page does by its API."""
    billing = method["billing_details"]
    said = Typed(email=billing["email"] or "", name=billing["name"] or "", consent=True)
    typed.keep(session, said)
    if method["type"] != "card":
        method = banks.accept(method, typed_methods.ON_THE_PAGE, clock.now(session["customer"]))
    return _attempt(session, method, authenticated=False)


def answer(token: Json, passed: bool) -> Outcome:
    """The person answered the bank's challenge of one attempt."""
    session = sums.find(token["session"])
    here = f"/c/pay/{session['id']}"
    intent = _intent(session)
    if session["status"] != "open" or not payments.waits_for(intent, token["method"]):
        return Outcome("done", redirect_url=here)
    method = db().get("payment_method", token["method"])
    if passed:
        outcome = _attempt(session, method, authenticated=True)
        if outcome.kind == "declined":
            customers.remember("checkout", session["id"], outcome.message)
            return Outcome("declined", outcome.message, redirect_url=here)
        return outcome
    if session["amount_total"]:
        payments.fail_authentication(intent)
    else:
        setups.fail_setup_authentication(intent)
    customers.remember("checkout", session["id"], NOT_CONFIRMED)
    return Outcome("declined", NOT_CONFIRMED, redirect_url=here)


def _intent(session: Json) -> Json:
    """What the person's attempts are made on: a PaymentIntent, or a SetupIntent where nothing is due."""
    if session["amount_total"]:
        return db().get("payment_intent", session["_payment_intent"])
    return db().get("setup_intent", session["_setup_intent"])


def _attempt(session: Json, method: Json, authenticated: bool) -> Outcome:
    if refused := _refusal(session):
        return refused
    token = ids.random_text(32)
    url = f"/3ds/{token}"
    attempt = (_pay if session["amount_total"] else _save)(session, method, authenticated, url)
    if attempt.result == "action":
        body = {"kind": "checkout", "session": session["id"], "method": method["id"]}
        db().set_token(token, body)
        return Outcome("challenge", redirect_url=url)
    if attempt.result == "declined":
        return Outcome("declined", (attempt.error or {})["message"])
    processing = attempt.result == "processing"
    return finish.complete(session, db().get("payment_method", method["id"]), processing)


def _pay(session: Json, method: Json, authenticated: bool, url: str) -> payments.Attempt:
    if payments.will_be_paid(method, False, authenticated):
        finish.know_customer(session)
    intent = db().find("payment_intent", session["_payment_intent"])
    if intent is not None and intent["amount"] != session["amount_total"]:
        intent["amount"] = session["amount_total"]  # quantity or code changed after a failed attempt
        db().put(intent)
    if intent is None:
        given = _intent_data(session) | {
            "belongs_to": ["checkout.session", session["id"]],
            "payment_method_types": session["payment_method_types"],
        }
        intent = payments.open_intent(
            session["amount_total"], session["currency"], session["customer"], given
        )
        session["_payment_intent"] = intent["id"]
        db().put(session)
    if session["customer"]:
        payments.adopt(intent, session["customer"])
    return payments.confirm(intent, method, False, authenticated, url)


def _save(session: Json, method: Json, authenticated: bool, url: str) -> payments.Attempt:
    if payments.will_be_saved(method, authenticated):
        finish.know_customer(session)
    known = db().find("setup_intent", session["_setup_intent"])
    if known is None:
        data = session["_given"]["setup_intent_data"] | {
            "payment_method_types": session["payment_method_types"]
        }
        known = setups.open_setup(session["customer"], data)
    intent, attempt = setups.set_up(known, session["customer"], method, authenticated, url)
    session["_setup_intent"] = intent["id"]
    db().put(session)
    return attempt


def _intent_data(session: Json) -> Json:
    if session["mode"] == "subscription":
        return {"description": "Subscription creation", "setup_future_usage": "off_session"}
    return {**session["_given"]["payment_intent_data"], "async": True}

"""The Billing Portal: one customer's plans, card and invoices behind a short-lived link."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox import cards, clock, ids
from sandbox.engine import customers, methods, setups
from sandbox.events import change
from sandbox.house import db
from sandbox.outcomes import Card, NotFound, Outcome
from sandbox.store import Cause

Json = dict[str, Any]

UNUSED_SECONDS = 300
IDLE_SECONDS = 3600
NOT_CONFIRMED = "The bank did not confirm this card. Nothing was changed: try again or use another card."


def session_of(token: str) -> Json:
    """The portal session behind a link; NotFound when there is none."""
    known = db().token(token)
    if known is None or known["kind"] != "portal":
        raise NotFound(token)
    return db().get("billing_portal.session", known["id"])


def expired(session: Json) -> bool:
    """Dead when five minutes unused or idle for an hour, by the wall clock (durations are ours)."""
    used = session["_used_at"]
    alive_until = used + IDLE_SECONDS if used else session["_opened_at"] + UNUSED_SECONDS
    return bool(clock.wall() > alive_until)


def recoverable(session: Json) -> bool:
    """Whether an expired link may lead to a new one (`after_expiration` customer_login)."""
    until = (session["after_expiration"] or {}).get("customer_login")
    if until is None:
        return False
    at = until["expires_at"]
    return at is None or at > clock.now(session["customer"])


def revive(token: str, email: str) -> Outcome:
    """Open an expired link again for whoever knows the customer's address; no mail is sent here to prove it."""
    session = session_of(token)
    customer = db().get("customer", session["customer"])
    if not recoverable(session) or email.strip().lower() != str(customer["email"] or "").lower():
        return Outcome("bad_input", errors={"email": "This is not the address of this customer"})
    db().put(session | {"_used_at": clock.wall()})
    return Outcome("done", redirect_url=f"/p/session/{token}")


def touch(session: Json) -> None:
    if not expired(session):
        db().put(session | {"_used_at": clock.wall()})


def next_url(session: Json, token: str) -> str:
    """Where an action leads: the flow's redirect, or the portal's own home."""
    after = ((session["flow"] or {}).get("after_completion") or {}).get("redirect")
    return str(after["return_url"]) if after else f"/p/session/{token}"


def features(session: Json) -> Json:
    """What the session's configuration lets the person do."""
    found: Json = db().get("billing_portal.configuration", session["configuration"])["features"]
    return found


def allow(session: Json, feature: str) -> None:
    """NotFound where the configuration does not let the person do it."""
    if not features(session)[feature]["enabled"]:
        raise NotFound(feature)


def update_card(token: str, card: Card) -> Outcome:
    session = live(token)
    allow(session, "payment_method_update")
    wrong = methods.problem(card.number, card.exp_month, card.exp_year, card.cvc)
    if wrong is not None:
        return Outcome("bad_input", wrong.message, wrong.field)
    customer = db().get("customer", session["customer"])
    billing = {"email": customer["email"], "name": card.name or None, "allow_redisplay": "always"}
    now = clock.now(customer["id"])
    method = methods.create(card.number, billing, now, (card.exp_month, card.exp_year))
    challenge = ids.random_text(32)
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        intent, attempt = setups.set_up(None, customer["id"], method, url=f"/3ds/{challenge}")
        if attempt.result == "action":
            body = {"kind": "portal", "token": token, "intent": intent["id"], "method": method["id"]}
            db().set_token(challenge, body)
            return Outcome("challenge", redirect_url=f"/3ds/{challenge}")
        if attempt.result == "declined":
            return Outcome("declined", (attempt.error or {})["message"])
        return _saved(session, token, customer, method)


def answer(challenge: Json, passed: bool) -> Outcome:
    """The person answered the bank's challenge while changing the card."""
    token, here = challenge["token"], f"/p/session/{challenge['token']}"
    session = session_of(token)
    intent = db().get("setup_intent", challenge["intent"])
    if intent["status"] != "requires_action":
        return Outcome("done", redirect_url=here)
    method = db().get("payment_method", challenge["method"])
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        if not passed:
            setups.fail_setup_authentication(intent)
            customers.remember("portal", token, NOT_CONFIRMED)
            return Outcome("declined", NOT_CONFIRMED, redirect_url=here)
        customer = db().get("customer", session["customer"])
        setups.set_up(intent, customer["id"], method, authenticated=True)
        return _saved(session, token, customer, method)


def _saved(session: Json, token: str, customer: Json, method: Json) -> Outcome:
    methods.bind(method, customer["id"])
    methods.make_default(customer, method["id"])
    touch(session)
    return Outcome("done", redirect_url=next_url(session, token))


def live(token: str) -> Json:
    session = session_of(token)
    if expired(session):
        raise NotFound(token)
    return session


def own_subscription(session: Json, subscription_id: str) -> Json:
    sub = db().find("subscription", subscription_id)
    if sub is None or sub["customer"] != session["customer"]:
        raise NotFound(subscription_id)
    return sub


def replace_card(customer_id: str, number: str) -> None:
    """The control panel's own way to change the card, without asking the bank: any test card will do."""
    customer = db().find("customer", customer_id)
    if customer is None:
        raise NotFound(customer_id)
    if not cards.luhn(number.replace(" ", "")):
        raise ValueError("This is not a card number.")
    method = methods.create(number, {"email": customer["email"]}, clock.now(customer_id))
    method["_set_up"] = True
    methods.bind(method, customer_id)
    methods.make_default(customer, method["id"])


def own_method(session: Json, method_id: str) -> Json:
    method = db().find("payment_method", method_id)
    if method is None or method["customer"] != session["customer"]:
        raise NotFound(method_id)
    return method


def set_default(token: str, method_id: str) -> Outcome:
    session = live(token)
    allow(session, "payment_method_update")
    own_method(session, method_id)
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        methods.make_default(db().get("customer", session["customer"]), method_id)
    touch(session)
    return Outcome("done", redirect_url=f"/p/session/{token}")


def remove_method(token: str, method_id: str) -> Outcome:
    """Take a payment method off the customer; not the one that a living subscription is charged to."""
    session = live(token)
    allow(session, "payment_method_update")
    method = own_method(session, method_id)
    customer = db().get("customer", session["customer"])
    for sub in db().all("subscription", customer=customer["id"]):
        used = methods.of(sub, customer)
        if sub["status"] not in ("canceled", "incomplete_expired") and used and used["id"] == method_id:
            return Outcome(
                "bad_input", "Your plan is charged to this payment method: set another default first."
            )
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        methods.detach(method)
    touch(session)
    return Outcome("done", redirect_url=f"/p/session/{token}")


def update_customer(token: str, typed: dict[str, str]) -> Outcome:
    """Change what the configuration allows of name, email, phone and address."""
    session = live(token)
    allow(session, "customer_update")
    allowed = features(session)["customer_update"]["allowed_updates"]
    if "email" in allowed and "@" not in typed.get("email", ""):
        return Outcome("bad_input", errors={"email": "Enter an email address, like name@example.com"})
    fields: Json = {name: typed.get(name) or None for name in ("name", "email", "phone") if name in allowed}
    if "address" in allowed:
        parts = ("line1", "line2", "city", "state", "postal_code", "country")
        address = {part: typed.get(part) or None for part in parts}
        fields["address"] = address if any(address.values()) else None
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        change(db().get("customer", session["customer"]), "customer.updated", **fields)
    touch(session)
    return Outcome("done", redirect_url=next_url(session, token))

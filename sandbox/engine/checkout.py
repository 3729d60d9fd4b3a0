"""Hosted Checkout: nothing but the session exists until the payment has succeeded."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox import clock, ids
from sandbox.engine import customers, invoicing, methods, payments, subscriptions
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import session as shapes
from sandbox.outcomes import Card, NotFound, Outcome
from sandbox.store import Cause

Json = dict[str, Any]

CLOSED = "This page is no longer open."
NOT_CONFIRMED = "The bank did not confirm this payment. Nothing was charged: try again or use another card."
DAY = 86400


def find(session_id: str) -> Json:
    session = db().find("checkout.session", session_id)
    if session is None:
        raise NotFound(session_id)
    return session


def needs_card(session: Json) -> bool:
    return bool(session["amount_total"]) or session["payment_method_collection"] == "always"


def submit(session_id: str, card: Card | None, email: str | None) -> Outcome:
    """The person pressed the button."""
    session = find(session_id)
    if session["status"] != "open":
        return Outcome("bad_input", CLOSED)
    address = known_email(session) or (email or "").strip()
    if "@" not in address:
        return Outcome("bad_input", "Enter an email address, like name@example.com", "email")
    name = card.name if card else ""
    session["_email"], session["_name"] = address, name
    if card is None and not needs_card(session):
        return _complete(session, None)
    if card is None:
        return Outcome("bad_input", "Enter a card number", "number")
    wrong = methods.problem(card.number, card.exp_month, card.exp_year, card.cvc)
    if wrong is not None:
        return Outcome("bad_input", wrong.message, wrong.field)
    db().put(session)
    billing = {"email": address, "name": name or None, "allow_redisplay": "limited"}
    method = methods.create(
        card.number, billing, clock.now(session["customer"]), (card.exp_month, card.exp_year)
    )
    return _attempt(session, method, authenticated=False)


def answer(token: Json, passed: bool) -> Outcome:
    """The person answered the bank's challenge of one attempt."""
    session = find(token["session"])
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
        payments.fail_setup_authentication(intent)
    customers.remember("checkout", session["id"], NOT_CONFIRMED)
    return Outcome("declined", NOT_CONFIRMED, redirect_url=here)


def _intent(session: Json) -> Json:
    """What the person's attempts are made on: a PaymentIntent, or a SetupIntent where nothing is due."""
    if session["amount_total"]:
        return db().get("payment_intent", session["_payment_intent"])
    return db().get("setup_intent", session["_setup_intent"])


def _attempt(session: Json, method: Json, authenticated: bool) -> Outcome:
    token = ids.random_text(32)
    url = f"/3ds/{token}"
    attempt = (_pay if session["amount_total"] else _save)(session, method, authenticated, url)
    if attempt.result == "action":
        body = {"kind": "checkout", "session": session["id"], "method": method["id"]}
        db().set_token(token, body)
        return Outcome("challenge", redirect_url=url)
    if attempt.result == "declined":
        return Outcome("declined", (attempt.error or {})["message"])
    return _complete(session, db().get("payment_method", method["id"]))


def _pay(session: Json, method: Json, authenticated: bool, url: str) -> payments.Attempt:
    if payments.will_be_paid(method, False, authenticated):
        _know_customer(session)
    intent = db().find("payment_intent", session["_payment_intent"])
    if intent is None:
        intent = payments.open_intent(
            session["amount_total"], session["currency"], session["customer"], _intent_data(session)
        )
        session["_payment_intent"] = intent["id"]
        db().put(session)
    if session["customer"]:
        payments.adopt(intent, session["customer"])
    return payments.confirm(intent, method, False, authenticated, url)


def _save(session: Json, method: Json, authenticated: bool, url: str) -> payments.Attempt:
    if payments.will_be_saved(method, authenticated):
        _know_customer(session)
    known = db().find("setup_intent", session.get("_setup_intent"))
    intent, attempt = payments.set_up(known, session["customer"], method, authenticated, url)
    session["_setup_intent"] = intent["id"]
    db().put(session)
    return attempt


def _intent_data(session: Json) -> Json:
    if session["mode"] == "subscription":
        return {"description": "Subscription creation", "setup_future_usage": "off_session"}
    return {**session["_payment_intent_data"], "async": True}


def _know_customer(session: Json) -> Json | None:
    """The session's customer; a new one where Checkout makes one, with the address that was typed."""
    if session["customer"] is None:
        if session["customer_creation"] != "always":
            return None
        given = {"email": session["_email"], "name": session["_name"] or None}
        session["customer"] = customers.create(given)["id"]
        db().put(session)
    customer = db().get("customer", session["customer"])
    if not customer["email"]:
        change(customer, "customer.updated", email=session["_email"])
    return customer


def _complete(session: Json, method: Json | None) -> Outcome:
    customer = _know_customer(session)
    if customer is not None and method is not None and _keeps_card(session):
        methods.bind(method, customer["id"])
    if session["mode"] == "subscription" and customer is not None:
        _subscribe(session, customer, method)
    else:
        session["payment_intent"] = session["_payment_intent"]
    session.update(
        status="complete",
        url=None,
        payment_status="paid" if session["amount_total"] else "no_payment_required",
        customer_details=shapes.customer_details(customer, session["_email"], session["_name"] or None),
    )
    db().put(session)
    emit("checkout.session.completed", session)
    return Outcome(
        "done", redirect_url=session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    )


def _keeps_card(session: Json) -> bool:
    return session["mode"] == "subscription" or bool(
        session["_payment_intent_data"].get("setup_future_usage")
    )


def _subscribe(session: Json, customer: Json, method: Json | None) -> None:
    now = clock.now(customer["id"])
    # one key that nobody sent joins the subscription's and the invoice's events, as at Stripe
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        if customer["currency"] is None:
            change(customer, "customer.updated", currency=session["currency"])
        data = session["_subscription_data"]
        lines = [(item["price"], item["quantity"]) for item in session["_line_items"]]
        given = {
            "currency": session["currency"],
            "default_payment_method": method["id"] if method else None,
            "trial_end": trial_end(session, now),
            "metadata": data.get("metadata", {}),
            "description": data.get("description"),
            "missing_payment_method": _missing(data),
        }
        sub = subscriptions.create(customer, lines, now, given)
        session["subscription"] = sub["id"]
        session["invoice"] = _first_invoice(session, customer, sub)["id"]
        if sub["trial_end"] and sub["trial_end"] - now <= 3 * DAY:
            db().put(db().get("subscription", sub["id"]) | {"_trial_notice_sent": True})
            emit("customer.subscription.trial_will_end", sub)


def _first_invoice(session: Json, customer: Json, sub: Json) -> Json:
    lines = invoicing.period_lines(sub, free=sub["status"] == "trialing")
    period = (sub["created"], sub["created"])
    # what the person was asked for is what the session says: nothing that waits for another invoice
    given = {"billing_reason": "subscription_create", "period": period, "pending": "none"}
    invoice = invoicing.draft(customer, sub, lines, given)
    sub["latest_invoice"] = invoice["id"]
    db().put(sub)
    emit("customer.subscription.created", sub)
    emit("invoice.created", invoice)
    invoicing.finalize(invoice, db().find("payment_intent", session["_payment_intent"]))
    invoicing.mark_paid(invoice, updated=False)
    return invoice


def _missing(data: Json) -> str:
    end: Json = (data.get("trial_settings") or {}).get("end_behavior") or {}
    return str(end.get("missing_payment_method", "create_invoice"))


def trial_end(session: Json, now: int) -> int | None:
    """When the trial of this session would end if it were completed now."""
    data = session["_subscription_data"]
    if data.get("trial_end"):
        return int(data["trial_end"])
    days = data.get("trial_period_days")
    return now + int(days) * DAY if days else None


def known_email(session: Json) -> str:
    """The address that Checkout already has and does not let the person change."""
    customer = db().find("customer", session["customer"])
    return str((customer or {}).get("email") or session["customer_email"] or "")


def expire(session: Json) -> Json:
    """Close an open session for good."""
    intent = db().find("payment_intent", session["_payment_intent"])
    session.update(status="expired", url=None)
    db().put(session)
    emit("checkout.session.expired", session)
    if intent is not None:
        payments.cancel(intent, "automatic")
    return session

"""The hosted invoice page: an open invoice paid by the person, with the saved card or another."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox import clock, ids
from sandbox.engine import customers, invoicing, methods, payments, typed_methods
from sandbox.house import db
from sandbox.outcomes import Bank, Card, NotFound, Outcome
from sandbox.store import Cause

Json = dict[str, Any]

NOT_CONFIRMED = "The bank did not confirm this payment. Nothing was charged: try again or use another card."


def invoice_of(token: str) -> Json:
    known = db().token(token)
    if known is None or known["kind"] != "invoice":
        raise NotFound(token)
    return db().get("invoice", known["id"])


def payable(invoice: Json) -> bool:
    return invoice["status"] in ("open", "uncollectible") and invoice["amount_remaining"] > 0


def processing(invoice: Json) -> bool:
    """Whether a bank debit for it is under way."""
    intent = db().find("payment_intent", invoice["_payment_intent"])
    return intent is not None and intent["status"] == "processing"


def pay(token: str, means: Card | Bank | None) -> Outcome:
    """Pay now; None means the payment method that Stripe would charge anyway."""
    invoice = invoice_of(token)
    if not payable(invoice) or processing(invoice):
        return Outcome("done", redirect_url=f"/i/{token}")
    if means is None:
        method = invoicing.default_method(invoice)
        if method is None:
            return Outcome("bad_input", "No card is saved: enter one.", "number")
        return _attempt(token, invoice, method, authenticated=False)
    billing = {"email": invoice["customer_email"]}
    made = typed_methods.make(means, billing, clock.now(invoice["customer"]))
    if isinstance(made, Outcome):
        return made
    return _attempt(token, invoice, made, authenticated=False)


def answer(challenge: Json, passed: bool) -> Outcome:
    """The person answered the bank's challenge of one attempt."""
    token = challenge["token"]
    invoice = invoice_of(token)
    here = f"/i/{token}"
    intent = db().get("payment_intent", invoice["_payment_intent"])
    if not payable(invoice) or not payments.waits_for(intent, challenge["method"]):
        return Outcome("done", redirect_url=here)
    if not passed:
        payments.fail_authentication(intent)
        customers.remember("invoice", token, NOT_CONFIRMED)
        return Outcome("declined", NOT_CONFIRMED, redirect_url=here)
    outcome = _attempt(token, invoice, db().get("payment_method", challenge["method"]), authenticated=True)
    if outcome.kind == "declined":
        customers.remember("invoice", token, outcome.message)
        return Outcome("declined", outcome.message, redirect_url=here)
    return outcome


def _attempt(token: str, invoice: Json, method: Json, authenticated: bool) -> Outcome:
    challenge = ids.random_text(32)
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        url = f"/3ds/{challenge}"
        error = invoicing.collect(invoice, method, automatic=False, url=url, authenticated=authenticated)
        if error is None:
            methods.bind(db().get("payment_method", method["id"]), invoice["customer"])
            return Outcome("done", redirect_url=f"/i/{token}")
        if error["code"] == "invoice_payment_intent_requires_action":
            db().set_token(challenge, {"kind": "invoice_payment", "token": token, "method": method["id"]})
            return Outcome("challenge", redirect_url=url)
        return Outcome("declined", error["message"])

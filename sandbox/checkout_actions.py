"""What a person does on the Checkout page and on the bank's 3D Secure page."""

from __future__ import annotations

import time
from typing import Any

from sandbox import clock
from sandbox.engine import checkout, direct, direct_setups, discounts, hosted_invoice, portal
from sandbox.house import db, house
from sandbox.outcomes import Bank, Card, NotFound, Outcome, Typed
from sandbox.store import public

Json = dict[str, Any]


def checkout_view(session_id: str) -> Json:
    """session (the whole object), lines, email, email_locked, subtotal, discount {label, amount} or None, total,
    later (a whole period), currency, mode, business_name, trial_days, anchor, cancel_url, method_needed.

    `lines[].amount` is the price of a period, trial or not, in minor units; `total` is what is due today.
    """
    session = checkout.find(session_id)
    known = checkout.known_email(session)
    return {
        "session": public(session),
        "lines": [_line(item) for item in session["_line_items"]],
        "email": known or session["_typed"].get("email") or "",
        "email_locked": bool(known),
        "subtotal": session["amount_subtotal"],
        "discount": _discount(session),
        "total": session["amount_total"],
        "later": sum(line["amount"] for line in map(_line, session["_line_items"]) if line["interval"]),
        "currency": session["currency"],
        "mode": session["mode"],
        "business_name": house().settings()["business_name"],
        "trial_days": _trial_days(session),
        "anchor": session["_given"]["subscription_data"]["billing_cycle_anchor"],
        "cancel_url": session["cancel_url"],
        "method_needed": checkout.needs_method(session),
    }


def _trial_days(session: Json) -> int:
    now = clock.now(session["customer"])
    end = checkout.trial_end(session, now)
    return (end - now) // 86400 if end else 0


def _discount(session: Json) -> Json | None:
    for each in session["discounts"] or []:
        found = discounts.offer(each["coupon"], each["promotion_code"], "discounts[0]")
        label = found.code["code"] if found.code else found.coupon["name"] or found.coupon["id"]
        return {
            "label": label,
            "amount": session["amount_subtotal"] - session["amount_total"],
            "percent_off": found.coupon["percent_off"],
            "removable": bool(session["allow_promotion_codes"]),
        }
    return None


def _line(item: Json) -> Json:
    price = item["price"]
    product = db().find("product", price["product"]) or {}
    recurring = price["recurring"] or {}
    return {
        "id": item["id"],
        "name": product.get("name", item["description"]),
        "description": product.get("description") or "",
        "amount": item["_unit_amount"] * item["quantity"],
        "quantity": item["quantity"],
        "adjustable": item["adjustable_quantity"],
        "currency": item["currency"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
    }


def problems(session_id: str, typed: Typed) -> dict[str, str]:
    """What is wrong with what was filled in beside the payment, by field."""
    return checkout.problems(checkout.find(session_id), typed)


def submit_checkout(session_id: str, means: Card | Bank | None, typed: Typed) -> Outcome:
    """Pay, subscribe or save. `means` may be None only where `method_needed` is False."""
    with db().transaction():
        outcome = checkout.submit(session_id, means, typed)
    _let_endpoints_answer(session_id)
    return outcome


def _let_endpoints_answer(session_id: str) -> None:
    """Keep the browser until checkout.session.completed was tried at every endpoint, at most `redirect_waits` s."""
    until = time.monotonic() + float(house().settings()["redirect_waits"])
    told = checkout.find(session_id).get("_completed")
    untried = "SELECT 1 FROM deliveries WHERE event=? AND state='pending' AND attempts=0"
    while told and time.monotonic() < until and db().one(untried, (told,)):
        time.sleep(0.02)


def change_quantities(session_id: str, wanted: dict[str, str]) -> dict[str, str]:
    """Set how many of each line; what is wrong by line item id."""
    with db().transaction():
        return checkout.change_quantities(_open(session_id), wanted)


def add_code(session_id: str, code: str) -> Outcome:
    with db().transaction():
        return checkout.add_code(_open(session_id), code)


def remove_code(session_id: str) -> None:
    with db().transaction():
        checkout.remove_discounts(_open(session_id))


def _open(session_id: str) -> Json:
    session = checkout.find(session_id)
    if session["status"] != "open":
        raise NotFound(session_id)
    return session


def expire_checkout(session_id: str) -> None:
    with db().transaction():
        session = checkout.find(session_id)
        if session["status"] == "open":
            checkout.expire(session)


def recover_checkout(token: str) -> str:
    """The id of the open copy of an expired session."""
    with db().transaction():
        return str(checkout.recover(token)["id"])


def challenge_view(token: str) -> Json:
    """amount, currency, business_name, card_last4, purpose, cancel_url."""
    body = _challenge(token)
    method = db().get("payment_method", body["method"])
    view = {"amount": 0, "currency": "usd", "purpose": "Saving this card", "cancel_url": None}
    if body["kind"] == "checkout":
        session = checkout.find(body["session"])
        view |= {
            "amount": session["amount_total"],
            "currency": session["currency"] or "usd",
            "cancel_url": f"{house().base_url}/c/pay/{session['id']}",
            "success_url": session["success_url"],
        }
        if session["_line_items"]:
            view["purpose"] = _line(session["_line_items"][0])["name"]
    elif body["kind"] == "invoice_payment":
        invoice = hosted_invoice.invoice_of(body["token"])
        view |= {
            "amount": invoice["amount_remaining"],
            "currency": invoice["currency"],
            "purpose": f"Invoice {invoice['number']}",
            "cancel_url": invoice["hosted_invoice_url"],
        }
    elif body["kind"] == "payment_intent":
        intent = db().get("payment_intent", body["intent"])
        view |= {
            "amount": intent["amount"],
            "currency": intent["currency"],
            "purpose": intent["description"] or "A payment",
            "return_url": body["return_url"],
        }
    elif body["kind"] == "setup_intent":
        view["return_url"] = body["return_url"]
    else:
        view |= {
            "return_url": portal.next_url(portal.session_of(body["token"]), body["token"]),
            "cancel_url": f"{house().base_url}/p/session/{body['token']}",
        }
    return view | {
        "business_name": house().settings()["business_name"],
        "card_last4": method["card"]["last4"],
    }


def answer_challenge(token: str, passed: bool) -> Outcome:
    """Pass or fail 3D Secure. The outcome always leads somewhere."""
    answers = {
        "checkout": checkout.answer,
        "portal": portal.answer,
        "invoice_payment": hosted_invoice.answer,
        "payment_intent": direct.answer,
        "setup_intent": direct_setups.answer,
    }
    with db().transaction():
        body = _challenge(token)
        db().drop_token(token)
        outcome = answers[body["kind"]](body, passed)
    if body["kind"] == "checkout":
        _let_endpoints_answer(body["session"])
    return outcome


def _challenge(token: str) -> Json:
    body = db().token(token)
    if body is None or "method" not in body:
        raise NotFound(token)
    return body

"""What a completed session leaves behind: the customer, the subscription and its first invoice, the events."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox import clock
from sandbox.engine import customers, discounts, invoicing, items, methods, payments, states, subscriptions
from sandbox.engine.checkout import sums
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import session as shapes
from sandbox.outcomes import Outcome
from sandbox.store import Cause

Json = dict[str, Any]


def know_customer(session: Json) -> Json | None:
    """The session's customer; a new one where Checkout makes one, with what was typed."""
    kept = session["_typed"]
    if session["customer"] is None:
        if session["customer_creation"] != "always":
            return None
        session["customer"] = customers.create(kept)["id"]
        db().put(session)
    customer = db().get("customer", session["customer"])
    changes = {} if customer["email"] else {"email": kept["email"]}
    update = session["_given"]["customer_update"]
    changes |= {name: kept[name] for name in ("address", "name") if update[name] and kept[name]}
    if kept["phone"] and not customer["phone"]:
        changes["phone"] = kept["phone"]
    return change(customer, "customer.updated", **changes)


def complete(session: Json, method: Json | None, processing: bool = False) -> Outcome:
    """The payment succeeded or is under way (`processing`: a bank debit), or nothing was due."""
    customer = know_customer(session)
    if customer is not None and method is not None and _keeps(session):
        methods.bind(method, customer["id"])
    if session["mode"] == "subscription" and customer is not None:
        _subscribe(session, customer, method, processing)
    elif session["mode"] == "setup":
        session["setup_intent"] = session["_setup_intent"]
    else:
        session["payment_intent"] = session["_payment_intent"]
        _redeem(session, {"customer": session["customer"], "checkout_session": session["id"]})
        if session["invoice_creation"]["enabled"] and customer is not None:
            _invoice(session, customer, processing)
    kept = session["_typed"]
    session.update(
        status="complete",
        url=None,
        payment_status="unpaid"
        if processing
        else "paid"
        if session["amount_total"]
        else "no_payment_required",
        customer_details=shapes.customer_details(customer, kept["email"], kept["name"], kept),
    )
    told = emit("checkout.session.completed", session)
    db().put(session | {"_completed": told["id"]})
    url = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    return Outcome("done", redirect_url=url)


def _keeps(session: Json) -> bool:
    """Whether the payment method stays with the customer."""
    return (
        session["mode"] in ("subscription", "setup")
        or bool(session["_given"]["payment_intent_data"]["setup_future_usage"])
        or bool(session["_typed"]["save"])
    )


def _redeem(session: Json, target: Json) -> Json | None:
    offered = sums.offer(session)
    return discounts.redeem(offered, target) if offered is not None else None


def _subscribe(session: Json, customer: Json, method: Json | None, processing: bool) -> None:
    now = clock.now(customer["id"])
    data = session["_given"]["subscription_data"]
    # one key that nobody sent joins the subscription's and the invoice's events, as at Stripe
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        customers.bill_in(customer, session["currency"])
        lines = [(item["price"], item["quantity"]) for item in sums.recurring(session) if item["quantity"]]
        given = {
            "currency": session["currency"],
            "default_payment_method": method["id"] if method else None,
            "trial_end": sums.trial_end(session, now),
            "metadata": data["metadata"],
            "description": data["description"],
            "missing_payment_method": data["trial_settings"]["end_behavior"]["missing_payment_method"],
            "anchor": data["billing_cycle_anchor"],
        }
        sub = subscriptions.create(customer, lines, now, given)
        sub["invoice_settings"] |= data["invoice_settings"]
        discount = _redeem(session, {"customer": customer["id"], "subscription": sub["id"]})
        sub["discounts"] = [discount["id"]] if discount else []
        session["subscription"] = sub["id"]
        session["invoice"] = _first_invoice(session, customer, sub, processing)["id"]
        subscriptions.notice_of_trial(db().get("subscription", sub["id"]))


def _first_invoice(session: Json, customer: Json, sub: Json, processing: bool) -> Json:
    """Paid at once; open while a bank debit is under way, though the subscription is active (ours: facts 3.20 leave
    it open whether Stripe's is)."""
    db().put(sub)
    data = session["_given"]["subscription_data"]
    # what the person was asked for is what the session says: nothing that waits for another invoice
    given = {
        "billing_reason": "subscription_create",
        "period": (sub["created"], sub["created"]),
        "pending": "none",
        "items": [_item(session, customer, each, sub["id"]) for each in _one_time(session)],
        **{name: data["invoice_settings"].get(name) for name in ("description", "footer")},
    }
    invoice = invoicing.draft(customer, sub, _period_lines(session, sub), given)
    sub["latest_invoice"] = invoice["id"]
    db().put(sub)
    legacy = house().settings()["checkout_subscription"] == "legacy"
    _created(sub, legacy)
    emit("invoice.created", invoice)
    _settle(session, invoice, processing, legacy)
    if legacy:
        sub.update(db().get("subscription", sub["id"]))
        _activate(sub)
    return invoice


def _settle(session: Json, invoice: Json, processing: bool, updated: bool = False) -> None:
    """Open the invoice with the session's payment, and pay it where that succeeded."""
    intent = db().find("payment_intent", session["_payment_intent"])
    invoicing.finalize(invoice, intent)
    if not processing:
        invoicing.mark_paid(invoice, updated=updated)
    elif intent is not None:
        change(invoice, "invoice.updated", attempted=True)
        payments.belong(intent, "checkout.session", session["id"])  # who tells the invoice how it ended


def _created(sub: Json, legacy: bool) -> None:
    """Active at once (facts 3.1); by the setting `checkout_subscription` incomplete first, as before 2025-03-31."""
    if legacy and sub["status"] == "active":
        emit("customer.subscription.created", sub | {"status": "incomplete", "default_payment_method": None})
    else:
        emit("customer.subscription.created", sub)


def _activate(sub: Json) -> None:
    if sub["status"] == "active":
        previous = {"default_payment_method": None, "status": "incomplete"}
        emit(subscriptions.UPDATED, sub, previous)


def _period_lines(session: Json, sub: Json) -> list[Json]:
    """The recurring lines at what the session asks for them before discounts."""
    lines = invoicing.period_lines(sub, free=sub["status"] == "trialing")
    asked = [item["amount_subtotal"] for item in sums.recurring(session) if item["quantity"]]
    for line, amount in zip(lines, asked, strict=True):
        line["amount"] = line["subtotal"] = amount
    return lines


def _one_time(session: Json) -> list[Json]:
    return [item for item in session["_line_items"] if not item["price"]["recurring"] and item["quantity"]]


def _item(session: Json, customer: Json, line: Json, subscription: str | None) -> Json:
    """A one-time price as an invoice item of this invoice alone."""
    given = {
        "amount": line["amount_subtotal"],
        "currency": session["currency"],
        "description": line["description"],
        "subscription": subscription,
        "price": line["price"],
        "unit_amount_decimal": str(line["_unit_amount"]),
        "quantity": line["quantity"],
        "discountable": True,
    }
    return items.add(customer, given)


def _invoice(session: Json, customer: Json, processing: bool) -> None:
    """The invoice of a one-off payment, made once it is paid (`invoice_creation`)."""
    data = session["_given"]["invoice_creation"]["invoice_data"]
    with db().transaction(Cause(None, str(uuid.uuid4()))):
        now = clock.now(customer["id"])
        discount = sums.offer(session)
        rules = [discounts.unsaved(discount, {"customer": customer["id"]})] if discount else []
        given = {
            "billing_reason": "manual",
            "period": (now, now),
            "currency": session["currency"],
            "pending": "none",
            "items": [_item(session, customer, each, None) for each in _one_time(session)],
            "discounts": [db().put(each) for each in rules],
            "metadata": data["metadata"],
            **{name: data.get(name) for name in ("description", "footer")},
        }
        invoice = invoicing.draft(customer, None, [], given)
        emit("invoice.created", invoice)
        _settle(session, invoice, processing)
        session["invoice"] = invoice["id"]


def settled(session_id: str, intent: Json) -> None:
    """A bank debit ended, minutes after the session was completed (facts 3.20)."""
    session = db().get("checkout.session", session_id)
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        return
    if session["invoice"]:
        invoicing.settled(session["invoice"], intent)
    paid = intent["status"] == "succeeded"
    if paid:
        session["payment_status"] = "paid"
        db().put(session)
    emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)


states.ON_SETTLED["checkout.session"] = settled

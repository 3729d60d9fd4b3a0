"""A payment that fails: the schedule of retries, what the last one does, and the way back."""

from __future__ import annotations

from typing import Any

from sandbox import cards, clock
from sandbox.engine import invoicing, subscriptions
from sandbox.events import change, emit
from sandbox.house import db, house

Json = dict[str, Any]

DAY = 86400


def failed(invoice: Json, error: Json, automatic: bool) -> None:
    """Count a failed attempt, plan the next, and let the subscription fall behind or end."""
    before = _shot(invoice)
    planned = automatic or (invoice["auto_advance"] and not invoice["attempted"])
    invoicing.count_attempt(invoice, automatic)
    over = automatic and invoice["attempt_count"] > len(house().settings()["retry_days"])
    if planned:
        invoice["next_payment_attempt"] = None if over else _next(invoice)
    if error.get("charge"):
        hard = error.get("decline_code") or error.get("code")
        charged = db().get("charge", error["charge"])["payment_method"]
        invoice["_hard_declined"] = charged if hard in cards.HARD else None
    db().put(invoice)
    emit("invoice.payment_failed", invoice)
    _updated(invoice, before)
    fall_behind(invoice, over)


def skipped(invoice: Json) -> None:
    """A retry after a hard decline with no new card: it counts, but the bank is not asked again."""
    failed(invoice, {}, automatic=True)


def action_required(invoice: Json, automatic: bool) -> Json:
    """The bank wants 3D Secure. Nothing is counted; after Stripe's own attempt nothing is planned either."""
    before = _shot(invoice)
    invoice["attempted"] = True
    if automatic:
        invoice["next_payment_attempt"] = None
    db().put(invoice)
    emit("invoice.payment_action_required", invoice)
    _updated(invoice, before)
    fall_behind(invoice)
    return {
        "code": "invoice_payment_intent_requires_action",
        "message": "This payment requires additional user action before it can be completed successfully."
        " Payment can be completed using the PaymentIntent associated with this invoice.",
        "type": "card_error",
    }


def recovered(invoice: Json) -> None:
    """An invoice is out of the way: the subscription is active again if it was the newest one."""
    customer = db().get("customer", invoice["customer"])
    if invoice["status"] == "paid":
        change(customer, "customer.updated", delinquent=False)
    sub = invoicing.subscription_of(invoice)
    if sub is not None and sub["status"] in ("past_due", "unpaid") and sub["latest_invoice"] == invoice["id"]:
        change(sub, subscriptions.UPDATED, status="active")


def fall_behind(invoice: Json, over: bool = False) -> None:
    """An invoice was not paid: so is its subscription past due and its customer delinquent."""
    customer = db().get("customer", invoice["customer"])
    sub = invoicing.subscription_of(invoice)
    if sub is not None and sub["status"] in subscriptions.ENDED:
        return
    if sub is not None and sub["status"] == "active":
        change(sub, subscriptions.UPDATED, status="past_due")
    change(customer, "customer.updated", delinquent=True)
    if over:
        _give_up(invoice, sub)


def _give_up(invoice: Json, sub: Json | None) -> None:
    end = house().settings()["retry_end"]
    if sub is None:
        change(invoice, "invoice.updated", auto_advance=False)
        return
    if end == "cancel":
        subscriptions.end_for(sub, "payment_failed")
        invoice.update(db().get("invoice", invoice["id"]))
        return
    change(invoice, "invoice.updated", auto_advance=False)
    if end == "unpaid":
        change(sub, subscriptions.UPDATED, status="unpaid")


def _next(invoice: Json) -> int:
    days: int = house().settings()["retry_days"][invoice["attempt_count"] - 1]
    return clock.now(invoice["customer"]) + days * DAY


def _shot(invoice: Json) -> Json:
    return {key: invoice[key] for key in ("attempt_count", "attempted", "next_payment_attempt")}


def _updated(invoice: Json, before: Json) -> None:
    previous = {key: value for key, value in before.items() if invoice[key] != value}
    if previous:
        emit("invoice.updated", invoice, previous)

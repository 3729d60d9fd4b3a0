"""What becomes due by time alone: one function per kind of moment, each called with the object's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import clock
from sandbox.agenda import period_end
from sandbox.engine import aftermath, checkout, dunning, invoicing, methods, subscriptions
from sandbox.events import emit
from sandbox.house import db
from sandbox.store import public

Json = dict[str, Any]


def renew(subscription_id: str) -> None:
    """The period is over: move on and draft the next invoice."""
    sub = db().get("subscription", subscription_id)
    old = _shot(sub)
    previous_status = sub["status"]
    start, _ = subscriptions.roll(sub)
    _next_invoice(sub, old, (old["period_start"], start), previous_status)


def end_trial(subscription_id: str) -> None:
    """With a card it becomes active before it is charged; without, as its trial_settings say."""
    sub = db().get("subscription", subscription_id)
    customer = db().get("customer", sub["customer"])
    missing = sub["trial_settings"]["end_behavior"]["missing_payment_method"]
    if methods.of(sub, customer) is None and missing == "cancel":
        subscriptions.end_for(sub, None)
        return
    if methods.of(sub, customer) is None and missing == "pause":
        _pause(sub)
        return
    old = _shot(sub)
    start, _ = subscriptions.roll(sub)
    sub["status"] = "active"
    _next_invoice(sub, old, (old["period_start"], start), "trialing")


def _shot(sub: Json) -> Json:
    item = sub["items"]["data"][0]
    return {
        "items": [dict(each) for each in sub["items"]["data"]],
        "latest_invoice": sub["latest_invoice"],
        "period_start": item["current_period_start"],
    }


def _next_invoice(sub: Json, old: Json, period: tuple[int, int], previous_status: str) -> None:
    customer = db().get("customer", sub["customer"])
    lines = invoicing.period_lines(sub)
    given = {"billing_reason": "subscription_cycle", "period": period}
    invoice = invoicing.draft(customer, sub, lines, given)
    sub["latest_invoice"] = invoice["id"]
    sub["_upcoming_sent"] = None
    db().put(sub)
    previous: Json = {"items": {"data": old["items"]}, "latest_invoice": old["latest_invoice"]}
    if previous_status != sub["status"]:
        previous["status"] = previous_status
    emit(subscriptions.UPDATED, sub, previous)
    if sub["status"] == "unpaid":
        invoice["auto_advance"] = False
    else:
        due = invoice["created"] + invoicing.DRAFT_SECONDS
        invoice.update(automatically_finalizes_at=due, next_payment_attempt=due)
    db().put(invoice)
    emit("invoice.created", invoice)


def _pause(sub: Json) -> None:
    sub["status"] = "paused"
    db().put(sub)
    emit("customer.subscription.paused", sub)
    emit(subscriptions.UPDATED, sub, {"status": "trialing"})


def finalize(invoice_id: str) -> None:
    """The hour of the draft is over: open it and charge."""
    invoice = db().get("invoice", invoice_id)
    invoicing.finalize(invoice)
    invoicing.collect(invoice, invoicing.default_method(invoice), automatic=True)


def retry(invoice_id: str) -> None:
    """One more automatic attempt; not at the bank while the card that it refused for good is still there."""
    invoice = db().get("invoice", invoice_id)
    method = invoicing.default_method(invoice)
    if method is not None and invoice["_hard_declined"] == method["id"]:
        dunning.skipped(invoice)
    else:
        invoicing.collect(invoice, method, automatic=True)


def end(subscription_id: str) -> None:
    subscriptions.end_scheduled(db().get("subscription", subscription_id))


def trial_will_end(subscription_id: str) -> None:
    sub = db().put(db().get("subscription", subscription_id) | {"_trial_notice_sent": True})
    emit("customer.subscription.trial_will_end", sub)


def upcoming(subscription_id: str) -> None:
    """Announce the next invoice by one that has no id and is never stored."""
    sub = db().get("subscription", subscription_id)
    at = period_end(sub)
    db().put(sub | {"_upcoming_sent": at})
    preview = _preview(sub, at)
    emit("invoice.upcoming", preview)


def _preview(sub: Json, at: int) -> Json:
    start = sub["items"]["data"][0]["current_period_start"]
    subscriptions.roll(sub)
    customer = db().get("customer", sub["customer"])
    given = {"billing_reason": "upcoming", "period": (start, at)}
    invoice = invoicing.compose(customer, sub, invoicing.period_lines(sub), given)
    preview = public(invoice) | {"created": at, "next_payment_attempt": at + invoicing.DRAFT_SECONDS}
    for line in preview["lines"]["data"]:
        line.update(id=line["id"].replace("il_", "il_tmp_"), invoice=None)
    for key in ("id", "hosted_invoice_url", "invoice_pdf"):
        del preview[key]
    return preview


def incomplete_expire(subscription_id: str) -> None:
    """The first payment never came within 23 hours."""
    sub = db().get("subscription", subscription_id)
    invoice = db().find("invoice", sub["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoicing.void(invoice)
    now = clock.now(sub["customer"])
    sub.update(status="incomplete_expired", ended_at=now)
    db().put(sub)
    emit(subscriptions.UPDATED, sub, {"status": "incomplete", "ended_at": None})


def expire_session(session_id: str) -> None:
    checkout.expire(db().get("checkout.session", session_id))


HANDLERS: dict[str, Callable[[str], None]] = {
    "renew": renew,
    "trial_end": end_trial,
    "trial_will_end": trial_will_end,
    "upcoming": upcoming,
    "finalize": finalize,
    "retry": retry,
    "end": end,
    "incomplete_expire": incomplete_expire,
    "expire": expire_session,
    "settle": aftermath.settle_refund,
}

"""What becomes due by time alone: one function per kind of moment, each called with the object's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import clock
from sandbox.agenda import period_end
from sandbox.engine import (
    billing,
    captures,
    changing,
    checkout,
    closing,
    debits,
    discounts,
    disputes,
    dunning,
    invoicing,
    pausing,
    pending,
    previewing,
    refunds,
    schedules,
    subscriptions,
)
from sandbox.events import difference, emit
from sandbox.house import db
from sandbox.store import public

Json = dict[str, Any]


def renew(subscription_id: str) -> None:
    """The period is over: move on, into the schedule's next phase where one begins, and draft the next invoice."""
    sub = db().get("subscription", subscription_id)
    _move_on(sub)


def end_trial(subscription_id: str) -> None:
    """With a card it becomes active before it is charged; without, as its trial_settings say."""
    sub = db().get("subscription", subscription_id)
    if not pausing.stops_after_trial(sub):
        _move_on(sub)


def _move_on(sub: Json) -> None:
    before = public(db().get("subscription", sub["id"]))
    if not schedules.turn(sub):
        return
    old_start = before["items"]["data"][0]["current_period_start"]
    start, _ = subscriptions.roll(sub)
    if sub["status"] == "trialing":
        sub["status"] = "active"
    sub["_upcoming_sent"] = None
    customer = db().get("customer", sub["customer"])
    given = billing.terms(sub, "subscription_cycle", (old_start, start))
    invoice = invoicing.draft(customer, sub, billing.lines(sub), given)
    sub["latest_invoice"] = invoice["id"]
    db().put(sub)
    emit(subscriptions.UPDATED, sub, difference(before, public(sub)))
    billing.announce(sub, invoice)


def finalize(invoice_id: str) -> None:
    """The hour of the draft is over: open it, and charge or send it."""
    closing.advance(db().get("invoice", invoice_id))


def retry(invoice_id: str) -> None:
    """One more automatic attempt; not at the bank while the card that it refused for good is still there."""
    invoice = db().get("invoice", invoice_id)
    if invoice.get("_asks_again_at") and dunning.look_again(invoice):
        return
    method = invoicing.default_method(invoice)
    if method is not None and invoice["_hard_declined"] == method["id"]:
        dunning.skipped(invoice)
    else:
        invoicing.collect(invoice, method, automatic=True)


def end(subscription_id: str) -> None:
    changing.end_scheduled(db().get("subscription", subscription_id))


def trial_will_end(subscription_id: str) -> None:
    sub = db().get("subscription", subscription_id)
    db().put(sub | {"_trial_notice_sent": sub["trial_end"]})
    emit("customer.subscription.trial_will_end", sub)


def upcoming(subscription_id: str) -> None:
    """Announce the next invoice by one that has no id and is never stored."""
    sub = db().get("subscription", subscription_id)
    at = period_end(sub)
    db().put(sub | {"_upcoming_sent": at})
    preview = _preview(sub, at)
    emit("invoice.upcoming", preview)


def _preview(sub: Json, at: int) -> Json:
    preview = previewing.upcoming(sub, [], {}) | {"created": at}
    preview["next_payment_attempt"] = at + invoicing.DRAFT_SECONDS
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


def phase(schedule_id: str) -> None:
    """A phase of a schedule begins or ends: as part of a renewal where a period ends with it."""
    schedule = db().get("subscription_schedule", schedule_id)
    if schedule["status"] == "not_started":
        schedules.begin(schedule)
        return
    sub = db().get("subscription", schedule["subscription"])
    now = clock.now(sub["customer"])
    if period_end(sub) == now and sub["status"] in ("active", "past_due", "unpaid"):
        renew(sub["id"])
    elif period_end(sub) == now and sub["status"] == "trialing":
        end_trial(sub["id"])
    else:
        schedules.between(schedule, sub)


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
    "collect_again": pausing.end_collection_pause,
    "pending_expire": pending.expire,
    "phase": phase,
    "expiring": schedules.expiring,
    "settle": refunds.settle,
    "collect_debit": debits.settle,
    "expire_hold": captures.expire,
    "dispute_due": disputes.overdue,
    "dispute_cancels": disputes.cancel_subscription,
    "will_be_due": closing.will_be_due,
    "overdue": closing.overdue,
    "coupon_expire": discounts.expire_coupon,
    "code_expire": discounts.expire_code,
    "discount_end": discounts.end_by_time,
}

"""Pausing: holding back a subscription's invoices, or the whole subscription, and taking it up again."""

from __future__ import annotations

from typing import Any

from sandbox import clock, periods
from sandbox.engine import billing, invoicing, methods, proration, subscriptions
from sandbox.errors import not_built, request_error
from sandbox.events import change, difference, emit
from sandbox.house import db
from sandbox.objects import subscription as shapes
from sandbox.store import public

Json = dict[str, Any]

PAUSED, RESUMED = "customer.subscription.paused", "customer.subscription.resumed"
STATES = {
    "void": ("void", "voided_at", "invoice.voided"),
    "mark_uncollectible": ("uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible"),
}


def holds(sub: Json, invoice: Json) -> bool:
    """Whether collection is paused; such an invoice advances no further (in place, unsaved)."""
    if sub["pause_collection"] is None:
        return False
    invoice["auto_advance"] = False
    db().put(invoice)
    return True


def hold(sub: Json, invoice: Json) -> None:
    """What becomes of a new invoice while collection is paused (facts 3.12)."""
    behavior = sub["pause_collection"]["behavior"]
    if behavior == "keep_as_draft":
        return
    if behavior == "mark_uncollectible" and invoice["amount_due"] == 0:
        invoicing.finalize(invoice)
        invoicing.mark_paid(invoice, updated=False)
        return
    status, moment, event = STATES[behavior]
    if status == "uncollectible":
        invoice["status_details"] = {"uncollectible": {"reason": "subscription_paused"}}
    transitions = invoice["status_transitions"] | {moment: clock.now(invoice["customer"])}
    change(invoice, None, status=status, status_transitions=transitions)
    emit(event, invoice)


def end_collection_pause(subscription_id: str) -> None:
    """`resumes_at` has come: invoices made from now on are collected again."""
    change(db().get("subscription", subscription_id), subscriptions.UPDATED, pause_collection=None)


def stops_after_trial(sub: Json) -> bool:
    """A trial is over: without a card its trial_settings may end or pause the subscription. False when it goes on."""
    customer = db().get("customer", sub["customer"])
    missing = sub["trial_settings"]["end_behavior"]["missing_payment_method"]
    sent = sub["collection_method"] == "send_invoice"
    if missing == "create_invoice" or sent or methods.of(sub, customer) is not None:
        return False
    if missing == "cancel":
        subscriptions.end_for(sub, None)
    else:
        _pause(sub, "trial_end_without_payment_method")
    return True


def pause(sub: Json, unused_from: str = "now", invoicing_behavior: str = "pending_invoice_item") -> Json:
    """Stop the subscription now: no periods and no invoices until it is resumed (facts 1.4, 3.12).

    `unused_from`: now or item_current_period_start credit the rest or all of the period, none keeps it.
    `invoicing_behavior`: pending_invoice_item, or invoice to make an invoice of the credit at once.
    """
    if sub["status"] not in ("active", "trialing", "past_due"):
        raise request_error(f"A subscription that is {sub['status']} cannot be paused.")
    if sub["schedule"] is not None:
        raise request_error("A subscription with a schedule cannot be paused.")
    if sub["billing_mode"]["type"] != "flexible":
        raise request_error("Only subscriptions with billing_mode flexible can be paused.")
    now = clock.now(sub["customer"])
    item = sub["items"]["data"][0]
    start = {"now": now, "item_current_period_start": item["current_period_start"], "none": None}[unused_from]
    refunds = []
    if start is not None and sub["status"] != "trialing":
        refunds = proration.credit(sub, sub["items"]["data"], start)
    sub["_credited"] = bool(refunds)
    _pause(sub, "pause_requested")
    customer = db().get("customer", sub["customer"])
    billing.add_prorations(customer, refunds)
    if refunds and invoicing_behavior == "invoice":
        given = billing.terms(sub, "subscription_update", (now, now))
        invoice = invoicing.draft(customer, sub, [], given)
        change(sub, subscriptions.UPDATED, latest_invoice=invoice["id"])
        billing.bill(sub, invoice, "allow_incomplete")
    return db().get("subscription", sub["id"])


def _pause(sub: Json, reason: str) -> None:
    before = public(db().get("subscription", sub["id"]))
    details = shapes.paused(reason, clock.now(sub["customer"]))
    change(sub, None, status="paused", status_details=details)
    emit(PAUSED, sub)
    emit(subscriptions.UPDATED, sub, difference(before, public(sub)))


def resume(
    sub: Json,
    anchor: str = "now",
    payment_behavior: str = "resume_on_payment_attempt",
    proration_behavior: str = "create_prorations",
    at: int | None = None,
) -> Json:
    """Take a paused subscription up again.

    `anchor` now begins a new period, charged at once; unchanged goes on in the period that holds this moment,
    charged in proportion as `proration_behavior` says, from `at` (now). With resume_on_payment_success it stays
    paused until the invoice is paid.
    """
    if sub["status"] != "paused":
        raise request_error("Only paused subscriptions can be resumed.")
    if payment_behavior == "resume_on_payment_success" and sub["collection_method"] == "send_invoice":
        raise not_built("resume_on_payment_success of invoices that are sent", "payment_behavior")
    now = clock.now(sub["customer"])
    after, prorations, bills = _resumed(sub, anchor, proration_behavior, at or now, now)
    return _take_up(sub, after, prorations, bills, payment_behavior)


def _resumed(sub: Json, anchor: str, behavior: str, at: int, now: int) -> tuple[Json, list[Json], bool]:
    """The fields that change, the prorations, and whether an invoice is made now."""
    item = sub["items"]["data"][0]
    recurring = item["price"]["recurring"]
    if anchor == "now":
        fields = subscriptions.with_period(sub, now, periods.boundary(now, recurring, 1))
        return fields | {"billing_cycle_anchor": now, "trial_end": _ended(sub, now)}, [], True
    start, end = periods.around(sub["billing_cycle_anchor"], recurring, now)
    fields = subscriptions.with_period(sub, start, end)
    same = item["current_period_start"] <= now < item["current_period_end"]
    if behavior == "none" or (same and not sub.get("_credited", True)):
        return fields, [], False
    new = fields["items"]["data"]
    return fields, proration.charge(sub | fields, new, new, at), behavior == "always_invoice"


def _ended(sub: Json, now: int) -> int | None:
    """A trial that has not ended yet is over when its subscription is resumed with a new anchor."""
    end: int | None = sub["trial_end"]
    return min(end, now) if end is not None else None


def _take_up(sub: Json, after: Json, prorations: list[Json], bills: bool, payment_behavior: str) -> Json:
    customer = db().get("customer", sub["customer"])
    waits = bills and payment_behavior == "resume_on_payment_success"
    now = clock.now(sub["customer"])
    going = sub | after | {"status": "active", "status_details": None}
    if bills and not waits:
        after["latest_invoice"] = billing.new_id()
    if not waits:
        _go_on(sub, after)
    billing.add_prorations(customer, prorations)
    if not bills:
        return sub
    lines = [] if prorations else billing.lines(going)
    given = billing.terms(
        sub, "subscription_update", (now, now), id=sub["latest_invoice"] if not waits else None
    )
    invoice = invoicing.draft(customer, sub, lines, given)
    if waits:
        sub["_resumes"] = {"invoice": invoice["id"], "fields": after}
        change(sub, subscriptions.UPDATED, latest_invoice=invoice["id"])
    billing.bill(sub, invoice, "allow_incomplete")
    return db().get("subscription", sub["id"])


def paid(sub: Json, invoice_id: str) -> bool:
    """Whether this was the payment that a resumption waited for; it is done then."""
    waiting = sub.get("_resumes")
    if sub["status"] != "paused" or waiting is None or waiting["invoice"] != invoice_id:
        return False
    sub["_resumes"] = None
    _go_on(sub, waiting["fields"])
    return True


def _go_on(sub: Json, fields: Json) -> None:
    before = public(db().get("subscription", sub["id"]))
    change(sub, None, **fields, status="active", status_details=None)
    emit(RESUMED, sub)
    emit(subscriptions.UPDATED, sub, difference(before, public(sub)))

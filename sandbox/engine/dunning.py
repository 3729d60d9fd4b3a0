"""A payment that fails: the schedule of retries, what the last one does, and the way back."""

from __future__ import annotations

from typing import Any

from sandbox import cards, clock
from sandbox.engine import invoicing, pausing, pending, subscriptions
from sandbox.errors import doc_url
from sandbox.events import change, emit
from sandbox.house import db, house

Json = dict[str, Any]

DAY = 86400
NEEDS_ACTION = "invoice_payment_intent_requires_action"


def failed(invoice: Json, error: Json, automatic: bool) -> None:
    """Count a failed attempt, plan the next, and let the subscription fall behind or end.

    Without any payment method no attempt is planned, so none is the last (docs.stripe.com, smart retries).
    """
    before = _shot(invoice)
    first = invoice["auto_advance"] and not invoice["attempted"]
    planned = invoice["auto_advance"] and (automatic or (first and not _decides(invoice)))
    invoicing.count_attempt(invoice, automatic)
    nothing_to_try = error.get("code") == "resource_missing"  # Stripe does not retry without a payment method
    last = invoice["attempt_count"] > len(house().settings()["retry_days"])
    over = automatic and last and not nothing_to_try
    if planned:
        stops = last or nothing_to_try
        invoice["next_payment_attempt"] = None if stops else _next(invoice, invoice["attempt_count"])
    if error.get("charge"):
        hard = error.get("decline_code") or error.get("code")
        charged = db().get("charge", error["charge"])["payment_method"]
        invoice["_hard_declined"] = charged if hard in cards.HARD else None
    db().put(invoice)
    emit("invoice.payment_failed", invoice)
    _updated(invoice, before)
    fall_behind(invoice, over)


def _decides(invoice: Json) -> bool:
    """Whether a subscription or a pending update hangs on this invoice: Stripe does not try it again by itself."""
    sub = invoicing.subscription_of(invoice)
    return sub is not None and (sub["status"] == "incomplete" or pending.waits_for(sub, invoice["id"]))


def skipped(invoice: Json) -> None:
    """A retry after a hard decline with no new card: it counts, but the bank is not asked again."""
    failed(invoice, {}, automatic=True)


def action_required(invoice: Json, automatic: bool) -> Json:
    """The bank wants 3D Secure. Nothing is counted and no attempt is announced (facts 3.8).

    After Stripe's own attempt it looks again when retries are due, and gives up when they are over: see `look_again`.
    """
    before = _shot(invoice)
    invoice["attempted"] = True
    if automatic:
        invoice["next_payment_attempt"] = None
        intent = db().get("payment_intent", invoice["_payment_intent"])
        invoice["_asked"] = intent["payment_method"]
        invoice["_looks"] = max(invoice.get("_looks", 0), invoice["attempt_count"])
        _plan_look(invoice)
    db().put(invoice)
    emit("invoice.payment_action_required", invoice)
    _updated(invoice, before)
    fall_behind(invoice)
    return {
        "code": NEEDS_ACTION,
        "doc_url": doc_url(NEEDS_ACTION),
        "message": "This payment requires additional user action before it can be completed successfully."
        " Payment can be completed using the PaymentIntent associated with this invoice.",
        "type": "card_error",
    }


def _plan_look(invoice: Json) -> None:
    invoice["_looks"] += 1
    over = invoice["_looks"] > len(house().settings()["retry_days"])
    invoice["_asks_again_at"] = None if over else _next(invoice, invoice["_looks"])


def look_again(invoice: Json) -> bool:
    """A retry is due for an invoice that waits for 3D Secure: with the same card, which the person must confirm, only
    the time counts on, and after the last one it is given up. False when there is another card to charge."""
    method = invoicing.default_method(invoice)
    if method is not None and method["id"] != invoice["_asked"]:
        invoice["_asks_again_at"] = None
        return False
    _plan_look(invoice)
    db().put(invoice)
    sub = invoicing.subscription_of(invoice)
    if invoice["_asks_again_at"] is None and sub is not None and sub["status"] not in subscriptions.ENDED:
        _give_up(invoice, sub)
    return True


def recovered(invoice: Json) -> None:
    """An invoice is out of the way: what hung on it goes on, if it was the newest that was finalised."""
    customer = db().get("customer", invoice["customer"])
    paid = invoice["status"] == "paid"
    if paid:
        change(customer, "customer.updated", delinquent=False)
    sub = invoicing.subscription_of(invoice)
    if sub is None:
        return
    if pending.waits_for(sub, invoice["id"]):
        (pending.apply if paid else pending.drop)(sub)
        return
    if paid and pausing.paid(sub, invoice["id"]):
        return
    newest = _is_newest(invoice, sub)
    back = ("past_due", "unpaid", "incomplete") if paid else ("past_due", "unpaid")
    fields: Json = {"status": "active"} if newest and sub["status"] in back else {}
    if paid:
        fields |= _kept_method(sub, invoice)
    change(sub, subscriptions.UPDATED, **fields)


def _is_newest(invoice: Json, sub: Json) -> bool:
    """Later ones that are in draft, or that a pause gave up as drafts, leave the subscription as it is."""
    made = db().all("invoice", parent__subscription_details__subscription=sub["id"])
    final = [each["id"] for each in made if each["status_transitions"]["finalized_at"] is not None]
    return bool(final[-1:] == [invoice["id"]])


def _kept_method(sub: Json, invoice: Json) -> Json:
    """The card that paid becomes the subscription's own where its payment_settings say so."""
    keeps = sub["payment_settings"]["save_default_payment_method"] == "on_subscription"
    intent = db().find("payment_intent", invoice["_payment_intent"])
    if not keeps or sub["default_payment_method"] is not None or intent is None:
        return {}
    return {"default_payment_method": intent["payment_method"]}


def fall_behind(invoice: Json, over: bool = False) -> None:
    """An invoice was not paid: so is its subscription past due and its customer delinquent."""
    customer = db().get("customer", invoice["customer"])
    sub = invoicing.subscription_of(invoice)
    if sub is not None and sub["status"] in subscriptions.ENDED:
        if over:
            _give_up(invoice, None)
        return
    if sub is not None and _decides(invoice):
        return
    if sub is not None and sub["status"] == "active":
        change(sub, subscriptions.UPDATED, status="past_due")
    change(customer, "customer.updated", delinquent=True)
    if over:
        _give_up(invoice, sub)


def _give_up(invoice: Json, sub: Json | None) -> None:
    settings = house().settings()
    if sub is None:
        change(invoice, "invoice.updated", auto_advance=False)
    elif settings["retry_end"] == "cancel":
        subscriptions.end_for(sub, "payment_failed")
        invoice.update(db().get("invoice", invoice["id"]))
    else:
        change(invoice, "invoice.updated", auto_advance=False)
        if settings["retry_end"] == "unpaid":
            change(sub, subscriptions.UPDATED, status="unpaid")
    if settings["final_invoice"] == "uncollectible":
        invoicing.mark_uncollectible(invoice, "max_payment_attempts")


def _next(invoice: Json, attempts: int) -> int:
    days: int = house().settings()["retry_days"][attempts - 1]
    return clock.now(invoice["customer"]) + days * DAY


def _shot(invoice: Json) -> Json:
    return {key: invoice[key] for key in ("attempt_count", "attempted", "next_payment_attempt")}


def _updated(invoice: Json, before: Json) -> None:
    previous = {key: value for key, value in before.items() if invoice[key] != value}
    if previous:
        emit("invoice.updated", invoice, previous)

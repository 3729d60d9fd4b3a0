"""Subscriptions that the API or a schedule makes: checked for a way to pay, billed, active or incomplete."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.agenda import period_end
from sandbox.engine import billing, discounts, invoicing, items, subscriptions
from sandbox.events import emit
from sandbox.house import db

Json = dict[str, Any]

CREATED = "customer.subscription.created"


def preview(
    customer: Json, lines: list[tuple[Json, int]], given: Json, more: Json | None = None
) -> tuple[Json, Json | None]:
    """The subscription and its first invoice (None where none is made), neither stored.

    `given` as in `start`; `more` as invoicing.compose takes it.
    """
    now = clock.now(customer["id"])
    sub = subscriptions.unsaved(customer, lines, now, given)
    if not _bills(given):
        return sub, None
    reduced = [discounts.unsaved(each, {"customer": customer["id"]}) for each in given.get("offers", [])]
    more = dict(more or {})
    more["items"] = [
        *more.get("items", []),
        *(items.unsaved(customer, each) for each in given.get("extras", [])),
    ]
    if reduced:
        more["discounts"] = reduced
    terms = billing.terms(sub, "subscription_create", (now, now), **more)
    return sub, invoicing.compose(customer, sub, billing.lines(sub), terms)


def _bills(given: Json) -> bool:
    """The time until a first anchor is free without prorations, and has no invoice either (unlike a trial)."""
    waits = given.get("anchor") is not None and given.get("proration_behavior") == "none"
    return not waits or bool(given.get("extras"))


def start(customer: Json, lines: list[tuple[Json, int]], given: Json) -> Json:
    """Begin a subscription to (price, quantity) pairs now; the subscription, active, trialing or incomplete.

    `given` is what objects.subscription.subscription takes, and may hold: payment_behavior, proration_behavior (of
    a period until `anchor`), offers (to redeem), extras (invoice items for the first invoice, as items.add takes
    them), cancel_at, cancel_at_period_end, draft (the first invoice waits an hour, as a schedule's does).

    400 where money is due and there is no card, 402 where it must be paid (error_if_incomplete) and would not be:
    nothing is left behind then.
    """
    behavior = given.get("payment_behavior") or "allow_incomplete"
    sub, invoice = preview(customer, lines, given)
    due = invoice is not None and invoice["amount_due"] > 0
    if due and sub["collection_method"] == "charge_automatically" and not given.get("draft"):
        why = billing.obstacle(sub, customer)
        if behavior != "default_incomplete" and (
            why == "no_method" or (why is not None and behavior == "error_if_incomplete")
        ):
            raise billing.refusal(sub, customer, why)
        if (why is not None or behavior == "default_incomplete") and sub["status"] == "active":
            sub["status"] = "incomplete"
    _ends(sub, given)
    db().put(sub)
    return _begin(sub, customer, given, behavior, invoice is not None)


def _ends(sub: Json, given: Json) -> None:
    if given.get("cancel_at_period_end"):
        end = period_end(sub)
        sub.update(subscriptions.ending(sub, end) | {"cancel_at_period_end": True})
    elif given.get("cancel_at"):
        sub.update(subscriptions.ending(sub, given["cancel_at"]))


def _begin(sub: Json, customer: Json, given: Json, behavior: str, bills: bool) -> Json:
    target = {"customer": customer["id"], "subscription": sub["id"], "start": sub["created"]}
    reduced = [discounts.redeem(each, target) for each in given.get("offers", [])]
    sub["discounts"] = [each["id"] for each in reduced]
    if not bills:
        db().put(sub)
        emit(CREATED, sub)
        return sub
    now = clock.now(customer["id"])
    sub["latest_invoice"] = billing.new_id()
    db().put(sub)
    for each in given.get("extras", []):
        items.add(customer, each | {"subscription": sub["id"]})
    terms = billing.terms(sub, "subscription_create", (now, now), id=sub["latest_invoice"])
    invoice = invoicing.draft(customer, sub, billing.lines(sub), terms)
    emit(CREATED, sub)
    if given.get("draft"):
        billing.plan(invoice)
        db().put(invoice)
        emit("invoice.created", invoice)
    else:
        billing.bill(sub, invoice, behavior)
    sub = db().get("subscription", sub["id"])
    subscriptions.notice_of_trial(sub)
    return sub

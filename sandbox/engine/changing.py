"""Changes of a subscription that may cost or give back money: items, anchor, trial and end, each with prorations.

`plan` says what a change would do and stores nothing, so previews and the change itself cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox import clock, periods
from sandbox.agenda import period_end
from sandbox.engine import (
    amounts,
    billing,
    discounts,
    editing,
    invoicing,
    items,
    pausing,
    pending,
    proration,
    subscriptions,
)
from sandbox.errors import request_error
from sandbox.events import change
from sandbox.house import db
from sandbox.objects import subscription as shapes

Json = dict[str, Any]

BILLED = ("trialing", "active", "past_due", "unpaid")


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `fields` are changed as they are, without prorations.

    `items`: the subscription's items as they shall be. `reset`: the billing cycle begins anew now. `trial_end`:
    UTC seconds, now or before to end the trial. `proration`: create_prorations, always_invoice or none. `at`: the
    proration_date. `payment`: the payment_behavior. `extras`: more invoice items, as items.add takes them.
    `offers`: what is redeemed for the subscription, `dropped`: the ids of its discounts that end.
    """

    fields: Json = field(default_factory=dict)
    items: list[Json] | None = None
    reset: bool = False
    trial_end: int | None = None
    proration: str = "create_prorations"
    at: int | None = None
    payment: str = "allow_incomplete"
    extras: list[Json] = field(default_factory=list)
    offers: list[discounts.Offer] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """`after`: the fields as they will be. `prorations`: as items.add takes them. `lines`: whole periods that an
    invoice made now (`bills`) charges beside them."""

    after: Json
    prorations: list[Json]
    lines: list[Json]
    bills: bool


def plan(sub: Json, wanted: Wanted) -> Plan:
    """What the change will do; nothing is stored."""
    now = clock.now(sub["customer"])
    at = wanted.at if wanted.at is not None else now
    after = dict(wanted.fields)
    if wanted.items is not None:
        after["items"] = sub["items"] | {"data": wanted.items, "total_count": len(wanted.items)}
    if sub["status"] not in BILLED:
        return Plan(after, [], [], False)
    item = sub["items"]["data"][0]
    if not item["current_period_start"] <= at <= item["current_period_end"]:
        raise request_error(
            "The proration date must lie within the current billing period.", param="proration_date"
        )
    going = sub | after
    none = wanted.proration == "none"
    if wanted.trial_end is not None:
        return _retrial(sub, after, wanted.trial_end, now, [] if none else unused(sub, at))
    if sub["status"] != "trialing" and (wanted.reset or _restarts(sub, going)):
        after |= _begins(going, now)
        lines = billing.lines(sub | after)
        return Plan(after, [] if none else unused(sub, at), lines, True)
    prorations = [] if none else [*_of_items(sub, going, at), *_of_end(sub, going, at)]
    bills = wanted.proration == "always_invoice" and bool(prorations or wanted.extras)
    return Plan(after, prorations, [], bills)


def _restarts(sub: Json, going: Json) -> bool:
    """Another interval begins anew, and so does what was free and is no longer (facts 3.14)."""
    if subscriptions.recurring(sub) != subscriptions.recurring(going):
        return True
    return _price(sub) == 0 and _price(going) > 0


def _price(sub: Json) -> int:
    each = ((item["price"], item["quantity"]) for item in sub["items"]["data"])
    return sum((amounts.unit_amount(price, sub["currency"]) or 0) * count for price, count in each)


def _begins(going: Json, now: int) -> Json:
    recurring = going["items"]["data"][0]["price"]["recurring"]
    period = subscriptions.with_period(going, now, periods.boundary(now, recurring, 1))
    return period | {"billing_cycle_anchor": now}


def unused(sub: Json, at: int) -> list[Json]:
    """What a subscription's items give back from `at` on."""
    if sub["status"] == "trialing":
        return []
    return proration.credit(sub, sub["items"]["data"], at, _last(sub))


def _last(sub: Json) -> int:
    """Until when the current period runs, with a scheduled end in it."""
    end = period_end(sub)
    return min(end, sub["cancel_at"]) if sub["cancel_at"] is not None else end


def _of_items(sub: Json, going: Json, at: int) -> list[Json]:
    if going["items"] is sub["items"]:
        return []
    return proration.items(sub, going["items"]["data"], at, _last(sub))


def _of_end(sub: Json, going: Json, at: int) -> list[Json]:
    """An end inside the current period gives the rest of it back; taking that end back charges it again."""
    before, after = _last(sub), _last(going)
    kept = going["items"]["data"]
    if sub["status"] == "trialing" or before == after:
        return []
    if after < before:
        return proration.credit(going, kept, max(after, at), before)
    return proration.charge(going, kept, kept, max(before, at), after)


def _retrial(sub: Json, after: Json, trial_end: int, now: int, left: list[Json]) -> Plan:
    """A trial that begins, moves or ends. One that begins or ends has an invoice at once."""
    going = sub | after
    if trial_end <= now and sub["status"] != "trialing":
        return Plan(after, [], [], False)
    if trial_end <= now:
        after |= _begins(going, now) | {"status": "active", "trial_end": now}
        return Plan(after, [], billing.lines(sub | after), True)
    anchor = {"trial_end": trial_end, "billing_cycle_anchor": trial_end}
    if sub["status"] == "trialing":
        start = sub["items"]["data"][0]["current_period_start"]
        after |= subscriptions.with_period(going, start, trial_end) | anchor
        return Plan(after, [], [], False)
    after |= subscriptions.with_period(going, now, trial_end) | anchor
    after |= {"status": "trialing", "trial_start": now}
    return Plan(after, left, billing.lines(sub | after), True)


def change_items(
    sub: Json,
    wanted: list[Json],
    proration_behavior: str = "create_prorations",
    proration_date: int | None = None,
    payment_behavior: str = "allow_incomplete",
) -> Json:
    """Let a subscription have these items from now on; the subscription. See `item` for making them."""
    asked = Wanted(items=wanted, proration=proration_behavior, at=proration_date, payment=payment_behavior)
    return carry_out(sub, asked)


def item(sub: Json, price: Json, quantity: int, known: Json | None = None) -> Json:
    """An item for `Wanted.items`: a new one, or a copy of `known` with another price and quantity."""
    first = sub["items"]["data"][0]
    made = shapes.item(
        sub["id"],
        clock.now(sub["customer"]),
        price,
        quantity,
        first["current_period_start"],
        first["current_period_end"],
    )
    if known is None:
        return made
    return known | {key: made[key] for key in ("price", "plan", "quantity")}


def carry_out(sub: Json, wanted: Wanted) -> Json:
    """Do it: one customer.subscription.updated, the prorations, and an invoice where one is due now."""
    planned = plan(sub, wanted)
    customer = db().get("customer", sub["customer"])
    if sub["status"] == "trialing" and planned.after.get("status") == "active":
        fields = planned.after | {"status": "trialing", "items": sub["items"]}
        if pausing.stops_after_trial(sub | fields):
            return db().get("subscription", sub["id"])
    if planned.bills and wanted.payment in ("error_if_incomplete", "pending_if_incomplete"):
        why = (
            billing.obstacle(sub | planned.after, customer) if _due(sub, customer, planned, wanted) else None
        )
        if why is not None and wanted.payment == "error_if_incomplete":
            raise billing.refusal(sub | planned.after, customer, why)
        if why is not None:
            return _wait(sub, customer, planned, wanted)
    fields = dict(planned.after)
    if planned.bills:
        fields["latest_invoice"] = billing.new_id()
    if wanted.offers or wanted.dropped:
        fields["discounts"] = _discounts(sub, wanted)
    retried = "trial_end" in fields and fields["trial_end"] != sub["trial_end"]
    change(sub, subscriptions.UPDATED, **fields)
    _invoice(sub, customer, planned, wanted, wanted.payment)
    sub = db().get("subscription", sub["id"])
    if retried:
        subscriptions.notice_of_trial(sub)
    return db().get("subscription", sub["id"])


def _discounts(sub: Json, wanted: Wanted) -> list[str]:
    for id_ in wanted.dropped:
        discounts.end(db().get("discount", id_))
    target = {"customer": sub["customer"], "subscription": sub["id"]}
    kept = [id_ for id_ in sub["discounts"] if id_ not in wanted.dropped]
    return [*kept, *(discounts.redeem(each, target)["id"] for each in wanted.offers)]


def _due(sub: Json, customer: Json, planned: Plan, wanted: Wanted) -> bool:
    return bool(preview(sub, customer, planned, wanted.extras, {})["amount_due"] > 0)


def preview(sub: Json, customer: Json, planned: Plan, extras: list[Json], more: Json) -> Json:
    """The invoice that the change would make now, unsaved; `more` as invoicing.compose takes it."""
    now = clock.now(customer["id"])
    waiting = [items.unsaved(customer, each) for each in (*planned.prorations, *extras)]
    given = billing.terms(sub, "subscription_update", (now, now)) | more
    given["items"] = [*waiting, *more.get("items", [])]
    return invoicing.compose(customer, sub | planned.after, planned.lines, given)


def _invoice(sub: Json, customer: Json, planned: Plan, wanted: Wanted, payment: str) -> None:
    billing.add_prorations(customer, planned.prorations)
    for each in wanted.extras:
        items.add(customer, each)
    if not planned.bills:
        return
    now = clock.now(customer["id"])
    given = billing.terms(sub, "subscription_update", (now, now), id=sub["latest_invoice"])
    invoice = invoicing.draft(customer, sub, planned.lines, given)
    billing.bill(sub, invoice, payment)
    if payment == "default_incomplete" and invoice["status"] == "open" and sub["status"] == "active":
        change(sub, subscriptions.UPDATED, status="past_due")


def _wait(sub: Json, customer: Json, planned: Plan, wanted: Wanted) -> Json:
    """Invoice the change, and make it when that is paid (pending_if_incomplete, facts 3.14)."""
    pending.hold(sub, planned.after, billing.new_id())
    _invoice(sub, customer, planned, wanted, "allow_incomplete")
    return db().get("subscription", sub["id"])


def end_now(sub: Json, prorate: bool, invoice_now: bool, feedback: str | None, comment: str | None) -> Json:
    """Cancel at once; `prorate` gives the rest of the period back, `invoice_now` bills what is pending.

    With neither, prorations that are pending are dropped (SDK, Subscription.cancel).
    """
    now = clock.now(sub["customer"])
    customer = db().get("customer", sub["customer"])
    if prorate and sub["status"] in ("active", "past_due", "unpaid"):
        billing.add_prorations(customer, unused(sub, now))
    if not prorate and not invoice_now:
        _drop_prorations(sub)
    bills = invoice_now and bool(items.pending(customer["id"], sub["id"], only=True))
    if bills:
        sub["latest_invoice"] = billing.new_id()
    subscriptions.cancel_now(sub, feedback, comment)
    if bills:
        given = billing.terms(sub, "subscription_update", (now, now), pending="own", id=sub["latest_invoice"])
        billing.bill(sub, invoicing.draft(customer, sub, [], given), "allow_incomplete")
    return db().get("subscription", sub["id"])


def _drop_prorations(sub: Json) -> None:
    for item in items.pending(sub["customer"], sub["id"], only=True):
        if item["proration"]:
            editing.remove_item(item)


def end_scheduled(sub: Json) -> Json:
    """The end that was scheduled has come; what is pending is billed like a renewal (facts 3.10)."""
    bills = bool(items.pending(sub["customer"], sub["id"]))
    if bills:
        sub["latest_invoice"] = billing.new_id()
    subscriptions.end_scheduled(sub)
    if bills:
        customer = db().get("customer", sub["customer"])
        period = (sub["items"]["data"][0]["current_period_start"], clock.now(sub["customer"]))
        given = billing.terms(sub, "subscription_cycle", period, id=sub["latest_invoice"])
        billing.announce(sub, invoicing.draft(customer, sub, [], given))
    return sub

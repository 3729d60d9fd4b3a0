"""Changing to another plan, interval or number of seats: what Stripe is asked, and what a subscription will become.

What costs more begins at once and only if it is paid; what costs less begins when the paid period ends; a trial
changes free of charge (decision 0015).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing import prices, stripe_reads
from billing.clock import from_stripe, now
from billing.models import Subscription
from billing.payloads import Object, first_item, ref
from billing.quoting import Quote
from billing.write_request import WriteRequest


def moment_of(found: Object) -> int:
    """Stripe's present second: that of the test clock where the subscription is on one."""
    clock = ref(found.get("test_clock"))
    return int(stripe_reads.get_test_clock(clock)["frozen_time"] if clock else now().timestamp())


def change_request(quoted: Quote, once: str, user_id: int) -> WriteRequest:
    """The write that changes the plan now: for free in a trial, else only if what was quoted is paid."""
    params: dict[str, Any] = {"items": [_item(quoted.item, quoted.price, quoted.quantity)]}
    if quoted.timing == "trial":
        params["proration_behavior"] = "none"
    else:
        params |= {
            "proration_behavior": "always_invoice",
            "proration_date": quoted.moment,
            "payment_behavior": "pending_if_incomplete",
        }
    name = f"change:{quoted.subscription}:{once}"
    return WriteRequest("subscription.update", name, params, quoted.subscription, user_id)


def schedule_request(quoted: Quote, once: str, user_id: int) -> WriteRequest:
    """The write that puts the subscription on a schedule, which so far only says what is already so."""
    params = {"from_subscription": quoted.subscription}
    name = f"change-schedule:{quoted.subscription}:{once}"
    return WriteRequest("subscription_schedule.create", name, params, user_id=user_id)


def phases_request(schedule: Object, quoted: Quote, once: str, user_id: int) -> WriteRequest:
    """The write that adds the next phase: what is wanted when the paid period is over, without proration.

    Each phase names the discounts that it keeps: a phase without them takes them off the subscription.
    """
    begun = schedule["current_phase"]["start_date"]
    present = next(phase for phase in schedule["phases"] if phase["start_date"] == begun)
    phases: list[dict[str, Any]] = [
        {
            "items": [{"price": ref(one["price"]), "quantity": one["quantity"]} for one in present["items"]],
            "start_date": present["start_date"],
            "end_date": quoted.period_end,
        },
        {
            "items": [{"price": quoted.price, "quantity": quoted.quantity}],
            "proration_behavior": "none",
            "duration": {"interval": quoted.interval, "interval_count": 1},
        },
    ]
    now_on = [ref(one["discount"]) for one in present.get("discounts") or [] if one.get("discount")]
    for phase, kept in zip(phases, (now_on, quoted.discounts), strict=True):
        if kept:
            phase["discounts"] = [{"discount": one} for one in kept]
    params = {"end_behavior": "release", "proration_behavior": "none", "phases": phases}
    name = f"change-phases:{quoted.subscription}:{once}"
    return WriteRequest("subscription_schedule.update", name, params, schedule["id"], user_id)


def leave_request(schedule: Object, user_id: int) -> WriteRequest:
    """The write that takes the subscription off a schedule, whatever that would have done."""
    name = f"leave-schedule:{schedule['id']}"
    return WriteRequest("subscription_schedule.release", name, target=schedule["id"], user_id=user_id)


def void_request(invoice: str, user_id: int) -> WriteRequest:
    """The write that gives up a change whose payment was declined: Stripe drops the pending update with its invoice."""
    return WriteRequest("invoice.void", f"change-void:{invoice}", target=invoice, user_id=user_id)


def coming(session: Session, found: Object) -> dict[str, Any] | None:
    """What the subscription will become: ``scheduled`` at a date, or ``pending`` until its payment is made.

    A schedule that only goes on with what is already so is no change.
    """
    pending = found.get("pending_update") or {}
    if pending.get("subscription_items"):
        item = pending["subscription_items"][0]
        return _coming(session, "pending", item, pending.get("expires_at"))
    phase = scheduled(found)
    return _coming(session, "scheduled", phase["items"][0], phase["start_date"]) if phase else None


def scheduled(found: Object) -> Object | None:
    """The next phase of the subscription's schedule, where it brings another price or quantity."""
    schedule = found.get("schedule")
    if not isinstance(schedule, dict) or not schedule.get("current_phase"):
        return None
    end = schedule["current_phase"]["end_date"]
    after = [phase for phase in schedule["phases"] if phase["start_date"] >= end and phase["items"]]
    item = first_item(found)
    as_it_is = (ref(item.get("price")), item.get("quantity"))
    next_ = after[0]["items"][0] if after else item
    return None if (ref(next_.get("price")), next_.get("quantity")) == as_it_is else after[0]


def _coming(session: Session, kind: str, item: Object, at: int | None) -> dict[str, Any]:
    price_id = ref(item.get("price"))
    known = prices.known(session, price_id)
    quantity = item.get("quantity") or 1
    return {
        "kind": kind,
        "price": price_id,
        "plan": known.item if known else None,
        "quantity": quantity,
        "amount": known.amount * quantity if known else None,
        "currency": known.currency if known else None,
        "interval": known.interval if known else None,
        "at": at,
    }


def at(row: Subscription) -> datetime | None:
    """When the change that is coming comes."""
    return from_stripe((row.coming or {}).get("at"))


def _item(item: str, price: str, quantity: int) -> dict[str, Any]:
    return {"id": item, "price": price, "quantity": quantity}

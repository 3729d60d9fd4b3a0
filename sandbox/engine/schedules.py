"""Subscription schedules: phases that a subscription enters one after the other, and what comes after the last.

A phase that begins as a period ends takes part in that renewal (`turn`); in between it is a change with prorations.
"""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import changing, phases, starting, subscriptions
from sandbox.errors import request_error
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import schedule as shapes

Json = dict[str, Any]

UPDATED = "subscription_schedule.updated"
LIVING = ("not_started", "active")


def create(customer: Json, phases: list[Json], given: Json) -> Json:
    """A schedule of resolved phases (objects.schedule.phase); one that starts now or earlier begins at once."""
    now = clock.now(customer["id"])
    schedule = db().put(shapes.schedule(now, customer, phases, given))
    if phases[0]["start_date"] <= now:
        _begin(schedule)
    emit("subscription_schedule.created", schedule)
    return schedule


def from_subscription(sub: Json, given: Json) -> Json:
    """A schedule whose one phase is the subscription's current period as it is."""
    if sub["schedule"] is not None:
        raise request_error("You cannot migrate a subscription that is already attached to a schedule.")
    customer = db().get("customer", sub["customer"])
    first = sub["items"]["data"][0]
    items = [
        shapes.phase_item(item["price"]["id"], item["quantity"], item["metadata"])
        for item in sub["items"]["data"]
    ]
    more = {
        "currency": sub["currency"],
        "discounts": [{"coupon": None, "discount": id_, "promotion_code": None} for id_ in sub["discounts"]],
        "metadata": sub["metadata"],
        "trial_end": sub["trial_end"] if sub["status"] == "trialing" else None,
    }
    phase = shapes.phase(first["current_period_start"], first["current_period_end"], items, more)
    schedule = shapes.schedule(clock.now(customer["id"]), customer, [phase], given)
    schedule.update(status="active", subscription=sub["id"], current_phase=phases.dates(phase))
    db().put(schedule)
    emit("subscription_schedule.created", schedule)
    change(sub, subscriptions.UPDATED, schedule=schedule["id"])
    return schedule


def _begin(schedule: Json) -> None:
    """The first phase: a subscription is made, whose first invoice waits in draft for an hour."""
    phase = schedule["phases"][0]
    customer = db().get("customer", schedule["customer"])
    lines = [(db().get("price", item["price"]), item["quantity"]) for item in phase["items"]]
    given = {
        "draft": True,
        "schedule": schedule["id"],
        "billing_mode": schedule["billing_mode"]["type"],
        "item_metadata": [item["metadata"] for item in phase["items"]],
        "metadata": phase["metadata"],
        "description": phase["description"],
        "default_payment_method": phase["default_payment_method"],
        "trial_end": phase["trial_end"],
        "offers": phases.offers(phase),
        "cancel_at": phases.last_day(schedule, phase),
    }
    sub = starting.start(customer, lines, given)
    schedule.update(status="active", subscription=sub["id"], current_phase=phases.dates(phase))
    db().put(schedule)


def of(sub: Json) -> Json | None:
    """The living schedule of a subscription."""
    schedule = db().find("subscription_schedule", sub["schedule"])
    return schedule if schedule is not None and schedule["status"] in LIVING else None


def begin(schedule: Json) -> None:
    """The time of the first phase has come; a customer who was deleted gets no subscription."""
    if db().get("customer", schedule["customer"]).get("_deleted"):
        cancel(schedule)
        return
    _begin(schedule)
    emit(UPDATED, schedule, {"current_phase": None, "status": "not_started", "subscription": None})


def turn(sub: Json) -> bool:
    """A period ends: enter the phase that begins with the next (in place, unsaved). False when it all ended."""
    schedule = of(sub)
    now = clock.now(sub["customer"])
    if schedule is None or schedule["status"] != "active" or schedule["current_phase"]["end_date"] > now:
        return True
    following = phases.following(schedule, now)
    if following is not None:
        before = subscriptions.recurring(sub)
        sub.update(phases.fields(schedule, following, sub))
        sub["items"] = sub["items"] | {"data": phases.items(sub, following)}
        if subscriptions.recurring(sub) != before:
            sub["billing_cycle_anchor"] = now
        _enter(schedule, following)
        return True
    if schedule["end_behavior"] == "cancel":
        changing.end_scheduled(sub)
        return False
    sub["schedule"] = None
    _complete(schedule, released=sub["id"])
    return True


def _enter(schedule: Json, entered: Json) -> None:
    change(schedule, UPDATED, current_phase=phases.dates(entered))


def between(schedule: Json, sub: Json) -> None:
    """A phase begins, or the last is over, inside a period of the subscription."""
    now = clock.now(sub["customer"])
    following = phases.following(schedule, now)
    if following is None and schedule["end_behavior"] == "cancel":
        changing.end_scheduled(sub)
    elif following is None:
        change(sub, subscriptions.UPDATED, schedule=None)
        _complete(schedule, released=sub["id"])
    else:
        _enter(schedule, following)
        _apply(schedule, sub, following, following["proration_behavior"])


def _apply(schedule: Json, sub: Json, entered: Json, proration_behavior: str) -> None:
    fields = phases.fields(schedule, entered, sub)
    wanted = changing.Wanted(fields=fields, items=phases.items(sub, entered), proration=proration_behavior)
    changing.carry_out(sub, wanted)


def _complete(schedule: Json, released: str | None) -> None:
    now = clock.now(schedule["customer"])
    schedule.update(status="completed", completed_at=now, current_phase=None)
    if released is not None:
        schedule.update(released_subscription=released, subscription=None)
    db().put(schedule)
    emit("subscription_schedule.completed", schedule)


def over(sub: Json) -> None:
    """The subscription ended: as the schedule wanted, or else the schedule is aborted."""
    schedule = of(sub)
    if schedule is None:
        return
    now = clock.now(sub["customer"])
    if schedule["end_behavior"] == "cancel" and schedule["phases"][-1]["end_date"] <= now:
        _complete(schedule, released=None)
        return
    schedule.update(status="canceled", canceled_at=now, current_phase=None)
    db().put(schedule)
    emit("subscription_schedule.aborted", schedule)


def expiring(schedule_id: str) -> None:
    """Seven days before it ends (facts 3.14)."""
    schedule = db().get("subscription_schedule", schedule_id)
    schedule["_expiring_sent"] = schedule["phases"][-1]["end_date"]
    db().put(schedule)
    emit("subscription_schedule.expiring", schedule)


def update(schedule: Json, fields: Json, proration_behavior: str = "create_prorations") -> Json:
    """Change `phases`, `end_behavior` or `metadata`. A changed current phase is a change of the subscription now."""
    _living(schedule, "updated")
    old = phases.current(schedule)
    change(schedule, UPDATED, **fields)
    current = phases.current(schedule)
    sub = db().find("subscription", schedule["subscription"])
    if current is None or sub is None:
        return schedule
    change(schedule, None, current_phase=phases.dates(current))
    if phases.billed(current) != phases.billed(old):
        _apply(schedule, sub, current, proration_behavior)
    elif phases.last_day(schedule, current) != sub["cancel_at"]:
        change(sub, subscriptions.UPDATED, cancel_at=phases.last_day(schedule, current))
    return db().get("subscription_schedule", schedule["id"])


def release(schedule: Json, preserve_cancel_date: bool = False) -> Json:
    """Let the subscription go on without it."""
    _living(schedule, "released")
    now = clock.now(schedule["customer"])
    sub = db().find("subscription", schedule["subscription"])
    if sub is not None:
        fields: Json = {"schedule": None}
        if not preserve_cancel_date and schedule["end_behavior"] == "cancel":
            fields["cancel_at"] = None
        change(sub, subscriptions.UPDATED, **fields)
    schedule.update(
        status="released",
        released_at=now,
        released_subscription=schedule["subscription"],
        subscription=None,
        current_phase=None,
    )
    db().put(schedule)
    emit("subscription_schedule.released", schedule)
    return schedule


def cancel(schedule: Json, prorate: bool = True, invoice_now: bool = True) -> Json:
    """End it, and its subscription at once."""
    _living(schedule, "canceled")
    now = clock.now(schedule["customer"])
    schedule.update(status="canceled", canceled_at=now, current_phase=None)
    db().put(schedule)
    sub = db().find("subscription", schedule["subscription"])
    if sub is not None and sub["status"] not in subscriptions.ENDED:
        changing.end_now(sub, prorate, invoice_now, None, None)
    emit("subscription_schedule.canceled", schedule)
    return schedule


def _living(schedule: Json, what: str) -> None:
    if schedule["status"] not in LIVING:
        raise request_error(
            f"You cannot have a schedule {what} that is in the `{schedule['status']}` status."
        )

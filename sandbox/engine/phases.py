"""The phases of a schedule: which one holds now, and what it makes of its subscription."""

from __future__ import annotations

from typing import Any

from sandbox.engine import changing, discounts
from sandbox.house import db

Json = dict[str, Any]


def dates(phase: Json) -> Json:
    """A phase as `current_phase` names it."""
    return {"end_date": phase["end_date"], "start_date": phase["start_date"]}


def offers(phase: Json) -> list[discounts.Offer]:
    """The coupons and codes that are redeemed as it begins."""
    return [
        discounts.offer(each["coupon"], each["promotion_code"], "discounts")
        for each in phase["discounts"]
        if each["discount"] is None
    ]


def last_day(schedule: Json, phase: Json) -> int | None:
    """When the schedule ends its subscription, if this is the last phase."""
    last = phase["start_date"] == schedule["phases"][-1]["start_date"]
    return int(phase["end_date"]) if last and schedule["end_behavior"] == "cancel" else None


def following(schedule: Json, now: int) -> Json | None:
    """The phase that holds this moment."""
    for each in schedule["phases"]:
        if each["start_date"] <= now < each["end_date"]:
            found: Json = each
            return found
    return None


def fields(schedule: Json, entered: Json, sub: Json) -> Json:
    """What a subscription takes over as it enters the phase, its items apart; discounts are redeemed here."""
    found: Json = {"cancel_at": last_day(schedule, entered)}
    if entered["metadata"]:
        found["metadata"] = sub["metadata"] | entered["metadata"]
    if entered["description"] is not None:
        found["description"] = entered["description"]
    if entered["default_payment_method"] is not None:
        found["default_payment_method"] = entered["default_payment_method"]
    target = {"customer": sub["customer"], "subscription": sub["id"]}
    made = [discounts.redeem(each, target)["id"] for each in offers(entered)]
    kept = [each["discount"] for each in entered["discounts"] if each["discount"] in sub["discounts"]]
    return found | {"discounts": [*kept, *made]}


def items(sub: Json, entered: Json) -> list[Json]:
    """The items of a phase; those that stand in the same place keep their ids."""
    known = sub["items"]["data"]
    made = []
    for place, each in enumerate(entered["items"]):
        old = known[place] if place < len(known) else None
        item = changing.item(sub, db().get("price", each["price"]), each["quantity"], old)
        made.append(item | {"metadata": each["metadata"]})
    return made


def current(schedule: Json) -> Json | None:
    """The phase that the schedule says it is in, as its list of phases has it now."""
    now = schedule["current_phase"]
    starts = [each for each in schedule["phases"] if now and each["start_date"] == now["start_date"]]
    return starts[0] if starts else None


def billed(phase: Json | None) -> Any:
    """What of a phase changes its subscription, to compare."""
    return phase and [phase["items"], phase["discounts"], phase["metadata"]]

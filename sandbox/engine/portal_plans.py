"""What a person does with a plan in the portal: cancel it, take that back, keep it for less, change it, pause it.

A change is shown before it is confirmed by `rehearse`, which carries it out and rolls it back: what is shown is what
will be charged, to the unit, since the confirmation brings the moment that was shown.
"""

from __future__ import annotations

import uuid
from typing import Any

from sandbox import clock, periods
from sandbox.engine import amounts, changing, discounts, pausing, portal, schedules, subscriptions
from sandbox.errors import ApiError
from sandbox.events import change
from sandbox.house import db
from sandbox.objects import schedule as schedule_shapes
from sandbox.outcomes import NotFound, Outcome
from sandbox.store import Cause

Json = dict[str, Any]

SHOWN_FOR = 3600  # seconds for which a proration that was shown can be confirmed
UNITS = {"day": 1, "week": 7, "month": 30, "year": 365}


class _Rehearsed(Exception):
    """Rolls a rehearsal back."""


def _cause() -> Cause:
    return Cause(None, str(uuid.uuid4()))


def cancel(token: str, subscription_id: str, feedback: str | None, comment: str | None) -> Outcome:
    """At the end of the period or at once, as the configuration says."""
    session = portal.live(token)
    portal.allow(session, "subscription_cancel")
    sub = portal.own_subscription(session, subscription_id)
    if sub["status"] not in ("active", "trialing", "past_due", "unpaid", "paused"):
        return Outcome("bad_input", "This plan has ended already.")
    how = portal.features(session)["subscription_cancel"]
    with db().transaction(_cause()):
        if how["mode"] == "immediately":
            behavior = how["proration_behavior"]
            changing.end_now(sub, behavior != "none", behavior == "always_invoice", feedback, comment)
        elif not sub["cancel_at_period_end"]:
            subscriptions.schedule_end(sub, feedback, comment)
    portal.touch(session)
    return Outcome("done", redirect_url=portal.next_url(session, token))


def keep(token: str, subscription_id: str) -> Outcome:
    """Accept the coupon that was offered for staying."""
    session = portal.live(token)
    sub = portal.own_subscription(session, subscription_id)
    coupon = retention(session)
    if coupon is None:
        raise NotFound(subscription_id)
    offered = discounts.Offer(coupon)
    customer = db().get("customer", session["customer"])
    try:
        discounts.check(offered, discounts.Purchase(customer, sub["currency"]))
    except ApiError as problem:
        return Outcome("bad_input", str(problem))
    with db().transaction(_cause()):
        made = discounts.redeem(offered, {"customer": customer["id"], "subscription": sub["id"]})
        change(sub, subscriptions.UPDATED, discounts=[*sub["discounts"], made["id"]])
    portal.touch(session)
    return Outcome("done", redirect_url=portal.next_url(session, token))


def retention(session: Json) -> Json | None:
    """The coupon that this session offers to whoever is about to cancel."""
    about = (session["flow"] or {}).get("subscription_cancel") or {}
    offer = (about.get("retention") or {}).get("coupon_offer") or {}
    return db().find("coupon", offer.get("coupon"))


def resume(token: str, subscription_id: str) -> Outcome:
    """Take a scheduled end or a pause back."""
    session = portal.live(token)
    sub = portal.own_subscription(session, subscription_id)
    if sub["status"] in subscriptions.ENDED:
        return Outcome("bad_input", "This plan has ended; it can only be bought again.")
    with db().transaction(_cause()):
        if sub["status"] == "paused":
            pausing.resume(sub)
        else:
            subscriptions.undo_end(sub)
    portal.touch(session)
    return Outcome("done", redirect_url=f"/p/session/{token}")


def pause(token: str, subscription_id: str) -> Outcome:
    session = portal.live(token)
    portal.allow(session, "subscription_pause")
    sub = portal.own_subscription(session, subscription_id)
    try:
        with db().transaction(_cause()):
            pausing.pause(sub)
    except ApiError as problem:
        return Outcome("bad_input", str(problem))
    portal.touch(session)
    return Outcome("done", redirect_url=portal.next_url(session, token))


def choices(session: Json, sub: Json) -> list[Json]:
    """The prices that the plan may change to: price (the object), product_name, amount, current, adjustable."""
    feature = portal.features(session)["subscription_update"]
    item = sub["items"]["data"][0]
    found = []
    for row in feature["products"] or []:
        product = db().get("product", row["product"])
        for id_ in row["prices"]:
            price = db().get("price", id_)
            amount = amounts.unit_amount(price, sub["currency"])
            current = id_ == item["price"]["id"]
            if (
                amount is None
                or not price["active"]
                or not (current or "price" in feature["default_allowed_updates"])
            ):
                continue
            limits = row["adjustable_quantity"] if "quantity" in feature["default_allowed_updates"] else None
            found.append(
                {
                    "price": price,
                    "product_name": product["name"],
                    "amount": amount,
                    "current": current,
                    "adjustable": limits if limits and limits["enabled"] else None,
                }
            )
    return found


def can_update(session: Json, sub: Json) -> bool:
    """Plans of one item, without a schedule, that are going on."""
    feature = portal.features(session)["subscription_update"]
    return bool(
        feature["enabled"]
        and sub["status"] in ("active", "trialing", "past_due")
        and len(sub["items"]["data"]) == 1
        and sub["schedule"] is None
        and choices(session, sub)
    )


def problem(session: Json, sub: Json, price_id: str, quantity: str, code: str) -> dict[str, str]:
    """What is wrong with a chosen change, by field."""
    confirming = ((session["flow"] or {}).get("type")) == "subscription_update_confirm"
    rows = {row["price"]["id"]: row for row in choices(session, sub)}
    if price_id not in rows and not confirming:
        return {"price": "Choose a plan"}
    if not (quantity.isascii() and quantity.isdigit() and 0 < int(quantity) < 1_000_000):
        return {"quantity": "Enter how many, in digits"}
    limits = rows[price_id]["adjustable"] if price_id in rows else None
    if limits and not limits["minimum"] <= int(quantity) <= (limits["maximum"] or 999_999):
        return {"quantity": f"Choose from {limits['minimum']} to {limits['maximum'] or 999999}"}
    item = sub["items"]["data"][0]
    if price_id == item["price"]["id"] and int(quantity) == item["quantity"] and not code and not confirming:
        return {"price": "This is the plan that you have"}
    if code and _typed_offer(session, code) is None:
        return {"promotion_code": "This code is not valid."}
    return {}


def _typed_offer(session: Json, code: str) -> discounts.Offer | None:
    if "promotion_code" not in portal.features(session)["subscription_update"]["default_allowed_updates"]:
        return None
    return discounts.typed(code, session["customer"])


def _offer(session: Json, code: str) -> discounts.Offer | None:
    confirm = (session["flow"] or {}).get("subscription_update_confirm") or {}
    for each in confirm.get("discounts") or []:
        return discounts.offer(each["coupon"], each["promotion_code"], "discounts[0]")
    return _typed_offer(session, code) if code else None


def is_later(session: Json, sub: Json, price_id: str, quantity: int) -> bool:
    """Whether this change waits for the end of the period, as the configuration's conditions say."""
    feature = portal.features(session)["subscription_update"]
    conditions = {each["type"] for each in feature["schedule_at_period_end"]["conditions"]}
    item, price = sub["items"]["data"][0], db().get("price", price_id)
    old_unit = amounts.unit_amount(db().get("price", item["price"]["id"]), sub["currency"]) or 0
    smaller = (amounts.unit_amount(price, sub["currency"]) or 0) * quantity < old_unit * item["quantity"]
    shorter = _days(price) < _days(item["price"])
    return ("decreasing_item_amount" in conditions and smaller) or (
        "shortening_interval" in conditions and shorter
    )


def _days(price: Json) -> int:
    every = price["recurring"]
    return UNITS[every["interval"]] * int(every["interval_count"])


def _change(session: Json, sub: Json, chosen: tuple[str, int, str], at: int) -> None:
    """Carry out the change to (price, quantity, promotion code); ApiError when it can't be."""
    price_id, quantity, code = chosen
    item, price = sub["items"]["data"][0], db().get("price", price_id)
    wanted = [changing.item(sub, price, quantity, item)]
    if is_later(session, sub, price_id, quantity):
        _schedule(sub, price_id, quantity)
        return
    feature = portal.features(session)["subscription_update"]
    offered, fields = _offer(session, code), {}
    customer = db().get("customer", sub["customer"])
    if offered is not None:
        discounts.check(offered, discounts.Purchase(customer, sub["currency"]))
        made = discounts.redeem(offered, {"customer": customer["id"], "subscription": sub["id"]})
        fields = {"discounts": [made["id"]]}
    trial_end = None
    if sub["status"] == "trialing" and feature["trial_update_behavior"] == "end_trial":
        trial_end = clock.now(sub["customer"])
    changing.carry_out(
        db().get("subscription", sub["id"]),
        changing.Wanted(
            fields=fields,
            items=wanted,
            reset=feature["billing_cycle_anchor"] == "now",
            trial_end=trial_end,
            proration=feature["proration_behavior"],
            at=at if trial_end is None else None,
        ),
    )


def _schedule(sub: Json, price_id: str, quantity: int) -> None:
    schedule = schedules.from_subscription(sub, {})
    (first,) = schedule["phases"]
    item = schedule_shapes.phase_item(price_id, quantity, {})
    start = first["end_date"]
    more = {"currency": sub["currency"], "metadata": sub["metadata"], "proration_behavior": "none"}
    end = periods.boundary(start, db().get("price", price_id)["recurring"], 1)
    then = schedule_shapes.phase(start, end, [item], more)
    schedules.update(schedule, {"phases": [first, then]})


def rehearse(token: str, subscription_id: str, chosen: tuple[str, int, str]) -> Json:
    """What the change to (price, quantity, promotion code) would do now; nothing is kept.

    at (the moment that a confirmation must bring), later (UTC seconds when it waits, else None), due (minor units
    charged now), lines (of that invoice, or what the next one will hold), next (those lines' sum where nothing is
    charged now), total (of that invoice, below zero where it leaves a credit), problem.
    """
    session = portal.live(token)
    sub = portal.own_subscription(session, subscription_id)
    at = clock.now(sub["customer"])
    shown: Json = {"at": at, "later": None, "due": 0, "lines": [], "next": 0, "total": 0, "problem": ""}
    if is_later(session, sub, chosen[0], chosen[1]):
        return shown | {"later": sub["items"]["data"][0]["current_period_end"]}
    try:
        with db().transaction():
            known = {each["id"] for each in db().all("invoiceitem", customer=sub["customer"])}
            _change(session, sub, chosen, at)
            after = db().get("subscription", subscription_id)
            shown |= _effects(sub, after, known)
            raise _Rehearsed
    except _Rehearsed:
        return shown
    except ApiError as problem_:
        return shown | {"problem": str(problem_)}


def _effects(sub: Json, after: Json, known: set[str]) -> Json:
    if after["latest_invoice"] != sub["latest_invoice"]:
        invoice = db().get("invoice", after["latest_invoice"])
        return {"due": invoice["amount_due"], "lines": invoice["lines"]["data"], "total": invoice["total"]}
    new = [each for each in db().all("invoiceitem", customer=sub["customer"]) if each["id"] not in known]
    return {"lines": new, "next": sum(each["amount"] for each in new)}


def confirm(token: str, subscription_id: str, chosen: tuple[str, int, str], at: int) -> Outcome:
    """Make the change that was shown for the moment `at`."""
    session = portal.live(token)
    portal.allow(session, "subscription_update")
    sub = portal.own_subscription(session, subscription_id)
    now = clock.now(sub["customer"])
    start = sub["items"]["data"][0]["current_period_start"]
    if not max(start, now - SHOWN_FOR) <= at <= now:
        return Outcome("bad_input", "This offer is old. Check the amount again.")
    try:
        with db().transaction(_cause()):
            _change(session, sub, chosen, at)
    except ApiError as refused:
        return Outcome("bad_input", str(refused))
    portal.touch(session)
    return Outcome("done", redirect_url=portal.next_url(session, token))

"""What a request for a new subscription says."""

from __future__ import annotations

from typing import Any

from sandbox import clock, periods
from sandbox.agenda import DAY
from sandbox.api import subscription_params as said
from sandbox.api.form import Params
from sandbox.errors import not_built, request_error, required

Json = dict[str, Any]


def creation(params: Params, customer: Json) -> tuple[list[tuple[Json, int]], Json]:
    """Its (price, quantity) pairs, and what engine.starting.start takes beside them."""
    now = clock.now(customer["id"])
    lines, metadata = _new_items(params)
    currency = lines[0][0]["currency"]
    if params.text("currency") not in (None, currency):
        raise not_built("a currency other than the price's", "currency")
    end = said.trial_end(params, now)
    given: Json = {
        "item_metadata": metadata,
        "metadata": params.metadata(),
        "description": params.text("description"),
        "default_payment_method": said.method(customer["id"], params),
        "trial_end": end if end is not None and end > now else None,
        "payment_behavior": params.choice("payment_behavior", *said.PAYMENT),
        "proration_behavior": said.proration(params),
        "offers": said.offers(params, customer, currency),
        "extras": said.extras(params, currency, None),
        "billing_mode": params.child("billing_mode").choice("type", "classic", "flexible"),
        "save_default_payment_method": params.child("payment_settings").choice(
            "save_default_payment_method", "off", "on_subscription"
        ),
        **said.collection(params, "charge_automatically"),
        **_first_end(params, now),
    }
    settings = said.trial_settings(params)
    given |= {
        "missing_payment_method": settings.get("missing_payment_method"),
        "trial_anchor": settings.get("billing_cycle_anchor"),
    }
    return lines, given | _anchor(params, now, lines[0][0], bool(given["trial_end"]))


def _new_items(params: Params) -> tuple[list[tuple[Json, int]], list[Json]]:
    rows = params.rows("items")
    if not rows:
        raise required("items")
    lines: list[tuple[Json, int]] = []
    for row in rows:
        found = said.price(row, lines[0][0]["currency"] if lines else None)
        quantity = row.integer("quantity", least=0)
        lines.append((found, 1 if quantity is None else quantity))
    said.check_prices([each for each, _ in lines], "items")
    return lines, [row.metadata() for row in rows]


def _first_end(params: Params, now: int) -> Json:
    said.both_ends(params)
    at = params.integer("cancel_at")
    if at is not None and at <= now:
        raise request_error("`cancel_at` must be in the future.", param="cancel_at")
    return {"cancel_at": at, "cancel_at_period_end": params.flag("cancel_at_period_end")}


def _anchor(params: Params, now: int, first: Json, trial: bool) -> Json:
    config = params.child("billing_cycle_anchor_config")
    anchor = params.integer("billing_cycle_anchor")
    if anchor is None and not config.tree:
        return {}
    if trial:
        raise not_built("a trial before a billing cycle anchor", "billing_cycle_anchor")
    kept: Json = {}
    if config.tree:
        kept = {name: config.integer(name) for name in ("day_of_month", "hour", "minute", "second")}
        kept["month"] = None
        anchor = _configured(kept, now, config)
    natural = periods.boundary(now, first["recurring"], 1)
    if anchor is None or not now < anchor <= natural:
        raise request_error(
            "billing_cycle_anchor must be in the future and cannot be later than the next natural billing date"
            f" ({natural}).",
            param="billing_cycle_anchor",
        )
    return {"anchor": anchor, "anchor_config": kept or None}


def _configured(config: Json, now: int, params: Params) -> int:
    day = config["day_of_month"]
    if day is None:
        raise required(params.name("day_of_month"))
    if not 1 <= day <= 31:
        raise request_error("day_of_month must be between 1 and 31.", param=params.name("day_of_month"))
    clock_time = now % DAY
    asked = (config["hour"], config["minute"], config["second"])
    own = (clock_time // 3600, clock_time // 60 % 60, clock_time % 60)
    hour, minute, second = own if asked == (None, None, None) else tuple(each or 0 for each in asked)
    return periods.next_day_of_month(day, now, hour, minute, second)

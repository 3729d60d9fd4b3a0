"""Basil, as 2025-09-30.clover found it: `coupon` on discounts and promotion codes, a phase's `iterations`."""

from __future__ import annotations

from typing import Any

from sandbox.errors import missing, request_error
from sandbox.house import db
from sandbox.versions.change import Change, looked_up, rows

Json = dict[str, Any]


def _discount(discount: Json) -> None:
    source = discount.pop("source", None) or {}
    discount["coupon"] = looked_up("coupon", source.get("coupon"))


def _promotion_code(code: Json) -> None:
    promotion = code.pop("promotion", None) or {}
    code["coupon"] = looked_up("coupon", promotion.get("coupon"))


def _coupon(tree: Json, _older: Json) -> None:
    if "coupon" in tree:
        tree["promotion"] = {"type": "coupon", "coupon": tree.pop("coupon")}


def _phases(tree: Json, _older: Json) -> None:
    """`iterations` are so many intervals of the phase's first price."""
    for phase in rows(tree, "phases"):
        if "iterations" in phase:
            phase["duration"] = _duration(phase, str(phase.pop("iterations")))


def _duration(phase: Json, iterations: str) -> Json:
    if not iterations.isdigit():
        raise request_error(f"Invalid integer: {iterations}", "parameter_invalid_integer", "phases")
    item = (rows(phase, "items") or rows(phase, "plans") or [{}])[0]
    recurring = (item.get("price_data") or {}).get("recurring") or _recurring(
        item.get("price") or item.get("plan")
    )
    count = int(iterations) * int(recurring.get("interval_count", 1))
    return {"interval": recurring["interval"], "interval_count": str(count)}


def _recurring(price_id: Any) -> Json:
    price = db().find("price", price_id) if isinstance(price_id, str) else None
    if price is None:
        raise missing("price", str(price_id or ""), "phases[0][items][0][price]", 400)
    recurring: Json | None = price["recurring"]
    if recurring is None:
        raise request_error("The price of a phase must be recurring.", param="phases[0][items][0][price]")
    return recurring


CHANGES = (
    Change(
        "2025-09-30.clover",
        answers={"discount": _discount, "promotion_code": _promotion_code},
        parameters={
            ("POST", "/v1/promotion_codes"): _coupon,
            ("POST", "/v1/subscription_schedules"): _phases,
            ("POST", "/v1/subscription_schedules/<id>"): _phases,
        },
    ),
)

"""The `discounts` parameter, which invoices, invoice items, subscriptions and sessions share."""

from __future__ import annotations

from typing import Any

from sandbox.api.form import Params
from sandbox.engine import discounts
from sandbox.engine.discounts import Offer, Purchase
from sandbox.errors import missing, request_error
from sandbox.house import db

Json = dict[str, Any]

ROWS = "discounts discounts.#.coupon discounts.#.promotion_code discounts.#.discount"
MOST = 20


def read(params: Params, purchase: Purchase) -> list[Offer | Json] | None:
    """What `discounts` asks for: offers that may be redeemed, and discounts that are there already.

    None when the parameter is absent, nothing when it is cleared; 400 for an offer that this purchase can't have.
    """
    if not params.has("discounts"):
        return None
    rows = params.rows("discounts")
    if len(rows) > MOST:
        raise request_error(f"You may apply up to {MOST} discounts.", param=params.name("discounts"))
    return [_read_one(row, purchase) for row in rows]


def _read_one(row: Params, purchase: Purchase) -> Offer | Json:
    coupon, code, kept = row.text("coupon"), row.text("promotion_code"), row.text("discount")
    param = row.name("coupon").removesuffix("[coupon]")
    if sum(each is not None for each in (coupon, code, kept)) != 1:
        raise request_error(
            "Give one of coupon, promotion_code and discount for each discount.",
            "parameters_exclusive",
            param,
        )
    if kept is not None:
        known = db().find("discount", kept)
        if known is None or known["customer"] != (purchase.customer or {}).get("id"):
            raise missing("discount", kept, row.name("discount"), 400)
        return known
    offered = discounts.offer(coupon, code, param)
    discounts.check(offered, purchase, param)
    return offered


def redeem(found: list[Offer | Json], target: Json) -> list[Json]:
    """The discount objects, those of offers newly made for `target` (see objects.discount)."""
    return [discounts.redeem(each, target) if isinstance(each, Offer) else each for each in found]

"""What a price costs in a currency."""

from __future__ import annotations

from typing import Any

from sandbox.house import db

Json = dict[str, Any]


def unit_amount(price: Json, currency: str) -> int | None:
    """Minor units for one, in the price's own currency or one of its currency_options; None in any other."""
    if price["currency"] == currency:
        amount: int = price["unit_amount"]
        return amount
    stored = db().get("price", price["id"])
    option = stored["_currency_options"].get(currency)
    return int(option["unit_amount"]) if option else None

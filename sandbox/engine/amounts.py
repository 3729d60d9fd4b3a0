"""What a price costs in a currency."""

from __future__ import annotations

from typing import Any

from sandbox.house import db

Json = dict[str, Any]


def unit_amount(price: Json, currency: str) -> int | None:
    """One unit in minor units: the price's own, or that of its currency_options; None where it has none."""
    if price["currency"] == currency:
        own: int = price["unit_amount"]
        return own
    stored = db().find("price", price["id"]) or price
    option = stored.get("_currency_options", {}).get(currency)
    return None if option is None else int(option["unit_amount"])

"""Pieces that several objects share."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def empty_address() -> Json:
    return dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def listing(url: str, data: list[Json], total: bool = False) -> Json:
    """A list object with everything on one page."""
    counted: Json = {"total_count": len(data)} if total else {}
    return {"object": "list", "data": data, "has_more": False, **counted, "url": url}


def no_tax() -> Json:
    return {"disabled_reason": None, "enabled": False, "liability": None}

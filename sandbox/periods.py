"""Billing periods counted from an anchor, so that 31 January is followed by 28 February and then 31 March."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}


def boundary(anchor: int, recurring: dict[str, Any], count: int) -> int:
    """The end of the `count`-th period after the anchor, UTC seconds."""
    steps = count * recurring["interval_count"]
    unit = recurring["interval"]
    start = datetime.fromtimestamp(anchor, UTC)
    if unit in DAYS:
        return int((start + timedelta(days=DAYS[unit] * steps)).timestamp())
    months = start.year * 12 + start.month - 1 + MONTHS[unit] * steps
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def following(anchor: int, recurring: dict[str, Any], after: int) -> int:
    """The first boundary later than `after`."""
    count = 1
    while boundary(anchor, recurring, count) <= after:
        count += 1
    return boundary(anchor, recurring, count)

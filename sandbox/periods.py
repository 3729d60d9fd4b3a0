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


def around(anchor: int, recurring: dict[str, Any], at: int) -> tuple[int, int]:
    """The whole period that holds `at`, start included; the anchor may lie before or after it."""
    count = (at - anchor) // (boundary(anchor, recurring, 1) - anchor)
    while boundary(anchor, recurring, count) > at:
        count -= 1
    while boundary(anchor, recurring, count + 1) <= at:
        count += 1
    return boundary(anchor, recurring, count), boundary(anchor, recurring, count + 1)


def following(anchor: int, recurring: dict[str, Any], after: int) -> int:
    """The first boundary later than `after`."""
    return around(anchor, recurring, after)[1]


def next_day_of_month(day: int, now: int, hour: int, minute: int, second: int) -> int:
    """The next moment later than `now` on that day of a month, or on the last day of a shorter month."""
    today = datetime.fromtimestamp(now, UTC)
    months = today.year * 12 + today.month - 1
    for ahead in (0, 1):
        year, month = divmod(months + ahead, 12)
        last = calendar.monthrange(year, month + 1)[1]
        moment = datetime(year, month + 1, min(day, last), hour, minute, second, tzinfo=UTC)
        if moment > today:
            break
    return int(moment.timestamp())

"""Steps of time that the control panel's buttons take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import abort

STEPS = (("hour", "1 hour"), ("day", "1 day"), ("month", "1 month"))


def after(now: int, step: str) -> int:
    """The time one step later; 400 for a step that there is not."""
    if step not in dict(STEPS):
        abort(400, "step is hour, day or month")
    if step == "month":
        return int(_next_month(datetime.fromtimestamp(now, UTC)).timestamp())
    return now + (3600 if step == "hour" else 86400)


def _next_month(at: datetime) -> datetime:
    """The same day of the next month, or its last day where that month is shorter."""
    first = (at.replace(day=1) + timedelta(days=32)).replace(day=1)
    last_day = ((first + timedelta(days=32)).replace(day=1) - timedelta(days=1)).day
    return first.replace(day=min(at.day, last_day))

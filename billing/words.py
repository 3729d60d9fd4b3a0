"""Dates and times as people read them."""

from __future__ import annotations

from datetime import datetime


def day(moment: datetime | None) -> str | None:
    """“3 December 2026”, in UTC; None stays None."""
    return None if moment is None else f"{moment.day} {moment:%B %Y}"


def moment_text(moment: datetime) -> str:
    """“3 December 2026, 14:05 UTC”."""
    return f"{day(moment)}, {moment:%H:%M} UTC"


def ago(moment: datetime, now: datetime) -> str:
    """“just now”, “2 minutes ago”, “3 hours ago”, “5 days ago”."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"

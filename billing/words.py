"""Dates and times as people read them."""

from __future__ import annotations

from datetime import datetime

from babel import Locale, dates

from billing import language
from billing.language import _, _n

BRITISH = "en_GB"  # plain ``en`` writes dates as they do: “3 December 2026”


def day(moment: datetime | None) -> str | None:
    """“3 December 2026”, “3. Dezember 2026”: as the spoken locale writes it, in the reader’s time zone; None
    stays None."""
    return (
        None if moment is None else dates.format_date(moment.astimezone(language.zone()), "long", _locale())
    )


def moment_text(moment: datetime) -> str:
    """“3 December 2026, 14:05 UTC”, with the zone’s name: “CET”, or “UTC+03” where it has none."""
    there = moment.astimezone(language.zone())
    name = f"{there:%Z}"
    zone = name if name.isalpha() else f"UTC{name}"
    return _("{day}, {time} {zone}", day=day(moment), time=f"{there:%H:%M}", zone=zone)


def ago(moment: datetime, now: datetime) -> str:
    """“just now”, “2 minutes ago”, “3 hours ago”, “5 days ago”."""
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds >= 86400:
        return _n("{count} day ago", "{count} days ago", seconds // 86400)
    if seconds >= 3600:
        return _n("{count} hour ago", "{count} hours ago", seconds // 3600)
    if seconds >= 60:
        return _n("{count} minute ago", "{count} minutes ago", seconds // 60)
    return _("just now")


def _locale() -> Locale:
    return Locale.parse(BRITISH if language.locale() == language.DEFAULT else language.locale())

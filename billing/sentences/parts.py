"""What several of the sentences need."""

from __future__ import annotations

from billing.language import _
from billing.standing import Standing
from billing.words import day


def plan_of(s: Standing) -> str:
    """The plan's name for people."""
    return s.facts.plan_title


def keep(s: Standing) -> str | None:
    """Until when the data are kept, where that can be told."""
    return _("We keep your data until {date}.", date=day(s.keep_until)) if s.keep_until else None


def per(price: str, interval: str) -> str:
    """“€29.00 a month”."""
    texts = {
        "day": _("{price} a day", price=price),
        "week": _("{price} a week", price=price),
        "month": _("{price} a month", price=price),
        "year": _("{price} a year", price=price),
    }
    return texts.get(interval, price)


def join(*parts: str | None) -> str:
    """Whole sentences, one after the other."""
    return " ".join(part for part in parts if part)

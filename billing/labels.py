"""What a plan, its price and its card are called, for people: in the language that is spoken here."""

from __future__ import annotations

from billing import running
from billing.models import Subscription
from billing.money import format_money, part
from billing.words import means


def title(item: str | None) -> str:
    """The catalogue's name for people."""
    return running.catalogue().title(item)


def by_the_seat(item: str | None) -> bool:
    """Whether this plan is sold by the seat."""
    plan = running.catalogue().plan(item) if item else None
    return plan is not None and plan.seats is not None


def price(row: Subscription) -> str | None:
    """What the next period costs, less what is taken off it, formatted; None where the price has no fixed amount."""
    return None if row.amount is None else _less_discounts(row, row.amount * row.quantity)


def renewal(row: Subscription) -> tuple[str, str | None]:
    """What the next period is for and what it costs: as now, or as a change says that begins then."""
    coming = row.coming or {}
    if coming.get("kind") != "scheduled" or coming.get("amount") is None:
        return title(row.plan), price(row)
    return title(coming["plan"]), _less_discounts(row, coming["amount"])


def _less_discounts(row: Subscription, due: int) -> str:
    begins = int(row.current_period_end.timestamp()) if row.current_period_end else 0
    for one in row.discounts or []:
        if one["end"] is None or one["end"] > begins:
            due -= part(due, one["percent_off"] or 0) + (one["amount_off"] or 0)
    return format_money(max(due, 0), row.currency)


def card(row: Subscription) -> str | None:
    """“Visa ending 4242”, or None."""
    return means(row.card_brand, row.card_last4)

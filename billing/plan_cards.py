"""What one plan offers one reader: what it costs, what is said of its trial, and what they can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from billing.language import _, _n, later
from billing.models import Subscription
from billing.money import format_money, share
from billing.plans import Plan, Price

INTERVALS = ("month", "year")
MONTHS = 12
# By ``missing_payment_method``, where a trial begins without a card.
WITHOUT_CARD = {
    "cancel": later("No card needed. {plan} stops when the trial ends unless you add a card."),
    "pause": later("No card needed. {plan} pauses when the trial ends until you add a card."),
    "create_invoice": later("No card needed. The first invoice comes when the trial ends."),
}


@dataclass(frozen=True)
class Reader:
    """Whoever reads the plans. ``mine``: their subscription, if it may still run; ``lock``: the one currency that
    Stripe bills them in; ``may_try``: whether a trial is theirs to have."""

    mine: Subscription | None = None
    lock: str | None = None
    may_try: bool = True


def card(plan: Plan, interval: str, currency: str, reader: Reader) -> dict[str, Any]:
    """A card of the plans page; ``plan`` must be sold at this interval in this currency.

    ``amount`` is what is charged, ``notes`` are small lines below it, ``action`` is one of choose, change, current.
    """
    price, mine = plan.price(interval, currency), reader.mine
    if price is None:
        raise ValueError(f"{plan.name} is not sold by the {interval} in {currency}")
    shown: dict[str, Any] = {
        "name": plan.name,
        "title": plan.title,
        "sentence": plan.sentence,
        "features": plan.features,
        "amount": price.amount,
        "currency": currency,
        "interval": interval,
        "by_seat": plan.seats is not None,
        "notes": _notes(plan, price),
        "trial": [],
        "mine": mine is not None and mine.plan == plan.name,
    }
    if mine is None:
        where = urlencode({"interval": interval, "currency": currency})
        shown |= {"action": "choose", "href": f"/subscribe/{plan.name}?{where}"}
        shown["label"] = _("Choose {plan}", plan=plan.title)
        shown["trial"] = _trial(plan) if reader.may_try else []
        return shown
    shown |= {"action": "change", "href": f"/billing/change/{plan.name}?interval={interval}"}
    if mine.plan != plan.name:
        return shown | {"label": _("Change to {plan}", plan=plan.title)}
    if mine.interval != interval:
        return shown | {"label": _("Change to yearly") if interval == "year" else _("Change to monthly")}
    return shown | _own(mine, price)


def _own(mine: Subscription, price: Price) -> dict[str, Any]:
    """The plan that they have: at what they are charged, which an old price keeps."""
    own: dict[str, Any] = {"action": "current", "href": "/billing", "label": _("See it in Billing")}
    if mine.amount is None or (mine.amount, mine.quantity) == (price.amount, 1):
        return own
    each, new = (format_money(sum_, price.currency) for sum_ in (mine.amount, price.amount))
    own |= {"amount": mine.amount * mine.quantity, "by_seat": False, "notes": []}
    if mine.quantity != 1:
        own["notes"].append(_n("{count} seat at {each}", "{count} seats at {each}", mine.quantity, each=each))
    if mine.amount < price.amount:
        own["notes"].append(_("You keep your price. It costs others {amount} now.", amount=new))
    elif mine.amount > price.amount:
        href = f"/billing/change/{price.item}?interval={price.interval}"
        own["notes"].append(_("The price is {amount} now.", amount=new))
        own |= {"action": "change", "href": href, "label": _("Change to the new price")}
    return own


def _notes(plan: Plan, price: Price) -> list[str]:
    """What a year's price is by the month, and how many months it saves, where those are whole."""
    if price.interval != "year":
        return []
    each = format_money(share(price.amount, MONTHS, price.currency), price.currency)
    by_month = plan.price("month", price.currency)
    paid, rest = divmod(price.amount, by_month.amount) if by_month else (MONTHS, 0)
    free = 0 if rest else MONTHS - paid
    if free < 1:
        return [_("works out at {amount} a month", amount=each)]
    return [
        _n(
            "works out at {amount} a month; {count} month free",
            "works out at {amount} a month; {count} months free",
            free,
            amount=each,
        )
    ]


def _trial(plan: Plan) -> list[str]:
    """The terms of the trial, in sentences."""
    if not plan.trial_days:
        return []
    free = _n("The first day is free.", "The first {count} days are free.", plan.trial_days)
    if plan.payment_method_collection == "always":
        return [
            free,
            _("Your card is asked for at the start and charged when the trial ends, unless you cancel."),
        ]
    return [free, _(WITHOUT_CARD[plan.missing_payment_method], plan=plan.title)]

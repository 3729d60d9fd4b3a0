"""The words of a quote: its lines, the sentences beside the button, and the button. All sums are the quote's own."""

from __future__ import annotations

from dataclasses import dataclass

from billing.clock import from_stripe
from billing.language import _, _n, later
from billing.money import format_money
from billing.previews import Part
from billing.quoting import Quote
from billing.words import day

THEN = {
    "month": later("Then {amount} on {day} and every month."),
    "year": later("Then {amount} on {day} and every year."),
}
THEN_LATER = {
    "month": later("Then {amount} on {day}, and {later} every month once your discount has ended."),
    "year": later("Then {amount} on {day}, and {later} every year once your discount has ended."),
}
FROM_THEN = {"month": later("From {day}, every month"), "year": later("From {day}, every year")}
ONCE_ENDED = {
    "month": later("Every month, once your discount has ended"),
    "year": later("Every year, once your discount has ended"),
}
# What each part is called, and what is said of it where its words don't depend on the plan.
LABELS = {
    "credit": later("Credit"),
    "charge": later("Charge"),
    "other": later("Also due"),
    "discount": later("Discount"),
    "tax": later("Tax"),
    "balance": later("Account credit"),
    "kept": later("Account credit"),
    "owed": later("Account debt"),
    "repaid": later("Account debt"),
    "carried": later("Too small to charge"),
    "rounding": later("Rounding"),
}
SAID = {
    "discount": later("Taken off by your discount"),
    "tax": later("Added to the price"),
    "balance": later("Paid from what we owe you"),
    "kept": later("Kept for later payments"),
    "owed": later("Left from before"),
    "repaid": later("Pays what was left from before"),
    "carried": later("Added to your next payment"),
    "rounding": later("Settled with your next payment"),
}


@dataclass(frozen=True)
class Names:
    """The titles of what is wanted and of what there is now; ``by_price``: the title of each price of ours.

    ``seats``: it is the number of seats that changes, not the plan.
    """

    wanted: str
    now_on: str
    by_price: dict[str, str]
    seats: bool = False


def rows(quoted: Quote, names: Names) -> list[tuple[str, str, int]]:
    """Each part of what is paid today: its label, what it is for, and its amount. Together: what is due."""
    return [(_(LABELS[part.kind]), _said(part, names), part.amount) for part in quoted.parts]


def _said(part: Part, names: Names) -> str:
    if part.kind in SAID:
        return _(SAID[part.kind])
    title = names.by_price.get(part.price or "")
    if part.kind == "other" or title is None:
        return part.words
    what = several(title, part.quantity)
    if part.kind == "credit":
        return _("{what}, paid and not used until {day}", what=what, day=day(from_stripe(part.until)))
    return _("{what} until {day}", what=what, day=day(from_stripe(part.until)))


def several(title: str, quantity: int) -> str:
    """“Team”, or “3 × Team”."""
    return title if quantity == 1 else _("{count} × {plan}", count=quantity, plan=title)


def sentences(quoted: Quote, names: Names) -> list[str]:
    """What happens now, what is paid later, and when, in whole sentences."""
    return [_begins(quoted, names), *_today(quoted), _then(quoted), *_moved(quoted), *_account(quoted)]


def _begins(quoted: Quote, names: Names) -> str:
    seats, had = quoted.quantity, quoted.had[1]
    if quoted.timing == "trial":
        ends = day(from_stripe(quoted.then_on))
        if names.seats:
            return _n(
                "You have {count} seat at once, and your trial goes on until {day}.",
                "You have {count} seats at once, and your trial goes on until {day}.",
                seats,
                day=ends,
            )
        return _("Your trial goes on until {day}.", day=ends)
    if quoted.timing == "period_end":
        ends = day(from_stripe(quoted.period_end))
        if names.seats:
            return _n(
                "You keep {count} seat until {day}.", "You keep {count} seats until {day}.", had, day=ends
            )
        return _("You keep {plan} until {day}.", plan=names.now_on, day=ends)
    if names.seats:
        return _n("You have {count} seat at once.", "You have {count} seats at once.", seats)
    return _("{plan} begins at once.", plan=names.wanted)


def _today(quoted: Quote) -> list[str]:
    if not quoted.due:
        return [_("Nothing to pay today.")]
    return [_("{amount} today.", amount=_money(quoted.due, quoted))]


def _then(quoted: Quote) -> str:
    first, when = _money(quoted.then, quoted), day(from_stripe(quoted.then_on))
    if quoted.later is None:
        return _(THEN[quoted.interval], amount=first, day=when)
    return _(THEN_LATER[quoted.interval], amount=first, day=when, later=_money(quoted.later, quoted))


def _moved(quoted: Quote) -> list[str]:
    """That the billing date moves, where another interval begins anew."""
    before, after = day(from_stripe(quoted.period_end)), day(from_stripe(quoted.then_on))
    if quoted.timing != "now" or before == after:
        return []
    return [
        _("Your billing date moves: you next pay on {after}, not on {before}.", after=after, before=before)
    ]


def _account(quoted: Quote) -> list[str]:
    """What the customer's account adds to what is paid later, or takes off it."""
    kept, carried = quoted.sum_of("kept"), -quoted.sum_of("carried")
    if kept:
        return [_("{amount} stays as credit and pays for what comes.", amount=_money(kept, quoted))]
    if carried:
        return [
            _(
                "{amount} is too small to charge and is added to your next payment.",
                amount=_money(carried, quoted),
            )
        ]
    if quoted.timing == "now" or not quoted.balance:
        return []
    amount = _money(abs(quoted.balance), quoted)
    if quoted.balance < 0:
        return [_("{amount} that we owe you is taken off what you pay then.", amount=amount)]
    return [_("{amount} left from before is added to what you pay then.", amount=amount)]


def after(quoted: Quote) -> list[tuple[str, str, int]]:
    """What is paid later: its label, from when and how often, and the amount."""
    first = (_("Then"), _(FROM_THEN[quoted.interval], day=day(from_stripe(quoted.then_on))), quoted.then)
    if quoted.later is None:
        return [first]
    return [first, (_("Later"), _(ONCE_ENDED[quoted.interval]), quoted.later)]


def button(quoted: Quote, names: Names) -> str:
    """A verb, a thing, and where it costs something now, how much."""
    paid, begins = _money(quoted.due, quoted), day(from_stripe(quoted.period_end))
    if names.seats:
        return _seats_button(quoted, paid, begins or "")
    if quoted.timing == "period_end":
        return _("Change to {plan} on {day}", plan=names.wanted, day=begins)
    if quoted.due:
        return _("Change to {plan} and pay {amount}", plan=names.wanted, amount=paid)
    return _("Change to {plan}", plan=names.wanted)


def _seats_button(quoted: Quote, paid: str, begins: str) -> str:
    seats = quoted.quantity
    if quoted.timing == "period_end":
        return _n("Change to {count} seat on {day}", "Change to {count} seats on {day}", seats, day=begins)
    if quoted.due:
        return _n(
            "Change to {count} seat and pay {amount}",
            "Change to {count} seats and pay {amount}",
            seats,
            amount=paid,
        )
    return _n("Change to {count} seat", "Change to {count} seats", seats)


def _money(amount: int, quoted: Quote) -> str:
    return format_money(amount, quoted.currency)

"""The words of each standing: tag, sentence, body, the one action, links and the Line.

``standing`` decides; this module only says it. The sentence is the page's h1, the first line of mails and
what the admin reads, so nobody is told two things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from billing.language import _n
from billing.standing import Standing
from billing.words import day


@dataclass(frozen=True)
class Action:
    """A button or link. ``method`` post: a form with a CSRF token and the fields."""

    label: str
    href: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """One mark of the Line: what happened, today, what will happen."""

    mark: str
    label: str
    when: datetime | None = None
    current: bool = False


@dataclass(frozen=True)
class Voice:
    """What a page shows of a standing."""

    code: str
    tag: str
    glyph: str
    tone: str
    sentence: str
    body: str
    primary: Action | None
    links: tuple[Action, ...]
    line: tuple[Mark, ...]
    access: bool


CHOOSE = Action("Choose a plan", "/plans")
CHECK = Action("Check again", "/billing")
UPDATE_CARD = Action("Update card", "/billing/portal/payment_method_update", "post")
CHANGE = Action("Change plan", "/plans")
SEATS = Action("Change seats", "/billing/seats")
CANCEL = Action("Cancel plan", "/billing/portal/subscription_cancel", "post")
PORTAL = Action("Manage on Stripe", "/billing/portal/home", "post")

Text = Callable[[Standing], tuple[str, str]]


def speak(s: Standing, *, product: Action, contact: str) -> Voice:
    """The voice of a standing. ``product``: where the thing that was bought is; ``contact``: a mailto."""
    tag, glyph, tone = TAGS.get(s.code, TAGS["unknown"])
    sentence, body = _TEXTS.get(s.code, _unknown)(s)
    primary = _primary(s, product, Action("Contact us", contact))
    return Voice(s.code, tag, glyph, tone, sentence, body, primary, _links(s), _line(s), s.access)


TAGS = {
    "none": ("No plan", "○", "rest"),
    "first_confirming": ("Confirming", "◌", "wait"),
    "first_action": ("Confirm payment", "▲", "look"),
    "first_failed": ("Not paid", "▲", "look"),
    "first_lapsed": ("Lapsed", "○", "rest"),
    "disputed_hold": ("On hold, disputed", "■", "stop"),
    "unpaid": ("On hold", "■", "stop"),
    "paused_trial": ("Paused", "‖", "wait"),
    "paused_payment": ("Paused, unpaid", "‖", "stop"),
    "paused_asked": ("Paused", "‖", "wait"),
    "paused_other": ("Paused", "‖", "wait"),
    "action_required": ("Confirm payment", "▲", "look"),
    "past_due": ("Payment problem", "▲", "look"),
    "past_due_hold": ("On hold", "■", "stop"),
    "trial_ending_off": ("Trial, ending", "◐", "rest"),
    "trialing_no_card": ("Trial, no card", "◐", "look"),
    "trialing": ("Trial", "◐", "good"),
    "canceling": ("Ending", "◐", "rest"),
    "collection_paused": ("Payments paused", "‖", "wait"),
    "disputed": ("Payment disputed", "▲", "look"),
    "changing": ("Active", "●", "good"),
    "active": ("Active", "●", "good"),
    "ended": ("Ended", "○", "rest"),
    "ended_unpaid": ("Ended", "■", "rest"),
    "ended_disputed": ("Ended", "■", "rest"),
    "unknown": ("Checking", "◌", "wait"),
}


def _none(s: Standing) -> tuple[str, str]:
    return (
        "You don’t have a plan yet.",
        "Choose a plan to get started. You can cancel at any time from this page.",
    )


def _first_confirming(s: Standing) -> tuple[str, str]:
    return "We’re confirming your payment.", "This usually takes a few seconds. You don’t need to pay again."


def _first_action(s: Standing) -> tuple[str, str]:
    return (
        "Your bank wants you to confirm this payment.",
        f"Confirm {_owed(s)} or this order lapses within a day and you pay nothing.",
    )


def _first_failed(s: Standing) -> tuple[str, str]:
    return (
        "Your payment didn’t go through.",
        f"{s.facts.decline_text or ''} Nothing has been charged. You can try again.".strip(),
    )


def _first_lapsed(s: Standing) -> tuple[str, str]:
    return (
        "Your order wasn’t completed, so it has lapsed.",
        "You were not charged. You can start again whenever you like.",
    )


def _disputed_hold(s: Standing) -> tuple[str, str]:
    return "Your plan is on hold while a payment is disputed.", _dispute_body(s)


def _disputed(s: Standing) -> tuple[str, str]:
    return "A payment is being disputed.", f"{_dispute_body(s)} Your access continues while the bank decides."


def _dispute_body(s: Standing) -> str:
    return (
        f"Your bank told us the {s.facts.disputed} payment was disputed. If that’s a mistake, tell your bank or "
        "write to us; we can sort it out together."
    )


def _unpaid(s: Standing) -> tuple[str, str]:
    return (
        f"Your plan is on hold because {_owed(s)} is unpaid.",
        "We’ve stopped trying your card. Pay the invoice and your access returns as soon as the payment is "
        "confirmed.",
    )


def _paused_trial(s: Standing) -> tuple[str, str]:
    return (
        f"Your trial has ended and {_plan(s)} is paused.",
        f"You haven’t been charged. Add a card and {_plan(s)} resumes{_at_price(s)}.",
    )


def _paused_payment(s: Standing) -> tuple[str, str]:
    return (
        f"{_plan(s)} is paused because we couldn’t take {_owed(s)}.",
        f"No new charges while it’s paused. Pay the invoice and {_plan(s)} resumes.",
    )


def _paused_asked(s: Standing) -> tuple[str, str]:
    return f"{_plan(s)} is paused, as you asked.", "You won’t be charged while it’s paused."


def _paused_other(s: Standing) -> tuple[str, str]:
    return f"{_plan(s)} is paused.", "You won’t be charged while it’s paused."


def _action_required(s: Standing) -> tuple[str, str]:
    until = f" You have access until {day(s.grace_end)}." if s.grace_end and s.access else ""
    return (
        f"Your bank wants you to confirm your {_owed(s)} payment.",
        f"We can’t take the payment until you do. It takes a minute.{until}",
    )


def _past_due(s: Standing) -> tuple[str, str]:
    due = f"{s.facts.owed or 'A payment'} was due{_on(s.facts.first_failed_at)}."
    keep = f"You keep full access until {day(s.grace_end)}." if s.grace_end else "You keep full access."
    return "We couldn’t take your last payment.", _join(due, s.facts.decline_text, s.facts.retry_text, keep)


def _past_due_hold(s: Standing) -> tuple[str, str]:
    back = "Access returns as soon as the payment goes through."
    return f"Your access is on hold until {_owed(s)} is paid.", _join(
        s.facts.decline_text, s.facts.retry_text, back
    )


def _trial_ending_off(s: Standing) -> tuple[str, str]:
    return (
        f"Your trial ends{_on(s.facts.ends_at)} and won’t become a paid plan.",
        "You have full access until then and won’t be charged.",
    )


def _trialing_no_card(s: Standing) -> tuple[str, str]:
    return (
        f"Your {_plan(s)} trial ends{_on(s.facts.trial_end)}. Add a card to keep going.",
        "You won’t be charged before then.",
    )


def _trialing(s: Standing) -> tuple[str, str]:
    return (
        f"Your {_plan(s)} trial runs{_on(s.facts.trial_end, ' until')}.",
        f"Your first payment will be {s.facts.price or 'due'} that day, from {s.facts.card}. "
        "Cancel before then and you pay nothing.",
    )


def _canceling(s: Standing) -> tuple[str, str]:
    return (
        f"{_plan(s)} is set to end{_on(s.facts.ends_at)}.",
        "You have full access until then and won’t be charged again.",
    )


def _collection_paused(s: Standing) -> tuple[str, str]:
    if s.facts.pause_behavior == "keep_as_draft":
        body = "You have access. Invoices are being held and will be due when payments restart."
    else:
        until = f" until {day(s.facts.pause_resumes_at)}" if s.facts.pause_resumes_at else ""
        body = f"You have access and won’t be charged{until}."
    return "Payments are paused.", body


def _active(s: Standing) -> tuple[str, str]:
    due, price = s.facts.current_period_end, s.facts.price
    coming = f" Next payment: {price or 'due'}{_on(due)}." if due else ""
    card = f"We’ll charge {s.facts.card}." if s.facts.card else ""
    return f"You’re on {_plan(s)}.{coming}", card


def _changing(s: Standing) -> tuple[str, str]:
    facts = s.facts
    to = f"you’ll move to {facts.change_to}" if facts.change_to else "your plan changes"
    if facts.change_quantity:
        to = _n("you’ll have {count} seat", "you’ll have {count} seats", facts.change_quantity)
    when = f"On {day(facts.change_at)}" if facts.change_at else "Soon"
    card = f", {facts.card}" if facts.card else ""
    body = f"Next payment: {facts.change_price}{_on(facts.change_at)}{card}." if facts.change_price else ""
    return f"You’re on {_plan(s)}. {when} {to}.", body


def _ended(s: Standing) -> tuple[str, str]:
    return (
        f"Your {_plan(s)} plan ended{_on(s.facts.ended_at)}.",
        "You won’t be charged again. Your invoices stay here.",
    )


def _ended_unpaid(s: Standing) -> tuple[str, str]:
    name = f"Invoice {s.facts.owed_number}" if s.facts.owed_number else "An invoice"
    number = f"{name} for {s.facts.owed} is still open." if s.facts.owed else ""
    return (
        f"Your {_plan(s)} plan ended{_on(s.facts.ended_at)} because we couldn’t take payment.",
        _join("You won’t be charged again.", number),
    )


def _ended_disputed(s: Standing) -> tuple[str, str]:
    return (
        f"Your {_plan(s)} plan ended{_on(s.facts.ended_at)} after a payment was disputed.",
        "You won’t be charged again. If this was a mistake, write to us.",
    )


def _unknown(s: Standing) -> tuple[str, str]:
    return (
        "We’re checking your plan with Stripe.",
        "You don’t need to do anything. If this stays for more than an hour, write to us.",
    )


_TEXTS: dict[str, Text] = {
    "none": _none,
    "first_confirming": _first_confirming,
    "first_action": _first_action,
    "first_failed": _first_failed,
    "first_lapsed": _first_lapsed,
    "disputed_hold": _disputed_hold,
    "unpaid": _unpaid,
    "paused_trial": _paused_trial,
    "paused_payment": _paused_payment,
    "paused_asked": _paused_asked,
    "paused_other": _paused_other,
    "action_required": _action_required,
    "past_due": _past_due,
    "past_due_hold": _past_due_hold,
    "trial_ending_off": _trial_ending_off,
    "trialing_no_card": _trialing_no_card,
    "trialing": _trialing,
    "canceling": _canceling,
    "collection_paused": _collection_paused,
    "disputed": _disputed,
    "changing": _changing,
    "active": _active,
    "ended": _ended,
    "ended_unpaid": _ended_unpaid,
    "ended_disputed": _ended_disputed,
    "unknown": _unknown,
}


def _primary(s: Standing, product: Action, contact: Action) -> Action | None:
    pay = f"/invoices/{s.facts.owed_invoice}/open" if s.facts.owed_invoice else "/invoices"
    method = "post" if s.facts.owed_invoice else "get"
    if s.code in ("none", "first_lapsed", "ended", "ended_unpaid"):
        return CHOOSE
    if s.code in ("first_confirming", "unknown"):
        return CHECK
    if s.code in ("first_action", "action_required"):
        return Action("Confirm payment", pay, method)
    if s.code in ("unpaid", "past_due_hold", "paused_payment"):
        return Action(f"Pay {s.facts.owed} now" if s.facts.owed else "Pay now", pay, method)
    if s.code in ("past_due", "trialing_no_card", "first_failed", "paused_trial"):
        label = {"past_due": "Update card", "first_failed": "Try another card"}.get(s.code, "Add a card")
        return Action(label, UPDATE_CARD.href, "post")
    if s.code == "changing":
        return Action(f"Keep {_plan(s)}", "/billing/stay", "post")
    if s.code in ("canceling", "trial_ending_off"):
        return Action(f"Keep {_plan(s)}", "/billing/resume", "post")
    if s.code in ("disputed", "disputed_hold", "ended_disputed", "paused_other", "paused_asked"):
        return contact
    return product


def _links(s: Standing) -> tuple[Action, ...]:
    links: list[Action] = []
    if s.code in ("active", "trialing", "trialing_no_card", "disputed"):
        links.append(CHANGE)
        if s.facts.seats:
            links.append(SEATS)
    if s.code in (
        "trialing",
        "canceling",
        "collection_paused",
        "disputed",
        "changing",
        "active",
        "past_due_hold",
    ):
        links.append(UPDATE_CARD)
    if s.code in ("past_due", "past_due_hold") and s.facts.owed_invoice:
        links.append(Action("Pay this invoice now", f"/invoices/{s.facts.owed_invoice}/open", "post"))
    running = (
        "trialing",
        "trialing_no_card",
        "active",
        "changing",
        "collection_paused",
        "disputed",
        "past_due",
    )
    if s.code in (*running, "past_due_hold", "action_required", "unpaid"):
        links.append(CANCEL)
    if s.facts.status and s.code not in ("first_lapsed",):
        links.append(PORTAL)
    return tuple(links)


def _line(s: Standing) -> tuple[Mark, ...]:
    """What happened, today, what comes; each with its date."""
    facts = s.facts
    past: list[Mark] = []
    if facts.last_paid and facts.last_paid_at:
        past.append(Mark("good", f"Paid {facts.last_paid}", facts.last_paid_at))
    if facts.first_failed_at:
        past.append(Mark("look", "Payment failed", facts.first_failed_at))
    if facts.ended_at:
        past.append(Mark("stop", "Ended", facts.ended_at))
    today = Mark("today", "Today", s.now, current=True)
    return (*past, today, *_coming(s)) if facts.status else ()


def _coming(s: Standing) -> list[Mark]:
    facts, coming = s.facts, []
    if facts.next_attempt and facts.retry_text and "try again on" in facts.retry_text:
        coming.append(Mark("rest", "We try again", facts.next_attempt))
    if s.code in ("past_due", "action_required") and s.grace_end:
        coming.append(Mark("stop", "Access ends if unpaid", s.grace_end))
    if s.code == "changing" and facts.change_at:
        label = f"Move to {facts.change_to}" if facts.change_to else "Your plan changes"
        if facts.change_quantity:
            label = _n("{count} seat", "{count} seats", facts.change_quantity)
        coming.append(Mark("rest", f"{label}, {facts.change_price or ''}".rstrip(", "), facts.change_at))
    if s.code in ("active", "disputed") and facts.current_period_end:
        coming.append(Mark("rest", f"Next payment {facts.price or ''}".strip(), facts.current_period_end))
    if s.code == "trialing" and facts.trial_end:
        coming.append(Mark("rest", f"First payment {facts.price or ''}".strip(), facts.trial_end))
    if facts.ends_at and s.access:
        coming.append(Mark("rest", "Access ends", facts.ends_at))
    return coming


def _plan(s: Standing) -> str:
    return s.facts.plan_title


def _on(moment: datetime | None, word: str = " on") -> str:
    """“ on 3 December 2026”; nothing where the day is not known."""
    return f"{word} {day(moment)}" if moment else ""


def _owed(s: Standing) -> str:
    return s.facts.owed or "a payment"


def _at_price(s: Standing) -> str:
    return f" at {s.facts.price} a {s.facts.interval}" if s.facts.price and s.facts.interval else ""


def _join(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)

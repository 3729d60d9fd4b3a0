"""The Line: what happened, a tick for today, and what will happen, each with its date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.language import _, _n
from billing.standing import Standing

# Stripe lets an unpaid first order lapse after this (the Subscription object, status incomplete).
FIRST_PAYMENT = timedelta(hours=23)


@dataclass(frozen=True)
class Mark:
    """One mark of the Line; ``mark`` is a shape of ``templates/macros/ledger.html``."""

    mark: str
    label: str
    when: datetime | None = None
    current: bool = False


def line(s: Standing) -> tuple[Mark, ...]:
    """The marks in the order of time; nothing where there is nothing to tell of."""
    if s.facts.status is None and s.code != "comp":
        return ()
    past = sorted(_past(s), key=lambda mark: mark.when or s.now)
    coming = sorted(_coming(s), key=lambda mark: mark.when or datetime.max.replace(tzinfo=s.now.tzinfo))
    return (*past, Mark("today", _("Today"), s.now, current=True), *coming)


def _past(s: Standing) -> list[Mark]:
    facts, past = s.facts, []
    if s.code in ("trialing", "trialing_no_card", "trial_ending_off") and facts.created:
        past.append(Mark("part", _("Trial began"), facts.created))
    if s.code.startswith("first_") and facts.created:
        past.append(Mark("wait", _("Ordered"), facts.created))
    if facts.last_paid and facts.last_paid_at:
        past.append(Mark("good", _("Paid {amount}", amount=facts.last_paid), facts.last_paid_at))
    if facts.first_failed_at and s.code != "first_action":
        label = _("Payment was due") if facts.by_invoice or facts.needs_action else _("Payment failed")
        past.append(Mark("look", label, facts.first_failed_at))
    if facts.disputed_at:
        past.append(Mark("look", _("Payment disputed"), facts.disputed_at))
    if s.code == "paused_trial":
        past.append(Mark("part", _("Trial ended"), facts.trial_end))
    if s.code == "comp" and facts.comp_since:
        past.append(Mark("rest", _("Given free of charge"), facts.comp_since))
    if facts.ended_at:
        past.append(Mark("stop", _("Ended"), facts.ended_at))
    return [mark for mark in past if mark.when and mark.when <= s.now]


def _coming(s: Standing) -> list[Mark]:
    return [mark for mark in (*_of_access(s), *_of_payment(s)) if mark.when and mark.when > s.now]


def _of_access(s: Standing) -> list[Mark]:
    """When access ends, or an order lapses."""
    facts = s.facts
    if s.code == "comp":
        return [Mark("stop", _("Free access ends"), facts.comp_until)]
    if s.code in ("first_action", "first_failed") and facts.created:
        return [Mark("stop", _("Order lapses"), facts.created + FIRST_PAYMENT)]
    if s.code in ("past_due", "action_required") and s.grace_end:
        return [Mark("stop", _("Access ends if unpaid"), s.grace_end)]
    if s.code == "trialing_no_card":
        return [Mark("stop", _("Trial ends"), facts.trial_end)]
    if facts.ends_at and s.access:
        return [Mark("stop", _("Access ends"), facts.ends_at)]
    if s.keep_until:
        return [Mark("rest", _("We keep your data until"), s.keep_until)]
    return []


def _of_payment(s: Standing) -> list[Mark]:
    """When money is taken, as far as Stripe will really take it."""
    facts = s.facts
    if s.code in ("past_due", "past_due_hold") and facts.will_retry:
        return [Mark("rest", _("We try again"), facts.next_attempt)]
    if s.code == "changing":
        return [Mark("rest", _change(s), facts.change_at)]
    if s.code in ("active", "disputed"):
        return [Mark("rest", _next(s), facts.current_period_end)]
    if s.code == "trialing":
        label = _("First payment {amount}", amount=facts.price) if facts.price else _("First payment")
        return [Mark("rest", label, facts.trial_end)]
    if s.code == "collection_paused":
        return [Mark("rest", _("Payments restart"), facts.pause_resumes_at)]
    if s.code == "paused_asked":
        return [Mark("rest", _("Plan resumes"), facts.resumes_at)]
    return []


def _next(s: Standing) -> str:
    return _("Next payment {amount}", amount=s.facts.price) if s.facts.price else _("Next payment")


def _change(s: Standing) -> str:
    facts = s.facts
    if facts.change_quantity and facts.change_price:
        return _n(
            "{count} seat, {amount}",
            "{count} seats, {amount}",
            facts.change_quantity,
            amount=facts.change_price,
        )
    if facts.change_to and facts.change_price:
        return _("Move to {plan}, {amount}", plan=facts.change_to, amount=facts.change_price)
    return _("Move to {plan}", plan=facts.change_to) if facts.change_to else _("Your plan changes")

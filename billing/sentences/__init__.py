"""The sentence and the body of each standing, word by word."""

from __future__ import annotations

from collections.abc import Callable

from billing.language import _
from billing.sentences import beginnings, courses, troubles
from billing.sentences.parts import join
from billing.standing import Standing
from billing.words import day

Text = Callable[[Standing], tuple[str, str]]


def of(s: Standing) -> tuple[str, str]:
    """The sentence, and what else is to be known; the latter may be empty."""
    return TEXTS.get(s.code, courses.unknown)(s)


def _comp(s: Standing) -> tuple[str, str]:
    facts, own = s.facts, s.besides
    first = _(
        "You have {plan} until {date}, free of charge.", plan=facts.comp_title, date=day(facts.comp_until)
    )
    if own is None or own.code in ("none", "first_lapsed") or own.code.startswith("ended"):
        return first, _("It ends by itself that day, and nothing is charged.")
    return first, join(_("You have a plan of your own beside it."), *of(own))


TEXTS: dict[str, Text] = {
    "comp": _comp,
    "none": beginnings.none,
    "first_confirming": beginnings.first_confirming,
    "first_action": beginnings.first_action,
    "first_failed": beginnings.first_failed,
    "first_lapsed": beginnings.first_lapsed,
    "disputed_hold": troubles.disputed_hold,
    "unpaid": troubles.unpaid,
    "paused_trial": troubles.paused_trial,
    "paused_payment": troubles.paused_payment,
    "paused_asked": courses.paused_asked,
    "paused_other": troubles.paused_other,
    "action_required": troubles.action_required,
    "past_due": troubles.past_due,
    "past_due_hold": troubles.past_due_hold,
    "trial_ending_off": beginnings.trial_ending_off,
    "trialing_no_card": beginnings.trialing_no_card,
    "trialing": beginnings.trialing,
    "canceling": courses.canceling,
    "collection_paused": courses.collection_paused,
    "disputed": troubles.disputed,
    "changing": courses.changing,
    "active": courses.active,
    "ended": courses.ended,
    "ended_unpaid": courses.ended_unpaid,
    "ended_disputed": courses.ended_disputed,
    "unknown": courses.unknown,
}

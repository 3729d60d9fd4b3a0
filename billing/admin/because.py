"""“ana@example.com has access because …”: the deciding rule as one sentence for the admin."""

from __future__ import annotations

from billing.models import Subscription
from billing.standing import Standing
from billing.words import day, moment_text

_FIRST = "the first payment of {sub} is not through (Stripe’s status is {status}). {asked}"
_PAUSED = "{sub} is paused{reason}. {asked}"
_RUNNING = "{sub} is {status}. {asked}"
_ENDING = "{sub} is {status} and runs until {ends}. {asked}"

_TEXTS = {
    "comp": "an admin gave them {given} until {until}, free of charge. Without it they would have {besides}.",
    "none": "there has never been a subscription.",
    "first_confirming": _FIRST,
    "first_action": _FIRST,
    "first_failed": _FIRST,
    "first_lapsed": "the first payment of {sub} was never made, so it lapsed.",
    "disputed_hold": "a payment of {disputed} is disputed, and access is held while it is.",
    "unpaid": "{owed} and Stripe has stopped trying. It comes back when that invoice is paid.",
    "paused_trial": _PAUSED,
    "paused_payment": _PAUSED,
    "paused_asked": _PAUSED,
    "paused_other": _PAUSED,
    "past_due": "{owed}, but the grace runs until {grace}.",
    "past_due_hold": "{owed} and the grace ended on {grace}. It comes back when that invoice is paid.",
    "trial_ending_off": _ENDING,
    "trialing_no_card": _RUNNING,
    "trialing": _RUNNING,
    "canceling": _ENDING,
    "collection_paused": "{sub} is {status}; only its payments are paused. {asked}",
    "disputed": "{sub} is {status}, and the dispute over {disputed} does not change that. {asked}",
    "changing": _RUNNING,
    "active": _RUNNING,
    "ended": "{sub} ended on {ended}.",
    "ended_unpaid": "{sub} ended on {ended}, because a payment could not be taken.",
    "ended_disputed": "{sub} ended on {ended}, after a payment was disputed.",
}
_STILL = "the bank waits for the person to confirm a payment of {sub}, and the grace runs until {grace}."
_TOO_LATE = "the person has not confirmed a payment of {sub}, and the grace ended on {grace}."
_NO_PLAN = "the price of {sub} is not in our catalogue (Stripe’s status is {status})."
_NO_WORD = "the status of {sub}, {status}, is not one that we know."
_AS_BEFORE = "{sub} was {known} before Stripe said something that we don’t know, and for a while that holds."
_NO_COLLECTION = "the payments of {sub} are paused, and by our policy access is paused with them. {asked}"
_TOO_OLD = "Stripe could not be reached, and what it said last is too old. {asked}"


def because(email: str, s: Standing, row: Subscription | None) -> str:
    """The sentence. ``row`` is the subscription that ``s`` speaks of."""
    have = "access" if s.access else "no access"
    facts = s.facts
    return f"{email} has {have} because " + _text(s).format(
        sub=row.stripe_id if row else "the subscription",
        status=facts.status,
        known=facts.known,
        asked=f"Stripe said so on {moment_text(facts.fetched_at)}." if facts.fetched_at else "",
        reason=f" ({facts.status_reason})" if facts.status_reason else "",
        owed=_owed(s),
        grace=day(s.grace_end) or "a day that is not known",
        ends=day(facts.ends_at),
        ended=day(facts.ended_at) or "a day that is not known",
        disputed=facts.disputed,
        given=facts.comp_title,
        until=day(facts.comp_until),
        besides="access" if s.besides and s.besides.access else "no access",
    )


def _text(s: Standing) -> str:
    if s.code == "unknown" and s.access:
        return _AS_BEFORE
    if s.stale:
        return _TOO_OLD
    if not s.access and s.code == "collection_paused":
        return _NO_COLLECTION
    if s.code == "action_required":
        return _STILL if s.access else _TOO_LATE
    if s.code in _TEXTS:
        return _TEXTS[s.code]
    return _NO_PLAN if s.facts.plan is None else _NO_WORD


def _owed(s: Standing) -> str:
    invoice = s.facts.owed_invoice or "an invoice"
    amount = f" ({s.facts.owed})" if s.facts.owed else ""
    since = f" since {day(s.facts.first_failed_at)}" if s.facts.first_failed_at else ""
    return f"{invoice}{amount} has been unpaid{since}"

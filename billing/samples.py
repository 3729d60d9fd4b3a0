"""Sample facts of every mail there is, for each way that its templates can go. A new kind is a new entry here.

Previews, pictures and tests write mails from these. A value that is a function is called in the language of the
mail, as the facts of a real one are put into words; every other value is as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from billing import declines, words
from billing.models import Invoice
from billing.money import format_money
from billing.premises import Facts, Policy
from billing.standing import Standing, standing

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Sample(NamedTuple):
    """``variant`` tells the samples of one kind apart: a number, or the fact that is left out."""

    kind: str
    variant: str
    facts: dict[str, Any]


def _day(days: int) -> Callable[[], str | None]:
    return partial(words.day, NOW + timedelta(days=days))


def _sum(amount: int) -> Callable[[], str]:
    return partial(format_money, amount, "eur")


TODAY, SOON, LATER = _day(0), _day(13), _day(30)
CARD = partial(words.means, "visa", "4242")
RETRY = partial(declines.retry_text, Invoice(decline_code="lost_card", currency="eur", amount_remaining=2900))
INVOICE = {
    "plan": "Pro",
    "amount": _sum(2900),
    "number": "A1B2C3D4-0002",
    "description": "Pro, November 2026",
    "paid_date": TODAY,
    "next_date": LATER,
}
DUNNING = {
    **INVOICE,
    "due_date": TODAY,
    "access": True,
    "access_until": _day(14),
    "decline_text": partial(declines.reason, "generic_decline"),
    "retry_text": RETRY,
    "way": "card",
    "tried": True,
    "days": 2,
    "invoice": "in_1Q2w3E4r5T6y7U8i9O0p",
    "pays": True,
}
PLAN = {"plan": "Pro", "amount": _sum(2900), "next_date": SOON, "access_until": SOON}
TRIAL = {**PLAN, "trial_end": _day(10), "card": CARD}
ENDED = {**PLAN, "ended_date": TODAY}
CHANGED = {
    **PLAN,
    "before": "Pro",
    "plan": "Team",
    "change": "plan",
    "quantity": 3,
    "quantity_before": 2,
    "interval": "month",
    "amount": _sum(4900),
    "paid": _sum(2000),
}
AHEAD = {"plan": "Pro", "amount": _sum(29000), "due_date": SOON, "card": CARD}
DISPUTE = {
    "amount": _sum(2900),
    "reason": "fraudulent",
    "due_date": _day(10),
    "subscriber": "ana@example.com",
}
WITHDRAWN = {
    "plan": "Pro",
    "reference": "A1B2C3D4-0001",
    "name": "Alice Ahrens",
    "moment": partial(words.moment_text, NOW),
}
MAYBE = ("due_date", "access_until", "next_date", "number", "description", "paid_date")
ABSENT = dict.fromkeys(MAYBE)
HELD = {"access": False, "access_until": None}
# Of each way to pay what the mails say differently, and of each way to stop.
LADDER = [
    (kind, {**DUNNING, "tried": False, "way": way})
    for kind in ("dun1", "dun2", "dun3", "dun4")
    for way in ("retry", "card", "confirm", "invoice")
]
STOPPED = {**ENDED, "retry_text": RETRY, "keeps": False, "way": "card", "end": "over", "pays": False}
COMES_BACK = {**STOPPED, "invoice": DUNNING["invoice"], "pays": True}
MOMENT = partial(words.moment_text, NOW)
MOVED = {"changed_at": MOMENT, "browser": "Chrome on Linux"}

SAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("code", {"secret": "482913"}),
    ("exists", {}),
    ("reset", {}),
    ("email_code", {"secret": "482913"}),
    ("email_taken", {}),
    ("email_changed", {**MOVED, "old": True}),
    ("email_changed", {**MOVED, "old": False}),
    ("email_undone", {"changed_at": MOMENT}),
    ("export_ready", {"export": 7, "until": MOMENT}),
    ("delete_asked", {"due_date": SOON}),
    ("delete_undone", {"due_date": SOON}),
    ("delete_stuck", {"due_date": SOON}),
    ("deleted", {}),
    ("pw_changed", {"changed_at": partial(words.moment_text, NOW)}),
    ("welcome", {}),
    ("receipt", INVOICE),
    ("receipt", {**INVOICE, **ABSENT}),
    ("recovered", {**INVOICE, "access": True}),
    ("recovered", {**INVOICE, "access": False}),
    ("dun1", DUNNING),
    ("dun1", {**DUNNING, **ABSENT}),
    ("dun1", {**DUNNING, **HELD}),
    ("dun2", DUNNING),
    ("dun2", {**DUNNING, **HELD}),
    ("dun3", DUNNING),
    ("dun3", {**DUNNING, **ABSENT}),
    ("dun3", {**DUNNING, **HELD}),
    *LADDER,
    ("dun4", {**DUNNING, "days": 1}),
    ("dun4", {**DUNNING, **HELD, "days": None}),
    ("dun5", STOPPED),
    ("dun5", {**STOPPED, "keeps": True}),
    ("dun5", {**COMES_BACK, "end": "unpaid", "way": "invoice"}),
    ("dun5", {**COMES_BACK, "end": "past_due"}),
    ("action_required", DUNNING),
    ("action_required", {**DUNNING, **HELD}),
    ("cancel_set", PLAN),
    ("paused", {**PLAN, "resumes_date": SOON, "card": CARD}),
    ("paused", {**PLAN, "resumes_date": None, "card": None}),
    ("resuming", {**PLAN, "resumes_date": SOON, "card": CARD}),
    ("resuming", {**PLAN, "resumes_date": SOON, "card": None}),
    ("resumed", PLAN),
    ("resumed", {**PLAN, "amount": None, "next_date": None}),
    ("kept", PLAN),
    ("kept", {**PLAN, "amount": None, "next_date": None}),
    ("ended", ENDED),
    ("second_ended", ENDED),
    ("refund", {"amount": _sum(2900)}),
    ("refund_failed", {"amount": _sum(2900)}),
    ("trial_start", TRIAL),
    ("trial_start", {**TRIAL, "card": None}),
    ("trial_end", TRIAL),
    ("trial_end", {**TRIAL, "card": None}),
    ("changed", CHANGED),
    ("changed", {**CHANGED, "plan": "Team", "change": "quantity"}),
    ("changed", {**CHANGED, "change": "quantity", "quantity": 1, "paid": None}),
    ("changed", {**CHANGED, "plan": "Pro", "change": "interval", "interval": "year", "amount": _sum(29000)}),
    ("changed", {**CHANGED, "plan": "Pro", "change": "interval"}),
    ("changed", {**CHANGED, "plan": "Pro", "change": "amount", "paid": None}),
    ("renewal", AHEAD),
    ("card_expiring", {**AHEAD, "expires": "11/2026"}),
    ("one_off_receipt", {"product": "100 credits", "amount": _sum(1500), "paid_date": TODAY}),
    ("one_off_failed", {"product": "100 credits", "amount": _sum(1500), "payment": "pi_1"}),
    ("withdraw_link", {"secret": "WyJzdWJfMSIsMTc5NF0.Zm9v"}),
    ("withdrawn", WITHDRAWN),
    ("admin_dispute", {**DISPUTE, "status": "needs_response"}),
    ("admin_dispute", {**DISPUTE, "status": "won"}),
    ("admin_dispute", {**DISPUTE, "status": "needs_response", "phase": "due"}),
    ("admin_dispute", {**DISPUTE, "status": "warning_needs_response", "phase": "inquiry"}),
    ("admin_dispute", {**DISPUTE, "status": "lost", "phase": "lost"}),
    ("admin_fraud_warning", {**DISPUTE, "fraud_type": "misc", "refunds": True}),
    ("admin_fraud_warning", {**DISPUTE, "fraud_type": "misc", "refunds": False}),
    ("admin_alert", {"what": "A person has two live subscriptions", "subject": "sub_1Q2w3E4r5T6y7U8i9O0p"}),
]
# Facts that may be missing: of each kind that has any, one more sample lacks each of them.
OPTIONAL: dict[str, tuple[str, ...]] = {
    "pw_changed": ("changed_at",),
    "receipt": ("number", "description", "paid_date", "next_date"),
    "recovered": ("number", "description", "paid_date", "next_date"),
    **dict.fromkeys(("dun1", "dun2", "dun3", "dun4", "action_required"), ("due_date", "access_until")),
    "paused": ("resumes_date", "amount"),
    "resuming": ("amount",),
    "resumed": ("amount", "next_date"),
    "kept": ("amount", "next_date"),
    "trial_start": ("amount",),
    "trial_end": ("amount",),
    "changed": ("amount", "next_date", "paid"),
    "renewal": ("amount", "card"),
    "card_expiring": ("amount",),
    "one_off_receipt": ("paid_date",),
    "withdrawn": ("reference",),
    "admin_dispute": ("due_date",),
    "admin_alert": ("subject",),
}
OWING: dict[str, Any] = {"status": "past_due", "first_failed_at": NOW, "due_at": NOW}
ON_TRIAL: dict[str, Any] = {"status": "trialing", "trial_end": NOW + timedelta(days=10)}
JUST_PAID: dict[str, Any] = {"current_period_end": NOW + timedelta(days=30)}
# Where somebody stands who is sent such a mail; of every other kind: on a plan that runs.
STANDS: dict[str, dict[str, Any]] = {
    "trial_start": ON_TRIAL,
    "trial_end": ON_TRIAL,
    "dun1": OWING,
    "dun2": OWING,
    "dun3": OWING,
    "dun4": OWING,
    "receipt": JUST_PAID,
    "recovered": JUST_PAID,
    "action_required": {"first_failed_at": NOW, "due_at": NOW, "needs_action": True},
    "dun5": {"status": "canceled", "ended_at": NOW, "cancellation_reason": "payment_failed"},
    "ended": {"status": "canceled", "ended_at": NOW, "cancellation_reason": "cancellation_requested"},
    "cancel_set": {"ends_at": NOW + timedelta(days=13)},
}


def every() -> Iterator[Sample]:
    """Each sample, in the order of the list; of each kind those that lack one fact come last."""
    for kind in kinds():
        mine = [facts for name, facts in SAMPLES if name == kind]
        yield from (Sample(kind, str(number), facts) for number, facts in enumerate(mine, 1))
        for name in OPTIONAL.get(kind, ()):
            yield Sample(kind, f"without-{name.replace('_', '-')}", {**mine[0], name: None})


def kinds() -> list[str]:
    """Every kind that has a sample, once."""
    return list(dict.fromkeys(kind for kind, _ in SAMPLES))


def spoken(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts in the words of the language that is spoken now."""
    return {name: value() if callable(value) else value for name, value in facts.items()}


def standing_for(kind: str, facts: dict[str, Any], policy: Policy) -> Standing:
    """Where the reader of a mail with these facts stands, by the operator's policy, in the spoken language."""
    price = facts.get("amount") or format_money(2900, "eur")
    running = {
        "status": "active", "plan": "pro", "plan_title": facts["plan"], "price": price, "interval": "month",
        "current_period_end": NOW + timedelta(days=13), "created": NOW - timedelta(days=90), "fetched_at": NOW,
        "card": facts.get("card", CARD()),
    }  # fmt: skip
    known = running | STANDS.get(kind, {})
    if "first_failed_at" in known:
        known |= {"owed": price, "owed_number": "A1B2C3D4-0002"}
    return standing(Facts(**known), policy, NOW)

"""Each standing, brought about by rows as applied events would have left them: one line for each code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing.models import Comp, User
from tests import admin_rows as rows
from tests.admin_rows import NOW

DAY = timedelta(days=1)
ENDED = {"status": "canceled", "ended_at": NOW - 2 * DAY, "card_brand": None, "card_last4": None}
NO_CARD = {"card_brand": None, "card_last4": None}
TRIAL = {"status": "trialing", "trial_end": NOW + 5 * DAY, "current_period_end": NOW + 5 * DAY}


@dataclass(frozen=True)
class Way:
    """What is different from an active plan that was paid ten days ago.

    ``row``: of the subscription, None where there is none; ``owes``: of its open invoice, None where nothing is
    owed; ``disputed``: the payment is; ``paid``: there was a payment; ``more``: any other rows; ``settings``: what
    the operator has to choose.
    """

    row: dict[str, Any] | None = field(default_factory=dict)
    owes: dict[str, Any] | None = None
    disputed: bool = False
    paid: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    more: Callable[[Session, User], None] | None = None


def failed(days: int, **more: Any) -> dict[str, Any]:
    """An open invoice whose payment failed so many days ago."""
    return {"first_failed_at": NOW - days * DAY, "created": NOW - days * DAY, **more}


# As Stripe leaves what it will not try again by itself.
NO_MORE = {"next_payment_attempt": None}


COMING = {
    "kind": "scheduled",
    "plan": "basic",
    "amount": 900,
    "currency": "eur",
    "interval": "month",
    "at": int((NOW + 20 * DAY).timestamp()),
}


def given(session: Session, user: User) -> None:
    """What an admin gave free of charge: here they gave it to themselves."""
    rows.add(
        session, Comp(user_id=user.id, plan="pro", until=NOW + 60 * DAY, reason="a friend", given_by=user.id)
    )


WAYS: dict[str, Way] = {
    "comp": Way(row=None, more=given),
    "none": Way(row=None),
    "first_confirming": Way({"status": "incomplete", **NO_CARD}, paid=False),
    "first_action": Way(
        {"status": "incomplete", **NO_CARD},
        failed(0, needs_action=True, decline_code=None, **NO_MORE),
        paid=False,
    ),
    "first_failed": Way({"status": "incomplete", **NO_CARD}, failed(0, **NO_MORE), paid=False),
    "first_lapsed": Way({"status": "incomplete_expired", "ended_at": NOW - DAY, **NO_CARD}, paid=False),
    "disputed_hold": Way(disputed=True, settings={"ACCESS_WHILE_DISPUTED": "no"}),
    "unpaid": Way({"status": "unpaid", "first_failed_at": NOW - 30 * DAY}, failed(30, **NO_MORE)),
    "paused_trial": Way(
        {"status": "paused", "status_reason": "trial_end_without_payment_method", **NO_CARD}, paid=False
    ),
    "paused_payment": Way(
        {"status": "paused", "status_reason": "final_payment_failure"}, failed(30, **NO_MORE)
    ),
    "paused_asked": Way({"status": "paused", "status_reason": "pause_requested"}),
    "paused_other": Way({"status": "paused", "status_reason": "system"}),
    "action_required": Way(owes=failed(1, needs_action=True, decline_code="authentication_required")),
    "past_due": Way({"status": "past_due", "first_failed_at": NOW - 2 * DAY}, failed(2)),
    "past_due_hold": Way({"status": "past_due", "first_failed_at": NOW - 20 * DAY}, failed(20)),
    "trial_ending_off": Way({**TRIAL, "cancel_at_period_end": True}, paid=False),
    "trialing_no_card": Way({**TRIAL, **NO_CARD}, paid=False),
    "trialing": Way(TRIAL, paid=False),
    "canceling": Way({"cancel_at_period_end": True, "canceled_at": NOW - DAY}),
    "collection_paused": Way(
        {"pause_collection": {"behavior": "void", "resumes_at": int((NOW + 60 * DAY).timestamp())}}
    ),
    "disputed": Way(disputed=True),
    "changing": Way({"coming": COMING, "schedule": "sub_sched_1"}),
    "active": Way(),
    "ended": Way({**ENDED, "cancellation_reason": "cancellation_requested"}),
    "ended_unpaid": Way({**ENDED, "cancellation_reason": "payment_failed"}, failed(30, **NO_MORE)),
    "ended_disputed": Way({**ENDED, "cancellation_reason": "payment_disputed"}),
    "unknown": Way({"status": "frobnicated"}),
}


def bring_about(session: Session, user: User, code: str) -> None:
    """Write the rows of this standing for a person who has none yet."""
    way = WAYS[code]
    if way.more is not None:
        way.more(session, user)
    if way.row is None:
        return
    row = rows.subscription(session, user, **way.row)
    if way.paid:
        # of the period before the one that is owed, or of the present one
        paid_at = (way.owes["first_failed_at"] - 30 * DAY) if way.owes else NOW - 10 * DAY
        rows.invoice(session, row, paid_at=paid_at, created=paid_at)
    if way.owes is not None:
        rows.owed(session, row, **way.owes)
    if way.disputed:
        rows.dispute(session, user)

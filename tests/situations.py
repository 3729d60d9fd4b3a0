"""The 27 situations that somebody can be in, as rows, all of them on a test clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from billing.models import Comp, Dispute, Invoice, Payment, Subscription, User
from tests import admin_rows as rows

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORDERED = datetime(2026, 10, 3, 9, tzinfo=UTC)
PAID = datetime(2026, 11, 3, 9, tzinfo=UTC)
FAILED = datetime(2026, 11, 20, 8, tzinfo=UTC)
LATER = datetime(2026, 12, 3, 9, tzinfo=UTC)
ENDED = datetime(2026, 11, 23, 9, tzinfo=UTC)
JUST_NOW = NOW - timedelta(minutes=5)
RESUMES = int(datetime(2027, 2, 1, 9, tzinfo=UTC).timestamp())

# Settings of the situations that only a policy brings about; the others are of the defaults.
Settings = dict[str, Any]


@dataclass(frozen=True)
class Situation:
    """``plan``: what differs from a plan that runs and is paid; None for none. ``bill``: of the open invoice."""

    plan: dict[str, Any] | None = field(default_factory=dict)
    bill: dict[str, Any] | None = None
    disputed: bool = False
    given: bool = False
    paid: bool = True
    settings: Settings = field(default_factory=dict)


def first(**bill: Any) -> Situation:
    """A first payment that isn't through."""
    plan = {"status": "incomplete", "created": JUST_NOW, "current_period_end": None}
    return Situation(
        plan, {"billing_reason": "subscription_create", "first_failed_at": None, **bill}, paid=False
    )


def late(plan: dict[str, Any] | None = None, **bill: Any) -> Situation:
    status = {"status": "past_due", "first_failed_at": FAILED}
    return Situation({**status, **(plan or {})}, bill)


def trial(**plan: Any) -> Situation:
    times = {"created": PAID, "trial_end": LATER, "current_period_end": LATER}
    return Situation({"status": "trialing", **times, **plan}, paid=False)


def ended(reason: str, bill: dict[str, Any] | None = None) -> Situation:
    return Situation({"status": "canceled", "ended_at": ENDED, "cancellation_reason": reason}, bill)


def paused(reason: str, bill: dict[str, Any] | None = None, **plan: Any) -> Situation:
    return Situation({"status": "paused", "status_reason": reason, **plan}, bill)


NO_CARD = {"card_brand": None, "card_last4": None}
TO_BASIC = {
    "kind": "scheduled", "price": "price_basic", "plan": "basic", "amount": 900, "currency": "eur",
    "interval": "month", "at": int(LATER.timestamp()),
}  # fmt: skip

# In the order of ux: the first that is true speaks.
SITUATIONS: dict[str, Situation] = {
    "comp": Situation(None, given=True),
    "none": Situation(None),
    "first_confirming": first(decline_code=None),
    "first_action": first(needs_action=True, decline_code=None, first_failed_at=JUST_NOW),
    "first_failed": first(decline_code="expired_card", first_failed_at=JUST_NOW),
    "first_lapsed": Situation({"status": "incomplete_expired", "created": ORDERED}, paid=False),
    "disputed_hold": Situation(disputed=True, settings={"access_while_disputed": False}),
    "unpaid": late({"status": "unpaid"}, next_payment_attempt=None, attempt_count=4),
    "paused_trial": trial(
        status="paused", status_reason="trial_end_without_payment_method", trial_end=ENDED, **NO_CARD
    ),
    "paused_payment": paused("final_payment_failure", {"next_payment_attempt": None}),
    "paused_asked": paused("pause_requested"),
    "paused_other": paused("system"),
    "action_required": late(needs_action=True, decline_code="authentication_required"),
    "past_due": late(),
    "past_due_hold": late({"first_failed_at": NOW - timedelta(days=20)}, decline_code="lost_card"),
    "trial_ending_off": trial(cancel_at_period_end=True),
    "trialing_no_card": trial(trial_end_behavior="pause", **NO_CARD),
    "trialing": trial(),
    "canceling": Situation({"cancel_at_period_end": True}),
    "collection_paused": Situation({"pause_collection": {"behavior": "void", "resumes_at": RESUMES}}),
    "disputed": Situation(disputed=True),
    "changing": Situation({"coming": TO_BASIC, "schedule": "sub_sched_1"}),
    "active": Situation(),
    "ended": ended("cancellation_requested"),
    "ended_unpaid": ended("payment_failed", {"next_payment_attempt": None, "attempt_count": 4}),
    "ended_disputed": ended("payment_disputed"),
    "unknown": Situation({"status": "a_status_of_tomorrow"}),
}


def bring_about(session: Session, user: User, situation: Situation, admin: User) -> None:
    """Make it so that the person is in this situation and in no other. Commits."""
    for table in (Invoice, Payment, Dispute, Subscription, Comp):
        session.execute(delete(table).where(table.user_id == user.id))
    session.commit()
    if situation.given:
        until = datetime(2127, 3, 1, 23, 59, 59, tzinfo=UTC)
        comp = Comp(
            user_id=user.id, plan="pro", until=until, reason="press", given_by=admin.id, given_at=PAID
        )
        rows.add(session, comp)
    if situation.plan is not None:
        row = _plan(session, user, situation.plan)
        _money(session, user, row, situation)


def _plan(session: Session, user: User, changes: dict[str, Any]) -> Subscription:
    usual: dict[str, Any] = {
        "stripe_id": "sub_ana", "created": ORDERED, "current_period_start": PAID, "current_period_end": LATER,
        "test_clock": "clock_1", "clock_time": NOW, "fetched_at": NOW - timedelta(minutes=2),
    }  # fmt: skip
    return rows.subscription(session, user, **{**usual, **changes})


def _money(session: Session, user: User, row: Subscription, situation: Situation) -> None:
    if situation.paid:
        rows.invoice(session, row, stripe_id="in_paid", number="A1-0001", created=PAID, paid_at=PAID,
                     payment_intent="pi_paid")  # fmt: skip
    if situation.bill is not None:
        usual = {
            "stripe_id": "in_ana", "number": "A1-0002", "created": FAILED, "first_failed_at": FAILED,
            "next_payment_attempt": FAILED + timedelta(days=7),
        }  # fmt: skip
        rows.owed(session, row, **{**usual, **situation.bill})
    if situation.disputed:
        rows.dispute(session, user, payment_intent="pi_paid", created=FAILED)

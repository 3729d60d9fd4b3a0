"""What a change of a subscription owes its owner: ending set or taken back, ended, a trial about to end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.labels import card, price, title
from billing.models import Subscription, User
from billing.models.subscriptions import FINAL
from billing.notices import owe
from billing.readers import to_the_reader
from billing.standing import LIVE
from billing.syncing import Cause
from billing.words import day


@to_the_reader
def subscription_written(
    session: Session, user: User, row: Subscription, before: dict[str, Any], cause: Cause
) -> None:
    """What a change of the subscription owes: ending set or taken back, ended, trial about to end."""
    facts = {"subscription": row.stripe_id}
    words = {"plan": title(row.plan), "next_date": day(row.current_period_end), "amount": price(row)}
    if row.ends_at:
        words["access_until"] = day(row.ends_at)
    ending_before = before.get("cancel_at") or before.get("cancel_at_period_end")
    if before and row.status not in FINAL and bool(ending_before) != bool(row.ends_at):
        kind = "cancel_set" if row.ends_at else "kept"
        # Ending, kept and ending again on the same day are three pieces of news.
        mark = f"{row.ends_at.isoformat()}:{row.canceled_at}" if row.ends_at else str(cause.fence)
        key = f"{kind}:{row.stripe_id}:{mark}"
        owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)
    if before.get("status") not in (None, row.status):
        _stopped(session, user, row, words, cause)
    about_to_end = cause.saw("customer.subscription.trial_will_end") and row.ends_at is None
    if row.status == "trialing" and about_to_end and row.trial_end:
        words |= {"trial_end": day(row.trial_end), "card": card(row)}
        key = f"trialend:{row.stripe_id}:{row.trial_end.isoformat()}"
        owe(session, "trial_end", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _stopped(session: Session, user: User, row: Subscription, words: dict[str, Any], cause: Cause) -> None:
    facts = {"subscription": row.stripe_id}
    words = {**words, "ended_date": day(row.ended_at or cause.now)}
    unpaid = row.status == "unpaid" or (
        row.status == "canceled" and row.cancellation_reason == "payment_failed"
    )
    if unpaid:
        key = f"dun:{row.latest_invoice or row.stripe_id}:5"
        owe(session, "dun5", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)
    elif row.status == "canceled":
        # Whoever has another plan that runs must not read that their access has ended.
        kind = "second_ended" if _goes_on(session, row) else "ended"
        key = f"ended:{row.stripe_id}"
        owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _goes_on(session: Session, row: Subscription) -> bool:
    other = select(Subscription.id).where(
        Subscription.user_id == row.user_id, Subscription.id != row.id, Subscription.status.in_(LIVE)
    )
    return session.execute(other.limit(1)).first() is not None

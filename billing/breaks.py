"""The mails of a pause: that it began, a week before it ends what is charged then, and that the plan is back on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import labels, notices, readers
from billing.models import Subscription, User
from billing.syncing import Cause
from billing.words import day

AHEAD = timedelta(days=7)


def written(session: Session, user: User, row: Subscription, before: dict[str, Any], cause: Cause) -> None:
    """Owe the mail of a pause that a person asked for, here or at Stripe, as it begins and when it is over."""
    asked = row.status == "paused" and row.status_reason == "pause_requested"
    if asked and before.get("status") not in (None, "paused"):
        key = f"paused:{row.stripe_id}:{cause.fence}"
        _owe(session, "paused", key, user, row, cause.event_id)
    was_asked = before.get("status") == "paused" and before.get("status_reason") == "pause_requested"
    if was_asked and row.status == "active":
        key = f"resumed:{row.stripe_id}:{cause.fence}"
        _owe(session, "resumed", key, user, row, cause.event_id)


def owe_what_is_near(session: Session) -> None:
    """Owe the word before each end of a pause that charges somebody within a week. The caller commits."""
    present = func.coalesce(Subscription.clock_time, func.now())
    near = (
        select(Subscription, User)
        .join(User, User.id == Subscription.user_id)
        .where(
            Subscription.status == "paused",
            Subscription.status_reason == "pause_requested",
            Subscription.resumes_at > present,
            Subscription.resumes_at <= present + AHEAD,
        )
    )
    for row, user in session.execute(near.order_by(Subscription.id)).all():
        key = f"resuming:{row.stripe_id}:{row.resumes_at:%Y%m%dT%H%M%SZ}"
        _owe(session, "resuming", key, user, row)


def _owe(
    session: Session, kind: str, key: str, user: User, row: Subscription, cause: str | None = None
) -> None:
    with readers.speaking_to(user):
        words = {
            "plan": labels.title(row.plan),
            "amount": labels.price(row),
            "card": labels.card(row),
            "resumes_date": day(row.resumes_at),
            "next_date": None if row.ends_at else day(row.current_period_end),
        }
        facts = {"subscription": row.stripe_id}
        notices.owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause)

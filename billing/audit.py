"""One way to write down that something changed. The table takes inserts only (a trigger refuses the rest).

Of a row that mirrors Stripe's, every field that a write changed is kept, before and after: whoever lays the
after-values of its entries on each other, oldest first, has the row. An entry without a before begins anew.

The log is told when the entry is committed, so that it never tells of what was rolled back.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from billing.models import (
    AuditEntry,
    CheckoutSession,
    Dispute,
    FraudWarning,
    Invoice,
    Payment,
    Refund,
    Subscription,
)

log = logging.getLogger(__name__)
UNTOLD = "audit entries to tell the log of"

Mirror = Subscription | Invoice | Payment | Dispute | Refund | FraudWarning | CheckoutSession
Picture = dict[str, Any]
# What an entry calls a row of each table, and the column that holds Stripe's name for it.
NOUNS: dict[str, tuple[str, str]] = {
    "subscriptions": ("subscription", "stripe_id"),
    "invoices": ("invoice", "stripe_id"),
    "payments": ("payment", "payment_intent"),
    "disputes": ("dispute", "stripe_id"),
    "refunds": ("refund", "stripe_id"),
    "fraud_warnings": ("fraud_warning", "stripe_id"),
    "checkout_sessions": ("checkout", "stripe_id"),
}
# Columns that name the row, as the entry itself does, or only say when and why it was written.
MARKS = frozenset(
    {"id", "stripe_id", "fetch_no", "fetched_at", "cause_event_id", "clock_time", "refunded_at"}
)
# Of a Checkout Session: our own book-keeping, what the person chose before there was one, and the way to pay.
OURS = frozenset(
    {
        "user_id", "once", "created_at", "superseded_at", "mode", "item", "price_id", "trial_days", "quantity", "url",
        "locale", "trial_end_behavior", "promotion_codes", "completed_at", "credits", "gives",
    }
)  # fmt: skip


def picture(row: Mirror) -> Picture:
    """The fields of a row that mirrors Stripe's, as JSON holds them: moments in ISO 8601, money in minor units."""
    left_out = MARKS | {NOUNS[row.__tablename__][1]}
    if isinstance(row, CheckoutSession):
        left_out |= OURS
    names = (column.key for column in row.__mapper__.column_attrs)
    return {name: _plain(getattr(row, name)) for name in names if name not in left_out}


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def changed(
    session: Session, row: Mirror, before: Picture, *, actor: str, cause: str | None = None
) -> frozenset[str]:
    """Write down, as one entry, how a row differs from its picture ``before`` ({} for a new one). Returns the names.

    Nothing is written where nothing differs.
    """
    after = picture(row)
    names = frozenset(name for name in after if before.get(name) != after[name])
    if names:
        noun, key = NOUNS[row.__tablename__]
        record(
            session,
            _kind(noun, names),
            actor=actor,
            user_id=row.user_id,
            subject=getattr(row, key),
            cause=cause,
            before={name: before.get(name) for name in names} if before else None,
            after={name: after[name] for name in names},
        )
    return names


def _kind(noun: str, names: frozenset[str]) -> str:
    if names & {"status", "attempt_count"}:
        return f"{noun}.status"
    return "refund" if "amount_refunded" in names else f"{noun}.changed"


def record(
    session: Session,
    kind: str,
    *,
    actor: str,
    user_id: int | None = None,
    subject: str | None = None,
    cause: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    alert: bool = False,
) -> None:
    """Add an entry to the caller's transaction. ``alert`` also logs at ERROR and turns deep health red."""
    session.add(
        AuditEntry(
            kind=kind,
            actor=actor,
            user_id=user_id,
            subject=subject,
            cause_event_id=cause,
            before=before,
            after=after,
            alert=alert,
        )
    )
    level = logging.ERROR if alert else logging.INFO
    facts = {"actor": actor, "subject": subject, "cause": cause, "user_id": user_id}
    session.info.setdefault(UNTOLD, []).append((level, kind, facts))


@event.listens_for(Session, "after_commit")
def _tell(session: Session) -> None:
    for level, kind, facts in session.info.pop(UNTOLD, []):
        log.log(level, kind, extra=facts)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(UNTOLD, None)

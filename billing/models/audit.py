"""The append-only record of changes, the leases, the rate counters, and whose database this is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class AuditEntry(Model):
    """A change of access or money state: who, what, cause, before, after. Never updated, never deleted."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_user_id_at", "user_id", "at"),)

    id: Mapped[Id]
    at: Mapped[Made]
    actor: Mapped[Str]
    kind: Mapped[Str]
    user_id: Mapped[Big | None]
    subject: Mapped[Str | None]
    cause_event_id: Mapped[Str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    alert: Mapped[bool] = mapped_column(default=False)


class Lease(Model):
    """Who may write about one thing now. ``fence`` grows by one at each taking."""

    __tablename__ = "leases"

    name: Mapped[Str] = mapped_column(primary_key=True)
    token: Mapped[Str]
    until: Mapped[Moment]
    fence: Mapped[Big]


class RateHit(Model):
    """A counter of one bucket in one window; in PostgreSQL, so that losing Redis opens no door."""

    __tablename__ = "rate_hits"

    bucket: Mapped[Str] = mapped_column(primary_key=True)
    window: Mapped[Moment] = mapped_column(primary_key=True)
    hits: Mapped[int]


class Installation(Model):
    """Whose database this is: one row, written by ``flask setup``. Another mode or account is refused."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    public_id: Mapped[Str]
    livemode: Mapped[bool]
    stripe_account: Mapped[Str]
    key_fingerprint: Mapped[Str]
    created_at: Mapped[Made]
    events_cursor: Mapped[Big | None]
    reconciled_at: Mapped[Moment | None]
    clock_seen_at: Mapped[Moment | None]
    worker_seen_at: Mapped[Moment | None]

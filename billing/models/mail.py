"""The outbox: one row for each mail that is owed to somebody."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Json, Made, Moment, Str


class Notice(Model):
    """One mail. Written in the transaction that made it due; ``dedupe_key`` makes it one.

    States: queued, sending, sent, unknown (the connection was lost after the message was handed over),
    suppressed (the address refuses mail), obsolete (no longer true when it was to leave, or not ours to send).
    ``secret`` holds a code or link until the mail has left, then it is erased.
    ``locale``: the reader's, in which the words among ``facts`` were written; None: written before there was another.
    """

    __tablename__ = "notices"
    __table_args__ = (
        CheckConstraint(
            "state in ('queued','sending','sent','unknown','suppressed','obsolete')", name="state"
        ),
        Index("ix_notices_due", "next_attempt_at", postgresql_where=text("state = 'queued'")),
    )

    id: Mapped[Id]
    dedupe_key: Mapped[Str] = mapped_column(unique=True)
    kind: Mapped[Str]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id"), index=True)
    to: Mapped[Str]
    facts: Mapped[Json]
    locale: Mapped[Str | None]
    secret: Mapped[Str | None]
    state: Mapped[Str] = mapped_column(default="queued")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[Made]
    next_attempt_at: Mapped[Made]
    lease_until: Mapped[Moment | None]
    message_id: Mapped[Str]
    sent_at: Mapped[Moment | None]
    reason: Mapped[Str | None]
    cause_event_id: Mapped[Str | None]

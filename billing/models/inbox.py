"""The inbox: every event that Stripe told us, kept before it was answered."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Made, Moment, Str


class StripeEvent(Model):
    """One event. The row is the job: Redis only rings a bell.

    ``payload`` is the body exactly as signed; it names the object, and is never read for state.
    ``subject`` is the object to fetch (``sub_``, ``in_``, ``cs_``, ``pi_``, ``ch_``, ``du_``).
    ``source`` says how we learned of it: webhook, events_api or reconciler.
    ``took_ms`` is what the last try took, from asking Stripe to the write, in milliseconds.
    """

    __tablename__ = "stripe_events"
    __table_args__ = (
        CheckConstraint("state in ('pending','applied','ignored','parked')", name="state"),
        Index("ix_stripe_events_due", "next_attempt_at", postgresql_where=text("state = 'pending'")),
        Index("ix_stripe_events_received_at", "received_at", "event_id"),
        Index("ix_stripe_events_subject", "subject"),
    )

    PENDING: ClassVar = "pending"
    APPLIED: ClassVar = "applied"
    IGNORED: ClassVar = "ignored"
    PARKED: ClassVar = "parked"

    event_id: Mapped[Str] = mapped_column(primary_key=True)
    type: Mapped[Str]
    livemode: Mapped[bool]
    api_version: Mapped[Str | None]
    subject: Mapped[Str | None]
    object_id: Mapped[Str | None]
    customer_id: Mapped[Str | None]
    stripe_created: Mapped[Moment]
    payload: Mapped[Str]
    source: Mapped[Str]
    received_at: Mapped[Made]
    state: Mapped[Str] = mapped_column(default="pending")
    reason: Mapped[Str | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    next_attempt_at: Mapped[Made]
    lease_until: Mapped[Moment | None]
    applied_at: Mapped[Moment | None]
    took_ms: Mapped[int | None]
    user_id: Mapped[Big | None] = mapped_column(index=True)

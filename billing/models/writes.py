"""The write registry: what was asked of Stripe, committed before it was asked."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class StripeWrite(Model):
    """One write. ``name`` says what it is for and is unique; ``idempotency_key`` goes to Stripe.

    ``params`` is the canonical JSON that every try sends. States: pending, in_flight, done, declined
    (402), failed (a definitive no), unknown (the 23 hours in which the key is safe are over).
    """

    __tablename__ = "stripe_writes"
    __table_args__ = (
        CheckConstraint(
            "state in ('pending','in_flight','done','declined','failed','unknown')", name="state"
        ),
        Index(
            "ix_stripe_writes_open",
            "created_at",
            postgresql_where=text("state in ('pending','in_flight')"),
        ),
    )
    OPEN: ClassVar = ("pending", "in_flight")

    id: Mapped[Id]
    name: Mapped[Str] = mapped_column(unique=True)
    operation: Mapped[Str]
    target: Mapped[Str | None]
    user_id: Mapped[Big | None] = mapped_column(index=True)
    params: Mapped[Str]
    params_sha256: Mapped[Str]
    idempotency_key: Mapped[Str] = mapped_column(unique=True)
    state: Mapped[Str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[Moment | None]
    created_at: Mapped[Made]
    first_sent_at: Mapped[Moment | None]
    last_sent_at: Mapped[Moment | None]
    last_status: Mapped[int | None]
    stripe_object_id: Mapped[Str | None] = mapped_column(index=True)
    error: Mapped[Str | None]

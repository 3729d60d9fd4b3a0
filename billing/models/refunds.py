"""Money that went back, and the banks' early warnings of fraud: each row mirrors one object of Stripe's."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Moment, Str


class Refund(Model):
    """Stripe's refund as last fetched. ``payment_intent`` says of which invoice's payment or purchase it is.

    ``status``: pending, requires_action, succeeded, failed, canceled. One that succeeded may fail weeks later.
    """

    __tablename__ = "refunds"

    id: Mapped[Id]
    stripe_id: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    payment_intent: Mapped[Str | None] = mapped_column(index=True)
    charge: Mapped[Str | None]
    amount: Mapped[Big]
    currency: Mapped[Str]
    status: Mapped[Str]
    reason: Mapped[Str | None]
    failure_reason: Mapped[Str | None]
    created: Mapped[Moment]
    fetch_no: Mapped[Big]
    cause_event_id: Mapped[Str] = mapped_column(ForeignKey("stripe_events.event_id"))


class FraudWarning(Model):
    """A bank's early warning that a payment was fraud. ``amount`` and ``currency``: what was paid.

    ``actionable``: a refund now may still keep a dispute away; false once it is disputed or fully refunded.
    """

    __tablename__ = "fraud_warnings"

    id: Mapped[Id]
    stripe_id: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    payment_intent: Mapped[Str | None]
    charge: Mapped[Str | None]
    actionable: Mapped[bool]
    fraud_type: Mapped[Str]
    amount: Mapped[Big]
    currency: Mapped[Str]
    created: Mapped[Moment]
    fetch_no: Mapped[Big]
    cause_event_id: Mapped[Str] = mapped_column(ForeignKey("stripe_events.event_id"))

    @property
    def status(self) -> str:
        """Its state in one word, as every other row has it."""
        return "actionable" if self.actionable else "settled"

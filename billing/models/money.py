"""Invoices, one-off payments, disputes, and the prices that Stripe knows of our catalogue."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class Invoice(Model):
    """Stripe's invoice as last fetched. ``attempt_count`` counts automatic tries only.

    ``due_date``: by when an invoice that is sent is to be paid. ``processing``: a bank debit for it is under way.
    """

    __tablename__ = "invoices"
    __table_args__ = (Index("ix_invoices_user_id_created", "user_id", "created"),)

    id: Mapped[Id]
    stripe_id: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    subscription: Mapped[Str | None] = mapped_column(index=True)
    number: Mapped[Str | None]
    status: Mapped[Str]
    billing_reason: Mapped[Str | None]
    description: Mapped[Str]
    currency: Mapped[Str]
    total: Mapped[Big]
    amount_due: Mapped[Big]
    amount_paid: Mapped[Big]
    amount_remaining: Mapped[Big]
    amount_refunded: Mapped[Big] = mapped_column(default=0, server_default="0")
    created: Mapped[Moment]
    paid_at: Mapped[Moment | None]
    period_start: Mapped[Moment | None]
    period_end: Mapped[Moment | None]
    attempted: Mapped[bool]
    attempt_count: Mapped[int]
    next_payment_attempt: Mapped[Moment | None]
    due_date: Mapped[Moment | None]
    needs_action: Mapped[bool] = mapped_column(default=False)
    processing: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    decline_code: Mapped[Str | None]
    first_failed_at: Mapped[Moment | None]
    payment_intent: Mapped[Str | None] = mapped_column(index=True)
    fetch_no: Mapped[Big]
    fetched_at: Mapped[Moment]
    cause_event_id: Mapped[Str] = mapped_column(ForeignKey("stripe_events.event_id"))


class Payment(Model):
    """A one-off purchase, keyed by its PaymentIntent; fulfilled once, when Stripe says succeeded.

    ``credits`` and ``gives`` (features, comma-separated): what was promised for it, None where nothing was.
    ``refunded_at``: when we heard of the last change of ``amount_refunded``.
    """

    __tablename__ = "payments"

    id: Mapped[Id]
    payment_intent: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    product: Mapped[Str]
    status: Mapped[Str]
    amount: Mapped[Big]
    amount_refunded: Mapped[Big] = mapped_column(default=0, server_default="0")
    currency: Mapped[Str]
    created: Mapped[Moment]
    fulfilled_at: Mapped[Moment | None]
    credits: Mapped[Big | None]
    gives: Mapped[Str | None]
    refunded_at: Mapped[Moment | None]
    fetch_no: Mapped[Big]
    cause_event_id: Mapped[Str] = mapped_column(ForeignKey("stripe_events.event_id"))


class Dispute(Model):
    """A payment that the cardholder contests. ``due_by`` is the last moment to answer.

    ``funds``: ``withdrawn`` while the bank has the money, ``reinstated`` once it is back, None where none moved.
    """

    __tablename__ = "disputes"

    id: Mapped[Id]
    stripe_id: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    payment_intent: Mapped[Str | None]
    status: Mapped[Str]
    reason: Mapped[Str]
    amount: Mapped[Big]
    currency: Mapped[Str]
    created: Mapped[Moment]
    due_by: Mapped[Moment | None]
    funds: Mapped[Str | None]
    fetch_no: Mapped[Big]
    cause_event_id: Mapped[Str] = mapped_column(ForeignKey("stripe_events.event_id"))


class PlanPrice(Model):
    """Which Stripe price stands for a line of ``plans.toml``; written by ``flask plans push``."""

    __tablename__ = "plan_prices"

    lookup_key: Mapped[Str] = mapped_column(primary_key=True)
    price_id: Mapped[Str] = mapped_column(unique=True)
    product_id: Mapped[Str]
    item: Mapped[Str]
    amount: Mapped[Big]
    currency: Mapped[Str]
    interval: Mapped[Str | None]


class PastPrice(Model):
    """A Stripe price that stood for a line of ``plans.toml`` before another one did: who has it keeps it."""

    __tablename__ = "past_prices"

    price_id: Mapped[Str] = mapped_column(primary_key=True)
    lookup_key: Mapped[Str]
    product_id: Mapped[Str]
    item: Mapped[Str]
    amount: Mapped[Big]
    currency: Mapped[Str]
    interval: Mapped[Str | None]
    replaced_at: Mapped[Made]

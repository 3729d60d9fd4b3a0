"""Our mirror of Stripe's subscriptions and Checkout Sessions."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import ColumnElement, ForeignKey, Index, case, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str
from billing.models.people import User

FINAL = ("canceled", "incomplete_expired")


class Subscription(Model):
    """Stripe's subscription as last fetched; ``status`` is Stripe's own word, known to us or not.

    ``fetch_no`` is the fence: the number of the lease under which the row was written. It only grows.
    ``cause_event_id`` names the applied event that the row stands on. ``plan`` is None for a price that
    is not in our catalogue. ``coming``: the change that a schedule or a payment will bring (``plan_change``).
    ``known``: while status or price is none that we know, the last ones that we knew: ``status``, ``plan``, and
    ``at``, when that ended. ``trial_end_behavior``: what becomes of a trial that ends without a card.
    ``clock_time`` is the test clock's time at the fetch, None in live mode. ``discounts``: what is taken off each
    period's price: percent_off, amount_off and until when (Unix seconds, None for ever).
    ``payment_methods``: the ids of the subscription's ``own`` method and of its ``customer``'s default, either None;
    the whole is None where nobody has looked yet. ``resumes_at``: until when the person asked it to be paused.
    ``card_expires_at``: the first moment at which the card is valid no more; None for what is no card.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index("ix_subscriptions_user_id_created", "user_id", "created"),
        Index("ix_subscriptions_status_id", "status", "id"),
    )

    id: Mapped[Id]
    stripe_id: Mapped[Str] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    status: Mapped[Str]
    status_reason: Mapped[Str | None]
    plan: Mapped[Str | None]
    price_id: Mapped[Str]
    amount: Mapped[Big | None]
    currency: Mapped[Str]
    interval: Mapped[Str | None]
    quantity: Mapped[int] = mapped_column(default=1)
    created: Mapped[Moment]
    current_period_start: Mapped[Moment | None]
    current_period_end: Mapped[Moment | None]
    trial_end: Mapped[Moment | None]
    trial_end_behavior: Mapped[Str | None]
    cancel_at: Mapped[Moment | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False)
    canceled_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    cancellation_reason: Mapped[Str | None]
    pause_collection: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    schedule: Mapped[Str | None]
    coming: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    discounts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    collection_method: Mapped[Str]
    known: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    card_brand: Mapped[Str | None]
    card_last4: Mapped[Str | None]
    card_expires_at: Mapped[Moment | None]
    payment_methods: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    resumes_at: Mapped[Moment | None]
    latest_invoice: Mapped[Str | None]
    livemode: Mapped[bool]
    test_clock: Mapped[Str | None] = mapped_column(index=True)
    clock_time: Mapped[Moment | None]
    first_failed_at: Mapped[Moment | None]
    fetch_no: Mapped[Big]
    fetched_at: Mapped[Moment]
    cause_event_id: Mapped[Str] = mapped_column(ForeignKey("stripe_events.event_id"))
    user: Mapped[User] = relationship(lazy="raise")

    @property
    def final(self) -> bool:
        """Whether Stripe can never bring this subscription back."""
        return self.status in FINAL

    @property
    def ends_at(self) -> Any:
        """When it is set to end: ``cancel_at``, or the period's end; None when it goes on."""
        return self.cancel_at or (self.current_period_end if self.cancel_at_period_end else None)


def speaking_rank(row: type[Subscription]) -> ColumnElement[int]:
    """Which of a person's subscriptions speaks for them: the lowest number, then the newest.

    Whoever pays for one that runs is let in, whatever became of another one: a second one that was never
    paid, or that is at a price which is not ours.
    """
    return case(
        (row.status.in_(FINAL), 4),
        (row.plan.is_(None), 3),
        (row.status.in_(("active", "trialing")), 0),
        (row.status == "past_due", 1),
        else_=2,
    )


class CheckoutSession(Model):
    """One Checkout Session that we opened. ``status`` is Stripe's word, or ``creating`` before Stripe answered.

    At most one per person and mode is open: the partial unique index is what stops two. ``once`` is the token of the
    form that it was asked for with, so that a form which is sent again never opens another one.

    ``trial_end_behavior``: what the trial's end brings where there is no card; None where a card is asked for.
    With ``locale`` and ``promotion_codes`` it is kept so that every try asks Stripe for the same. The amount is
    Stripe's, after discounts; ``completed_at``: when we heard that it was completed; ``fetched_at``: when Stripe was
    last asked. ``credits`` and ``gives``: what a one-off purchase promises, as a ``Payment`` has it.
    """

    __tablename__ = "checkout_sessions"
    __table_args__ = (
        Index(
            "uq_checkout_sessions_open",
            "user_id",
            "mode",
            unique=True,
            postgresql_where=text("status in ('creating','open') and superseded_at is null"),
        ),
    )
    CREATING: ClassVar = "creating"

    id: Mapped[Id]
    stripe_id: Mapped[Str | None] = mapped_column(unique=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    mode: Mapped[Str]
    item: Mapped[Str]
    price_id: Mapped[Str]
    trial_days: Mapped[int] = mapped_column(default=0, server_default="0")
    quantity: Mapped[int] = mapped_column(default=1, server_default="1")
    url: Mapped[Str | None]
    status: Mapped[Str]
    payment_status: Mapped[Str | None]
    async_failed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    subscription: Mapped[Str | None]
    payment_intent: Mapped[Str | None]
    created_at: Mapped[Made]
    expires_at: Mapped[Moment | None]
    superseded_at: Mapped[Moment | None]
    once: Mapped[Str | None]
    trial_end_behavior: Mapped[Str | None]
    promotion_codes: Mapped[bool | None]
    locale: Mapped[Str | None]
    amount_total: Mapped[Big | None]
    currency: Mapped[Str | None]
    completed_at: Mapped[Moment | None]
    fetched_at: Mapped[Moment | None]
    credits: Mapped[Big | None]
    gives: Mapped[Str | None]
    fetch_no: Mapped[Big] = mapped_column(default=0, server_default="0")

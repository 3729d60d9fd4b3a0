"""Stripe's nouns beside our tables: where each is listed, what makes a row of it, which rows can still change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from billing import (
    audit,
    fraud_warnings,
    grants,
    invoices,
    payments,
    refunding,
    refunds,
    stripe_reads,
    subscriptions,
)
from billing.errors import StripeRefused
from billing.models import Dispute, FraudWarning, Invoice, Payment, Refund, Subscription
from billing.models.subscriptions import FINAL
from billing.payloads import Object, ref
from billing.syncing import Cause, Outcome

NOT_FOUND = 404


@dataclass(frozen=True)
class Kind:
    """One of Stripe's nouns; ``bring`` brings a row that is in no session to what is written of an object.

    ``whole``: the object with what a list can't show of it. ``due``: whether there must be a row of it.
    ``counts``: whether somebody must be told of one that is tagged as ours and whose customer nobody here has.
    """

    name: str
    model: Any
    key: str
    each: Callable[[Object], Iterator[Object]]
    get: Callable[[str], Object]
    bring: Callable[[Session, Any, Object, Cause], None]
    unsettled: ColumnElement[bool]
    whole: Callable[[Object], Object] = lambda found: found
    due: Callable[[Object], bool] = lambda found: True
    counts: Callable[[Object], bool] = lambda found: False

    @property
    def column(self) -> Any:
        return getattr(self.model, self.key)


SUBSCRIPTIONS = Kind(
    "subscription",
    Subscription,
    "stripe_id",
    stripe_reads.each_subscription,
    stripe_reads.get_subscription,
    subscriptions.as_written,
    Subscription.status.not_in(FINAL),
    whole=subscriptions.completed,
    counts=lambda found: found["status"] not in FINAL,
)
INVOICES = Kind(
    "invoice",
    Invoice,
    "stripe_id",
    stripe_reads.each_invoice,
    stripe_reads.get_invoice,
    lambda session, row, found, cause: invoices.as_written(row, found, cause),
    Invoice.status.not_in(("paid", "void", "uncollectible")),
    whole=lambda found: found if invoices.is_whole(found) else stripe_reads.get_invoice(found["id"]),
    due=lambda found: found["status"] != "draft",
)
PAYMENTS = Kind(
    "payment_intent",
    Payment,
    "payment_intent",
    stripe_reads.each_payment_intent,
    stripe_reads.get_payment_intent,
    lambda session, row, found, cause: payments.payment_as_written(row, found, cause),
    Payment.status.not_in(("succeeded", "canceled")),
    due=lambda found: found["status"] in ("succeeded", "processing") or bool(found.get("last_payment_error")),
    counts=lambda found: found["status"] == "succeeded" and "plan" in found["metadata"],
)
DISPUTES = Kind(
    "dispute",
    Dispute,
    "stripe_id",
    stripe_reads.each_dispute,
    stripe_reads.get_dispute,
    lambda session, row, found, cause: payments.dispute_as_written(row, found, cause),
    Dispute.status.not_in(("won", "lost", "warning_closed")),
)
WARNINGS = Kind(
    "radar.early_fraud_warning",
    FraudWarning,
    "stripe_id",
    stripe_reads.each_early_fraud_warning,
    stripe_reads.get_early_fraud_warning,
    lambda session, row, found, cause: fraud_warnings.as_written(row, found, cause),
    FraudWarning.actionable.expression,
)
# Refunds of what no PaymentIntent took are not ours: all that we sell is paid by one.
REFUNDS = Kind(
    "refund",
    Refund,
    "stripe_id",
    stripe_reads.each_refund,
    stripe_reads.get_refund,
    lambda session, row, found, cause: refunds.as_written(row, found, cause),
    Refund.status.in_(refunding.ON_ITS_WAY),
    due=lambda found: ref(found.get("payment_intent")) is not None,
)
# In this order: what a refund is of must be there before it.
KINDS = (SUBSCRIPTIONS, INVOICES, DISPUTES, WARNINGS, PAYMENTS, REFUNDS)


def there(kind: Kind, stripe_id: str) -> Object | None:
    """The object, or None where Stripe knows none of this id. Raises StripeError where it does not say."""
    if ref(stripe_id) is None:  # no id that Stripe could ever have given
        return None
    try:
        return kind.get(stripe_id)
    except StripeRefused as problem:
        if problem.status != NOT_FOUND:
            raise
        return None


def owned(found: Object) -> Object:
    """What names the customer: of a dispute or a fraud warning, its charge."""
    charge, by_charge = found.get("charge"), found.get("object") in ("dispute", "radar.early_fraud_warning")
    return charge if by_charge and isinstance(charge, dict) else found


def customer_of(found: Object) -> str | None:
    """Whose the object is."""
    return ref(owned(found).get("customer"))


def is_gone(session: Session, stripe_id: str) -> bool:
    """Whether Stripe says that there is no such object: asked for it alone, not for what belongs to it."""
    kind, row = _held(session, stripe_id)
    session.rollback()
    return row is not None and there(kind, stripe_id) is None


def forget(session: Session, stripe_id: str, cause: Cause) -> Outcome:
    """Remove a row for which there is nothing at Stripe, and have a person look. Never commits."""
    _, row = _held(session, stripe_id)
    if row is None:
        return Outcome(None, "nothing at Stripe, and nothing here")
    audit.record(
        session,
        "row.nothing_at_stripe",
        actor=cause.actor,
        user_id=row.user_id,
        subject=stripe_id,
        cause=cause.event_id or None,
        before={"status": row.status},
        alert=True,
    )
    if isinstance(row, Payment):
        row.status = "canceled"
        grants.settle(session, row, cause)  # what it gave was never paid
    session.delete(row)
    return Outcome(row.user_id)


def _held(session: Session, stripe_id: str) -> tuple[Kind, Any]:
    for kind in KINDS:
        row = session.execute(select(kind.model).where(kind.column == stripe_id)).scalar()
        if row is not None:
            return kind, row
    return KINDS[0], None

"""Refunds: each of Stripe's onto its row with the payment that it is of, and told once when its outcome is known."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import audit, payment_news
from billing.clock import from_stripe
from billing.models import Refund, User
from billing.payloads import Object, ref
from billing.syncing import Cause

# These gave nothing back in the end: Stripe takes them out of the charge's ``amount_refunded`` again.
NOTHING_BACK = frozenset({"failed", "canceled"})
# Whoever had a refund that failed longer ago, and that we hear of only now, knows more of it than we do.
OLD_NEWS = timedelta(days=30)


def listed(intent: Object) -> list[Object]:
    """The refunds of a fetched PaymentIntent, the newest first."""
    charge = intent.get("latest_charge")
    shown = charge.get("refunds") if isinstance(charge, dict) else None
    found = (shown or {}).get("data") or []
    return sorted(found, key=lambda one: (one["created"], one["id"]), reverse=True)


def write(session: Session, user: User, intent: Object, risen: int, cause: Cause) -> None:
    """Bring the rows of a payment's refunds to Stripe's, and owe the mails that follow.

    ``risen``: by how much (minor units) more has gone back than our row of the payment said. A refund that is new
    here but no part of it was told of before there were such rows.
    """
    for found in listed(intent):
        row = session.execute(
            select(Refund).where(Refund.stripe_id == found["id"]).with_for_update()
        ).scalar()
        before = audit.picture(row) if row else {}
        if row is None:
            row = Refund(stripe_id=found["id"])
            session.add(row)
            heard = risen >= found["amount"]
            if found["status"] in NOTHING_BACK:
                heard = cause.now - (from_stripe(found["created"]) or cause.now) < OLD_NEWS
            else:
                risen -= found["amount"]
        else:
            heard = True
        row.user_id = user.id
        as_written(row, found, cause)
        names = audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)
        if heard and "status" in names:
            payment_news.refund_changed(session, user, row, cause)


def as_written(row: Refund, found: Object, cause: Cause) -> None:
    """Bring a row, be it in a session or not, to Stripe's refund."""
    row.payment_intent, row.charge = ref(found.get("payment_intent")), ref(found.get("charge"))
    row.amount, row.currency, row.status = found["amount"], found["currency"], found["status"]
    row.reason, row.failure_reason = found.get("reason"), found.get("failure_reason")
    row.created = from_stripe(found["created"]) or cause.now
    row.fetch_no, row.cause_event_id = cause.fence, cause.event_id

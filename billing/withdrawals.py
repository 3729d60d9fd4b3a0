"""Withdrawing from a contract within 14 days (Directive 2011/83/EU, Article 11a, as of 2023/2673).

The record counts from the moment it is written; ending the subscription at Stripe follows from it, and so does the
task for an admin, who pays back what is due. Nothing is paid back by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing import audit, labels, notices, readers
from billing.clock import database_now
from billing.models import Invoice, Subscription, User, Withdrawal
from billing.words import moment_text
from billing.write_request import WriteRequest

DAYS = 14
WORDS = "The person withdrew from the contract."


def ends(session: Session, row: Subscription) -> datetime | None:
    """Until when it may be withdrawn from; None before anything was paid.

    The day of the first payment does not count, and the last day counts whole (Regulation 1182/71, Article 3).
    """
    first = first_paid(session, row)
    if first is None or first.paid_at is None:
        return None
    midnight = first.paid_at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=DAYS + 1)


def is_open(session: Session, row: Subscription | None, *, asked: datetime | None = None) -> bool:
    """Whether it may still be withdrawn from, now or when it was ``asked`` for, by the database's clock or, on a
    test clock, Stripe's."""
    if row is None or row.final:
        return False
    end = ends(session, row)
    return end is not None and (asked or moment(session, row)) < end


def moment(session: Session, row: Subscription) -> datetime:
    """The present moment of this subscription."""
    return row.clock_time or database_now(session)


def first_paid(session: Session, row: Subscription) -> Invoice | None:
    """The first invoice of the subscription that money was paid for."""
    paid = select(Invoice).where(
        Invoice.subscription == row.stripe_id, Invoice.paid_at.is_not(None), Invoice.amount_paid > 0
    )
    return session.execute(paid.order_by(Invoice.paid_at, Invoice.id).limit(1)).scalar()


def of(session: Session, row: Subscription | None) -> Withdrawal | None:
    """The withdrawal from this subscription, where there is one."""
    if row is None:
        return None
    known = select(Withdrawal).where(Withdrawal.subscription == row.stripe_id)
    return session.execute(known).scalar()


def of_order(session: Session, reference: str, email: str) -> Subscription | None:
    """The subscription of an order: of an invoice with this number, of the person with this address."""
    found = (
        select(Subscription)
        .join(Invoice, Invoice.subscription == Subscription.stripe_id)
        .join(User, User.id == Subscription.user_id)
        .where(Invoice.number == reference, User.email == email)
    )
    return session.execute(found.limit(1)).scalar()


def make(session: Session, row: Subscription, user: User, name: str, email: str) -> WriteRequest:
    """Keep the withdrawal, owe its receipt, tell the admins; the write that ends the subscription now.

    A second one is the first. The caller commits, and sends the write.
    """
    paid = first_paid(session, row)
    new = insert(Withdrawal).values(
        user_id=user.id,
        subscription=row.stripe_id,
        reference=paid.number if paid else None,
        name=name,
        email=email,
    )
    at = session.execute(
        new.on_conflict_do_nothing(index_elements=["subscription"]).returning(Withdrawal.withdrawn_at)
    ).scalar()
    if at is not None:
        _tell(session, row, user, paid, name, email, at)
    return cancel_request(row)


def _tell(
    session: Session, row: Subscription, user: User, paid: Invoice | None, name: str, email: str, at: datetime
) -> None:
    audit.record(
        session,
        "subscription.withdrawn",
        actor="customer",
        user_id=user.id,
        subject=row.stripe_id,
        alert=True,
    )
    with readers.speaking_to(user):
        words = {
            "plan": labels.title(row.plan),
            "reference": paid.number if paid else None,
            "name": name,
            "moment": moment_text(at),
        }
        key = f"withdrawn:{row.stripe_id}"
        notices.owe(session, "withdrawn", key, email, {}, words=words, user_id=user.id)
    what = "A person withdrew from their contract; pay back what is due"
    notices.admin_alert(session, f"withdrawn:{row.stripe_id}", what, row.stripe_id)


def cancel_request(row: Subscription) -> WriteRequest:
    """The write that ends the subscription now."""
    params = {"cancellation_details": {"comment": WORDS}}
    return WriteRequest(
        "subscription.cancel", f"withdraw:{row.stripe_id}", params, row.stripe_id, row.user_id
    )

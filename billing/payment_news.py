"""What one-off payments and refunds owe to the payer, and disputes, fraud warnings and failed refunds to the admins."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.labels import title
from billing.models import Dispute, FraudWarning, Payment, Refund, User
from billing.money import format_money
from billing.notices import admin_alert, admins, owe
from billing.readers import speaking_to_admins, to_the_reader
from billing.syncing import Cause
from billing.words import day


@to_the_reader
def one_off_receipt(session: Session, user: User, payment: Payment, cause: Cause) -> None:
    """The receipt of a one-off purchase."""
    words = {"product": title(payment.product), "amount": format_money(payment.amount, payment.currency)}
    words["paid_date"] = day(payment.created) or ""
    key = f"paid:{payment.payment_intent}"
    owe(session, "one_off_receipt", key, user.email, {}, words=words, user_id=user.id, cause=cause.event_id)


@to_the_reader
def one_off_failed(session: Session, user: User, payment: Payment, cause: Cause) -> None:
    """A bank that was slow refused a one-off purchase in the end."""
    words = {"product": title(payment.product), "amount": format_money(payment.amount, payment.currency)}
    facts, key = {"payment": payment.payment_intent}, f"one_off_failed:{payment.payment_intent}"
    owe(session, "one_off_failed", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


@to_the_reader
def refund_changed(session: Session, user: User, row: Refund, cause: Cause) -> None:
    """Money went back, or did not arrive: then an admin has to find another way. A pending one is told to nobody."""
    kind = {"succeeded": "refund", "failed": "refund_failed"}.get(row.status)
    if kind is None:
        return
    facts = {"refund": row.stripe_id, "status": row.status}
    words = {"amount": format_money(row.amount, row.currency)}
    key = f"refund:{row.stripe_id}:{row.status}"
    owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)
    if row.status == "failed":
        what = f"A refund of {format_money(row.amount, row.currency, 'en')} failed; pay it back another way"
        admin_alert(session, f"refund_failed:{row.stripe_id}", what, row.stripe_id)


# Whether somebody has to answer, and what it is called while it is open.
ANSWERS = ("needs_response", "warning_needs_response", "appeal_needs_response")
OPEN = {
    "needs_response": "opened",
    "under_review": "opened",
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "appeal_needs_response": "appeal",
    "appeal_under_review": "appeal",
}
AHEAD = timedelta(days=3)


def phase(status: str | None) -> str | None:
    """What of a dispute is worth a mail of its own: an inquiry, a dispute or an appeal that opened, and each end."""
    return OPEN.get(status, status) if status else None


def dispute_changed(session: Session, user: User, row: Dispute, before: str | None, cause: Cause) -> None:
    """Tell every admin that a dispute opened or closed; ``before``: its status until now."""
    if phase(before) != phase(row.status):
        _dispute(session, user, row, phase(row.status) or row.status, cause.event_id)


def owe_what_is_due(session: Session) -> None:
    """Owe the admins a last word 3 days before a dispute can't be answered any more. The caller commits."""
    present = func.now()
    near = (
        select(Dispute, User)
        .join(User, User.id == Dispute.user_id)
        .where(Dispute.status.in_(ANSWERS), Dispute.due_by > present, Dispute.due_by <= present + AHEAD)
    )
    for row, user in session.execute(near.order_by(Dispute.id)).all():
        opened = phase(row.status)
        _dispute(session, user, row, "due" if opened == "opened" else f"{opened}_due", None)


def _dispute(session: Session, user: User, row: Dispute, told: str, cause: str | None) -> None:
    with speaking_to_admins():
        facts = {
            "dispute": row.stripe_id,
            "phase": told,
            "status": row.status,
            "reason": row.reason,
            "subscriber": user.email,
            "user_id": user.id,
        }
        words = {"amount": format_money(row.amount, row.currency), "due_date": day(row.due_by)}
        for admin in admins(session):
            key = f"dispute:{row.stripe_id}:{told}:{admin.id}"
            owe(session, "admin_dispute", key, admin.email, facts, words=words, cause=cause)


def fraud_warned(session: Session, user: User, row: FraudWarning, cause: Cause, *, refunds: bool) -> None:
    """Tell every admin of an early fraud warning. ``refunds``: the policy gives the money back by itself."""
    with speaking_to_admins():
        facts = {
            "warning": row.stripe_id,
            "refunds": refunds,
            "fraud_type": row.fraud_type,
            "subscriber": user.email,
            "user_id": user.id,
        }
        words = {"amount": format_money(row.amount, row.currency)}
        for admin in admins(session):
            key = f"efw:{row.stripe_id}:{admin.id}"
            owe(session, "admin_fraud_warning", key, admin.email, facts, words=words, cause=cause.event_id)

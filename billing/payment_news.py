"""What one-off payments, refunds and disputes owe: to the payer, and of a dispute to every admin."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing.labels import title
from billing.models import Dispute, Payment, User
from billing.money import format_money
from billing.notices import admins, owe
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
def refunded(
    session: Session, user: User, subject: str, amount: int, total: int, currency: str, cause: Cause
) -> None:
    """Money went back; ``total`` is all that went back so far and makes the key of this part."""
    words = {"amount": format_money(amount, currency)}
    key = f"refund:{subject}:{total}"
    owe(session, "refund", key, user.email, {}, words=words, user_id=user.id, cause=cause.event_id)


def dispute_changed(session: Session, user: User, row: Dispute, cause: Cause) -> None:
    """Tell every admin that a dispute opened or closed."""
    with speaking_to_admins():
        facts = {"reason": row.reason, "status": row.status, "subscriber": user.email, "user_id": user.id}
        words = {"amount": format_money(row.amount, row.currency), "due_date": day(row.due_by)}
        for admin in admins(session):
            key = f"dispute:{row.stripe_id}:{row.status}:{admin.id}"
            owe(session, "admin_dispute", key, admin.email, facts, words=words, cause=cause.event_id)

"""Whether a mail is still true: asked in the transaction that starts sending it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from billing import audit, dunning, ladder
from billing.clock import database_now
from billing.models import (
    AuthToken,
    DataExport,
    Deletion,
    Dispute,
    FraudWarning,
    Invoice,
    Notice,
    Payment,
    Refund,
    Subscription,
    User,
)

# What must still be so of the subscription when a mail about it leaves.
STILL: dict[str, Callable[[Subscription], bool]] = {
    "cancel_set": lambda row: not row.final and row.ends_at is not None,
    "kept": lambda row: not row.final and row.ends_at is None,
    "trial_end": lambda row: row.status == "trialing" and row.ends_at is None,
    "paused": lambda row: row.status == "paused",
    "resuming": lambda row: row.status == "paused" and row.resumes_at is not None,
    "resumed": lambda row: row.status == "active",
    "trial_start": lambda row: row.status == "trialing" and row.ends_at is None,
    "changed": lambda row: not row.final,
    "renewal": lambda row: row.status == "active" and row.ends_at is None and row.pause_collection is None,
    "card_expiring": lambda row: row.status in ("active", "trialing") and row.ends_at is None,
}

# And which of its columns must be as they were: the mail's facts keep them as ``audit.picture`` has them.
SAME = {
    "changed": ("price_id", "quantity"),
    "renewal": ("current_period_end",),
    "card_expiring": ("current_period_end", "card_expires_at"),
}


# What somebody is not told whose account waits to be deleted: it speaks of a future that they have ended.
OF_A_FUTURE = dunning.DUNNING | {
    "cancel_set",
    "kept",
    "ended",
    "second_ended",
    "trial_end",
    "paused",
    "resuming",
    "resumed",
}
# What must still be so of a deletion.
OF_A_DELETION: dict[str, Callable[[Deletion], bool]] = {
    "delete_asked": lambda row: row.open,
    "delete_stuck": lambda row: row.open,
}
LAST = "deleted"


def still_true(session: Session, notice: Notice) -> bool:
    """Whether what the mail says is so at this moment. Asked in the transaction that starts sending it."""
    facts, user = notice.facts, session.get(User, notice.user_id) if notice.user_id else None
    if user is not None and user.deleted_at is not None:
        return notice.kind == LAST
    if user is not None and user.deletion_due_at is not None and notice.kind in OF_A_FUTURE:
        return False
    if notice.kind in OF_A_DELETION:
        asked = session.get(Deletion, facts["deletion"])
        return asked is not None and OF_A_DELETION[notice.kind](asked)
    if notice.kind in dunning.DUNNING:
        return _is_owed(session, facts["invoice"], facts["stage"])
    if notice.kind == "dun5":
        return _has_stopped(session, facts["subscription"], facts.get("invoice"))
    if notice.kind in STILL:
        wanted = select(Subscription).where(Subscription.stripe_id == facts["subscription"])
        row = session.execute(wanted).scalar()
        return row is not None and STILL[notice.kind](row) and _is_as_it_was(row, notice)
    if notice.kind == "one_off_failed":
        bought = select(Payment.status).where(Payment.payment_intent == facts["payment"])
        return session.execute(bought).scalar() not in ("succeeded", "processing")
    if "refund" in facts:
        return facts["status"] in _status(session, Refund.status, Refund.stripe_id == facts["refund"])
    if "dispute" in facts and facts["phase"].endswith("due"):
        return facts["status"] in _status(session, Dispute.status, Dispute.stripe_id == facts["dispute"])
    if "warning" in facts and not facts["refunds"]:
        known = FraudWarning.stripe_id == facts["warning"]
        return True in _status(session, FraudWarning.actionable, known)
    if notice.kind == "export_ready":
        copy = session.get(DataExport, facts["export"])
        return copy is not None and copy.state == "ready"
    if "token_id" in facts:
        token = session.get(AuthToken, facts["token_id"])
        fresh = token is not None and token.used_at is None
        return fresh and bool(session.execute(select(token.expires_at > func.now())).scalar())  # type: ignore[union-attr]
    return True


def _is_as_it_was(row: Subscription, notice: Notice) -> bool:
    present = audit.picture(row)
    return all(present[name] == notice.facts[name] for name in SAME.get(notice.kind, ()))


def _is_owed(session: Session, stripe_id: str, stage: int) -> bool:
    """Whether the invoice is still to be paid, the plan still runs, and no later stage has overtaken this one."""
    invoice, subscription = _invoice(session, stripe_id)
    if invoice is None or invoice.status != "open" or ladder.has_stopped(subscription):
        return False
    if stage == ladder.LAST and _is_over(session, invoice, subscription):
        return False  # there are no days left
    return not dunning.told(session, stripe_id, stage + 1)


def _status(session: Session, column: Any, which: ColumnElement[bool]) -> list[object]:
    """The state of a row as it is now, alone in its list; an empty one where there is no such row."""
    return list(session.execute(select(column).where(which)).scalars())


def _has_stopped(session: Session, stripe_id: str, owed: str | None) -> bool:
    """Whether access is still gone for what is owed: Stripe says so, or the days of grace are over."""
    wanted = select(Subscription).where(Subscription.stripe_id == stripe_id)
    row = session.execute(wanted).scalar()
    if row is None or ladder.has_stopped(row):
        return row is not None
    invoice, _ = _invoice(session, owed or "")
    return invoice is not None and invoice.status == "open" and _is_over(session, invoice, row)


def _is_over(session: Session, invoice: Invoice, subscription: Subscription | None) -> bool:
    end = ladder.grace_end(invoice, subscription)
    present = (subscription.clock_time if subscription else None) or database_now(session)
    return end is not None and present >= end


def _invoice(session: Session, stripe_id: str) -> tuple[Invoice | None, Subscription | None]:
    found = (
        select(Invoice, Subscription)
        .outerjoin(Subscription, Subscription.stripe_id == Invoice.subscription)
        .where(Invoice.stripe_id == stripe_id)
    )
    pair = session.execute(found).first()
    return (pair[0], pair[1]) if pair else (None, None)

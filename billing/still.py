"""Whether a mail is still true: asked in the transaction that starts sending it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import audit
from billing.dunning import DUNNING, stage
from billing.models import AuthToken, Invoice, Notice, Subscription

# What must still be so of the subscription when a mail about it leaves.
STILL: dict[str, Callable[[Subscription], bool]] = {
    "cancel_set": lambda row: not row.final and row.ends_at is not None,
    "kept": lambda row: not row.final and row.ends_at is None,
    "trial_end": lambda row: row.status == "trialing" and row.ends_at is None,
    "paused": lambda row: row.status == "paused",
    "resuming": lambda row: row.status == "paused" and row.resumes_at is not None,
    "trial_start": lambda row: row.status == "trialing" and row.ends_at is None,
    "changed": lambda row: not row.final,
    "renewal": lambda row: row.status == "active" and row.ends_at is None and row.pause_collection is None,
    "card_expiring": lambda row: row.status in ("active", "trialing") and row.ends_at is None,
    "dun5": lambda row: row.final or row.status == "unpaid",
}

# And which of its columns must be as they were: the mail's facts keep them as ``audit.picture`` has them.
SAME = {
    "changed": ("price_id", "quantity"),
    "renewal": ("current_period_end",),
    "card_expiring": ("current_period_end", "card_expires_at"),
}


def still_true(session: Session, notice: Notice) -> bool:
    """Whether what the mail says is so at this moment. Asked in the transaction that starts sending it."""
    facts = notice.facts
    if notice.kind in DUNNING:
        invoice = _invoice(session, facts["invoice"])
        owed = invoice is not None and invoice.status == "open" and stage(invoice) == facts["stage"]
        return owed and not _is_over(session, invoice)
    if notice.kind in STILL:
        wanted = select(Subscription).where(Subscription.stripe_id == facts["subscription"])
        row = session.execute(wanted).scalar()
        return row is not None and STILL[notice.kind](row) and _is_as_it_was(row, notice)
    if "token_id" in facts:
        token = session.get(AuthToken, facts["token_id"])
        fresh = token is not None and token.used_at is None
        return fresh and bool(session.execute(select(token.expires_at > func.now())).scalar())  # type: ignore[union-attr]
    return True


def _is_as_it_was(row: Subscription, notice: Notice) -> bool:
    present = audit.picture(row)
    return all(present[name] == notice.facts[name] for name in SAME.get(notice.kind, ()))


def _is_over(session: Session, invoice: Invoice | None) -> bool:
    """Whether the invoice's subscription has ended: then the last mail says so, and no reminder follows."""
    known = select(Subscription).where(Subscription.stripe_id == (invoice.subscription if invoice else None))
    row = session.execute(known).scalar()
    return row is not None and row.final


def _invoice(session: Session, stripe_id: str) -> Invoice | None:
    return session.execute(select(Invoice).where(Invoice.stripe_id == stripe_id)).scalar()

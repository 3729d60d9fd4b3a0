"""Whether a mail is still true: asked in the transaction that starts sending it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.dunning import DUNNING, stage
from billing.models import AuthToken, Invoice, Notice, Subscription

# What must still be so of the subscription when a mail about it leaves.
STILL: dict[str, Callable[[Subscription], bool]] = {
    "cancel_set": lambda row: not row.final and row.ends_at is not None,
    "kept": lambda row: not row.final and row.ends_at is None,
    "trial_end": lambda row: row.status == "trialing" and row.ends_at is None,
    "paused": lambda row: row.status == "paused",
    "resuming": lambda row: row.status == "paused" and row.resumes_at is not None,
    "dun5": lambda row: row.final or row.status == "unpaid",
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
        return row is not None and STILL[notice.kind](row)
    if "token_id" in facts:
        token = session.get(AuthToken, facts["token_id"])
        fresh = token is not None and token.used_at is None
        return fresh and bool(session.execute(select(token.expires_at > func.now())).scalar())  # type: ignore[union-attr]
    return True


def _is_over(session: Session, invoice: Invoice | None) -> bool:
    """Whether the invoice's subscription has ended: then the last mail says so, and no reminder follows."""
    known = select(Subscription).where(Subscription.stripe_id == (invoice.subscription if invoice else None))
    row = session.execute(known).scalar()
    return row is not None and row.final


def _invoice(session: Session, stripe_id: str) -> Invoice | None:
    return session.execute(select(Invoice).where(Invoice.stripe_id == stripe_id)).scalar()

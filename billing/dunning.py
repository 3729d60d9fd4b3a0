"""Step 4 of 5: which notice an invoice's state owes, once.

The state decides, not the event that brought it: an open invoice with one failed try owes the first
notice, with two the reminder, with three or more the warning, each at most once because its
``dedupe_key`` is unique (``notices.owe``). Just before a mail leaves, ``still`` asks whether it is still so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import declines, running
from billing.labels import title
from billing.models import Invoice, Notice, Subscription, User
from billing.money import format_money
from billing.notices import owe
from billing.readers import to_the_reader
from billing.standing import LIVE
from billing.syncing import Cause
from billing.words import day

STAGES = {1: "dun1", 2: "dun2", 3: "dun3"}
DUNNING = frozenset({"dun1", "dun2", "dun3", "action_required"})
# A paid invoice that we learn of later than this gets no receipt: nobody wants last year's mail today.
NEWS = timedelta(days=3)


@to_the_reader
def invoice_written(
    session: Session, user: User, invoice: Invoice, subscription: Subscription | None, cause: Cause
) -> None:
    """What an invoice's state owes: a receipt or “sorted” when paid, the stage of its tries when not."""
    if invoice.status == "paid" and invoice.amount_paid > 0:
        _paid(session, user, invoice, subscription, cause)
    elif (
        invoice.status == "open" and invoice.first_failed_at and not _was_told_at_once(invoice, subscription)
    ):
        _failed(session, user, invoice, subscription, cause)


def _was_told_at_once(invoice: Invoice, subscription: Subscription | None) -> bool:
    """Whether the page where they paid said so: a first payment that fails there begins nothing. A bank debit that
    comes back days later does so to a subscription that has begun."""
    begun = subscription is not None and subscription.status in (*LIVE, "past_due", "unpaid")
    return _is_first(invoice) and not begun


def _is_first(invoice: Invoice) -> bool:
    return invoice.billing_reason == "subscription_create"


def _paid(
    session: Session, user: User, invoice: Invoice, subscription: Subscription | None, cause: Cause
) -> None:
    stripe_now = (subscription.clock_time if subscription else None) or cause.now
    if invoice.paid_at is None or stripe_now - invoice.paid_at > NEWS:
        return
    kind = "recovered" if _was_dunned(session, invoice) else "receipt"
    words = _invoice_words(invoice, subscription)
    goes_on = subscription is not None and not subscription.final and subscription.ends_at is None
    words["next_date"] = day(subscription.current_period_end) if subscription and goes_on else None
    facts = {
        "invoice": invoice.stripe_id,
        "access": subscription is not None and subscription.status in LIVE,
    }
    key = f"paid:{invoice.stripe_id}"
    owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _was_dunned(session: Session, invoice: Invoice) -> bool:
    sent = select(Notice.id).where(
        Notice.dedupe_key.in_([f"dun:{invoice.stripe_id}:{stage}" for stage in STAGES]),
        Notice.state.in_(("sending", "sent", "unknown")),
    )
    return session.execute(sent).first() is not None


def _failed(
    session: Session, user: User, invoice: Invoice, subscription: Subscription | None, cause: Cause
) -> None:
    number = stage(invoice)
    if _of_a_pending_change(invoice, subscription) and not invoice.needs_action:
        return  # a change that wasn't paid changes nothing; its page said so
    kind = "action_required" if invoice.needs_action else STAGES[number]
    end = grace_end(invoice, subscription)
    stripe_now = (subscription.clock_time if subscription else None) or cause.now
    # Of a plan that was never paid there are no days of grace.
    access = not _is_first(invoice) and (end is None or stripe_now < end)
    facts = {"invoice": invoice.stripe_id, "stage": number, "access": access}
    words = _invoice_words(invoice, subscription) | {
        "due_date": day(invoice.first_failed_at),
        "decline_text": declines.reason(invoice.decline_code),
        "retry_text": declines.retry_text(invoice),
        "access_until": day(end) if access else None,
    }
    key = f"dun:{invoice.stripe_id}:{number}"
    owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _of_a_pending_change(invoice: Invoice, subscription: Subscription | None) -> bool:
    coming = subscription.coming if subscription else None
    waits = coming is not None and coming["kind"] == "pending"
    return waits and subscription is not None and subscription.latest_invoice == invoice.stripe_id


def stage(invoice: Invoice) -> int:
    """1 the first notice, 2 the reminder, 3 the warning of the coming cancellation (attempt 3 and later)."""
    return min(max(invoice.attempt_count, 1), 3)


def grace_end(invoice: Invoice, subscription: Subscription | None) -> datetime | None:
    """When access ends if nothing is paid: counted from the first failure, be it of an older invoice."""
    known = (invoice.first_failed_at, subscription.first_failed_at if subscription else None)
    failed = min((moment for moment in known if moment), default=None)
    return failed + timedelta(days=running.config().grace_days) if failed else None


def _invoice_words(invoice: Invoice, subscription: Subscription | None) -> dict[str, Any]:
    amount = invoice.amount_paid if invoice.status == "paid" else invoice.amount_remaining
    return {
        "number": invoice.number,
        "plan": title(subscription.plan if subscription else None),
        "amount": format_money(amount, invoice.currency),
        "description": invoice.description,
        "paid_date": day(invoice.paid_at),
    }

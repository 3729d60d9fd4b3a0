"""Step 4 of 5: which notice an invoice's state owes, once.

The state decides, not the event that brought it: an open invoice with one failed try owes the first
notice, with two the reminder, with three or more the warning, each at most once because its
``dedupe_key`` is unique (``notices.owe``). What time brings without any event, the clock owes by the same
keys (``reminders``). Just before a mail leaves, ``still`` asks whether it is still so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from billing import comps, declines, ladder
from billing.labels import title
from billing.models import Invoice, Notice, Subscription, User
from billing.money import format_money
from billing.notices import owe
from billing.readers import to_the_reader
from billing.standing import LIVE
from billing.syncing import Cause
from billing.words import day

STAGES = {1: "dun1", 2: "dun2", 3: "dun3", 4: "dun4", 5: "dun5"}
# Those that are about an invoice that can still be paid in time.
DUNNING = frozenset({"dun1", "dun2", "dun3", "dun4", "action_required"})
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
    return ladder.is_first(invoice) and not begun


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
        Notice.dedupe_key.in_(keys(invoice.stripe_id)), Notice.state.in_(("sending", "sent", "unknown"))
    )
    return session.execute(sent).first() is not None


def _failed(
    session: Session, user: User, invoice: Invoice, subscription: Subscription | None, cause: Cause
) -> None:
    if ladder.has_stopped(subscription) or (of_a_change(invoice, subscription) and not invoice.needs_action):
        return  # the last mail says so; and a change that wasn't paid changes nothing: its page said so
    present = (subscription.clock_time if subscription else None) or cause.now
    number = ladder.by_tries(invoice)
    tell(session, user, invoice, subscription, number, present, tried=True, cause=cause.event_id)


def tell(
    session: Session,
    user: User,
    invoice: Invoice,
    subscription: Subscription | None,
    number: int,
    present: datetime,
    *,
    tried: bool = False,
    cause: str | None = None,
) -> None:
    """Owe the notice of this stage (1 to 4), unless it or a later one was owed before. ``tried``: Stripe has just
    tried the card, as often as the stage says. The caller speaks the reader's language."""
    if told(session, invoice.stripe_id, number):
        return
    kind = "action_required" if invoice.needs_action and number == 1 else STAGES[number]
    end = ladder.grace_end(invoice, subscription)
    access = not ladder.is_first(invoice) and (end is None or present < end)
    facts = {"invoice": invoice.stripe_id, "stage": number, "access": access, "pays": True}
    words = _invoice_words(invoice, subscription) | {
        "due_date": day(invoice.due_date or invoice.first_failed_at),
        "decline_text": declines.reason(invoice.decline_code),
        "retry_text": declines.retry_text(invoice),
        "access_until": day(end) if access else None,
        "days": -((present - end) // timedelta(days=1)) if access and end else None,
        "way": ladder.way(invoice),
        "tried": tried,
    }
    key = f"dun:{invoice.stripe_id}:{number}"
    owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause)


def tell_of_the_end(
    session: Session,
    user: User,
    row: Subscription,
    invoice: Invoice | None,
    ended: datetime | None,
    *,
    cause: str | None = None,
) -> None:
    """Owe the last mail: the plan has stopped because ``invoice`` is not paid. What is owed for a plan that Stripe
    keeps can be paid, and brings it back; for one that is over there is nothing to bring back."""
    comes_back = not row.final and invoice is not None and invoice.status == "open"
    known = invoice.stripe_id if invoice else row.latest_invoice or row.stripe_id
    facts = {"subscription": row.stripe_id, "invoice": known, "pays": comes_back}
    words = {
        "plan": title(row.plan),
        "amount": format_money(invoice.amount_remaining, invoice.currency) if invoice else None,
        "ended_date": day(ended),
        "end": "over" if row.final else row.status,
        "way": ladder.way(invoice) if invoice else "card",
        "retry_text": declines.retry_text(invoice) if invoice else None,
        # whoever has another plan that runs, or was given access, must not read that their access has ended
        "keeps": has_another(session, row) or bool(comps.holding(session, [user.id])),
    }
    owe(session, "dun5", f"dun:{known}:5", user.email, facts, words=words, user_id=user.id, cause=cause)


def has_another(session: Session, row: Subscription) -> bool:
    """Whether another subscription of the person runs."""
    other = select(Subscription.id).where(
        Subscription.user_id == row.user_id, Subscription.id != row.id, Subscription.status.in_(LIVE)
    )
    return session.execute(other.limit(1)).first() is not None


def keys(invoice: str, since: int = 1) -> list[str]:
    """The keys of an invoice's notices from this stage on."""
    return [f"dun:{invoice}:{number}" for number in STAGES if number >= since]


def told(session: Session, invoice: str, number: int) -> bool:
    """Whether the notice of this stage or of a later one was owed before, whatever became of it."""
    return bool(
        session.execute(select(exists().where(Notice.dedupe_key.in_(keys(invoice, number))))).scalar()
    )


def of_a_change(invoice: Invoice, subscription: Subscription | None) -> bool:
    """Whether it is what a change of plan or seats would cost, which waits for its payment."""
    coming = subscription.coming if subscription else None
    waits = coming is not None and coming["kind"] == "pending"
    return waits and subscription is not None and subscription.latest_invoice == invoice.stripe_id


def _invoice_words(invoice: Invoice, subscription: Subscription | None) -> dict[str, Any]:
    amount = invoice.amount_paid if invoice.status == "paid" else invoice.amount_remaining
    return {
        "number": invoice.number,
        "plan": title(subscription.plan if subscription else None),
        "amount": format_money(amount, invoice.currency),
        "description": invoice.description,
        "paid_date": day(invoice.paid_at),
    }

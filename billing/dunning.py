"""Step 4 of 5: which notice a state owes, once.

The state decides, not the event that brought it: an open invoice with one failed try owes the first
notice, with two the reminder, with three or more the warning, each at most once because its
``dedupe_key`` is unique. Just before a mail leaves, ``still_true`` asks whether it is still so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing import declines, language, running
from billing.models import AuthToken, Dispute, Invoice, Notice, Payment, Subscription, User
from billing.models.subscriptions import FINAL
from billing.money import format_money, part
from billing.readers import speaking_to_admins, to_the_reader
from billing.standing import LIVE
from billing.syncing import Cause
from billing.words import day, means

STAGES = {1: "dun1", 2: "dun2", 3: "dun3"}
DUNNING = frozenset({"dun1", "dun2", "dun3", "action_required"})
# A paid invoice that we learn of later than this gets no receipt: nobody wants last year's mail today.
NEWS = timedelta(days=3)
# What must still be so of the subscription when a mail about it leaves.
STILL: dict[str, Callable[[Subscription], bool]] = {
    "cancel_set": lambda row: not row.final and row.ends_at is not None,
    "kept": lambda row: not row.final and row.ends_at is None,
    "trial_end": lambda row: row.status == "trialing" and row.ends_at is None,
    "paused": lambda row: row.status == "paused",
    "resuming": lambda row: row.status == "paused" and row.resumes_at is not None,
    "dun5": lambda row: row.final or row.status == "unpaid",
}


def owe(
    session: Session,
    kind: str,
    key: str,
    to: str,
    facts: dict[str, Any],
    *,
    words: dict[str, Any] | None = None,
    user_id: int | None = None,
    secret: str | None = None,
    cause: str | None = None,
) -> None:
    """Queue one mail in the caller's transaction; a second one of the same key is the first.

    ``facts`` are ids and numbers that may decide something later; ``words`` are for the reader alone, and nothing ever
    looks at them. They are in the locale that is spoken here, and the mail will be: call it inside
    ``readers.speaking_to`` (or below ``readers.to_the_reader``) the person whose mail it is.
    """
    domain = running.config().mail_from.rpartition("@")[2].strip("> ") or "localhost"
    row = insert(Notice).values(
        dedupe_key=key,
        kind=kind,
        user_id=user_id,
        to=to,
        facts={**(words or {}), **facts},  # the release before reads them in one place
        locale=language.locale(),
        secret=secret,
        state="queued",
        message_id=f"<{key.replace(':', '.')}@{domain}>",
        cause_event_id=cause,
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["dedupe_key"]))


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


@to_the_reader
def subscription_written(
    session: Session, user: User, row: Subscription, before: dict[str, Any], cause: Cause
) -> None:
    """What a change of the subscription owes: ending set or taken back, ended, trial about to end."""
    facts = {"subscription": row.stripe_id}
    words = {"plan": title(row.plan), "next_date": day(row.current_period_end), "amount": price(row)}
    if row.ends_at:
        words["access_until"] = day(row.ends_at)
    ending_before = before.get("cancel_at") or before.get("cancel_at_period_end")
    if before and row.status not in FINAL and bool(ending_before) != bool(row.ends_at):
        kind = "cancel_set" if row.ends_at else "kept"
        # Ending, kept and ending again on the same day are three pieces of news.
        mark = f"{row.ends_at.isoformat()}:{row.canceled_at}" if row.ends_at else str(cause.fence)
        key = f"{kind}:{row.stripe_id}:{mark}"
        owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)
    if before.get("status") not in (None, row.status):
        _stopped(session, user, row, words, cause)
    about_to_end = cause.saw("customer.subscription.trial_will_end") and row.ends_at is None
    if row.status == "trialing" and about_to_end and row.trial_end:
        words |= {"trial_end": day(row.trial_end), "card": card(row)}
        key = f"trialend:{row.stripe_id}:{row.trial_end.isoformat()}"
        owe(session, "trial_end", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _stopped(session: Session, user: User, row: Subscription, words: dict[str, Any], cause: Cause) -> None:
    facts = {"subscription": row.stripe_id}
    words = {**words, "ended_date": day(row.ended_at or cause.now)}
    unpaid = row.status == "unpaid" or (
        row.status == "canceled" and row.cancellation_reason == "payment_failed"
    )
    if unpaid:
        key = f"dun:{row.latest_invoice or row.stripe_id}:5"
        owe(session, "dun5", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)
    elif row.status == "canceled":
        # Whoever has another plan that runs must not read that their access has ended.
        kind = "second_ended" if _goes_on(session, row) else "ended"
        key = f"ended:{row.stripe_id}"
        owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _goes_on(session: Session, row: Subscription) -> bool:
    other = select(Subscription.id).where(
        Subscription.user_id == row.user_id, Subscription.id != row.id, Subscription.status.in_(LIVE)
    )
    return session.execute(other.limit(1)).first() is not None


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
        for admin in _admins(session):
            key = f"dispute:{row.stripe_id}:{row.status}:{admin.id}"
            owe(session, "admin_dispute", key, admin.email, facts, words=words, cause=cause.event_id)


def admin_alert(session: Session, key: str, what: str, subject: str) -> None:
    """Tell every admin of something that a person should look at."""
    with speaking_to_admins():
        for admin in _admins(session):
            words = {"what": what, "subject": subject}
            owe(session, "admin_alert", f"ops:{key}:{admin.id}", admin.email, {}, words=words)


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


def _admins(session: Session) -> list[User]:
    return list(session.execute(select(User).where(User.is_admin)).scalars())


def _invoice_words(invoice: Invoice, subscription: Subscription | None) -> dict[str, Any]:
    amount = invoice.amount_paid if invoice.status == "paid" else invoice.amount_remaining
    return {
        "number": invoice.number,
        "plan": title(subscription.plan if subscription else None),
        "amount": format_money(amount, invoice.currency),
        "description": invoice.description,
        "paid_date": day(invoice.paid_at),
    }


def title(item: str | None) -> str:
    """The catalogue's name for people."""
    catalogue = running.catalogue()
    return catalogue.title(item)


def by_the_seat(item: str | None) -> bool:
    """Whether this plan is sold by the seat."""
    plan = running.catalogue().plan(item) if item else None
    return plan is not None and plan.seats is not None


def price(row: Subscription) -> str | None:
    """What the next period costs, less what is taken off it, formatted; None where the price has no fixed amount."""
    if row.amount is None:
        return None
    due = row.amount * row.quantity
    begins = int(row.current_period_end.timestamp()) if row.current_period_end else 0
    for one in row.discounts or []:
        if one["end"] is None or one["end"] > begins:
            due -= part(due, one["percent_off"] or 0) + (one["amount_off"] or 0)
    return format_money(max(due, 0), row.currency)


def card(row: Subscription) -> str | None:
    """“Visa ending 4242”, or None."""
    return means(row.card_brand, row.card_last4)

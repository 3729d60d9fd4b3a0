"""What a change of a subscription owes its owner: of its ending, of its plan, of a trial's beginning and end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import dunning, invoices, ladder
from billing.dunning import NEWS
from billing.labels import card, price, title
from billing.models import Invoice, Subscription, User
from billing.models.subscriptions import FINAL
from billing.money import format_money
from billing.notices import owe
from billing.readers import to_the_reader
from billing.syncing import Cause
from billing.words import day

RUNNING = ("trialing", "active", "past_due")
# What a change may be of; the first that differs gives it its name.
WHAT_CHANGES = ("plan", "interval", "quantity", "amount")


@to_the_reader
def subscription_written(
    session: Session, user: User, row: Subscription, before: dict[str, Any], cause: Cause
) -> None:
    """What a change of the subscription owes: of its ending, of its plan, of a trial."""
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
    if row.status == "trialing" and before.get("status") != "trialing":
        _trial_began(session, user, row, words, cause)
    if before.get("status") not in (None, "incomplete") and row.status in RUNNING:
        _changed(session, user, row, before, words, cause)
    about_to_end = cause.saw("customer.subscription.trial_will_end") and row.ends_at is None
    if row.status == "trialing" and about_to_end and row.trial_end:
        words |= {"trial_end": day(row.trial_end), "card": card(row)}
        key = f"trialend:{row.stripe_id}:{row.trial_end.isoformat()}"
        owe(session, "trial_end", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _trial_began(
    session: Session, user: User, row: Subscription, words: dict[str, Any], cause: Cause
) -> None:
    """Once, as it begins: not of one that is set to end, and not of one that we hear of days later."""
    began = row.current_period_start or row.created
    if row.ends_at or row.trial_end is None or (row.clock_time or cause.now) - began > NEWS:
        return
    words = {**words, "trial_end": day(row.trial_end), "card": card(row)}
    facts, key = {"subscription": row.stripe_id}, f"trialstart:{row.stripe_id}"
    owe(session, "trial_start", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _changed(
    session: Session,
    user: User,
    row: Subscription,
    before: dict[str, Any],
    words: dict[str, Any],
    cause: Cause,
) -> None:
    """Another plan, interval, number of seats or price. Each stored change is one: its key has the lease's number."""
    known = (name for name in WHAT_CHANGES if before[name] is not None)
    change = next((name for name in known if before[name] != getattr(row, name)), None)
    if change is None or row.plan is None or before["plan"] is None:
        return
    words = {**words, "before": title(before["plan"]), "paid": _paid_for_it(session, row, before)}
    facts = {
        "subscription": row.stripe_id,
        "change": change,
        "price_id": row.price_id,
        "quantity": row.quantity,
    }
    facts |= {"interval": row.interval, "quantity_before": before["quantity"]}
    key = f"change:{row.stripe_id}:{row.price_id}:{cause.fence}"
    owe(session, "changed", key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _paid_for_it(session: Session, row: Subscription, before: dict[str, Any]) -> str | None:
    """What was paid for the change: by the invoice that came with it, if any did."""
    if row.latest_invoice == before["latest_invoice"]:
        return None
    bill = session.execute(select(Invoice).where(Invoice.stripe_id == row.latest_invoice)).scalar()
    paid = bill is not None and bill.billing_reason == "subscription_update" and bill.amount_paid > 0
    return format_money(bill.amount_paid, bill.currency) if paid and bill else None


def _stopped(session: Session, user: User, row: Subscription, words: dict[str, Any], cause: Cause) -> None:
    facts = {"subscription": row.stripe_id}
    ended = row.ended_at or row.clock_time or cause.now
    words = {**words, "ended_date": day(ended)}
    by_payment = row.status == "canceled" and row.cancellation_reason == "payment_failed"
    if by_payment or ladder.on_hold(row):
        owed = invoices.open_failed(session, row.stripe_id) or _latest(session, row)
        dunning.tell_of_the_end(session, user, row, owed, ended, cause=cause.event_id)
    elif row.status == "canceled":
        # Whoever has another plan that runs must not read that their access has ended.
        kind = "second_ended" if dunning.has_another(session, row) else "ended"
        key = f"ended:{row.stripe_id}"
        owe(session, kind, key, user.email, facts, words=words, user_id=user.id, cause=cause.event_id)


def _latest(session: Session, row: Subscription) -> Invoice | None:
    return session.execute(select(Invoice).where(Invoice.stripe_id == row.latest_invoice)).scalar()

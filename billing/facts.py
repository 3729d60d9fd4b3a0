"""From our rows to the facts that ``standing`` reads. One query for each kind of row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session

from billing import comps, declines, labels, plan_change
from billing.clock import from_stripe
from billing.config import Config
from billing.invoices import begun_unpaid
from billing.models import Comp, Dispute, Invoice, Payment, Subscription
from billing.models.subscriptions import speaking_rank
from billing.money import format_money
from billing.standing import OPEN_DISPUTES, Facts, Policy, Standing, standing

# Made once (``people.OF_CUSTOMER``): every page asks them, and to put them together takes longer than to ask.
SPEAKING = (
    select(Subscription)
    .where(Subscription.user_id == bindparam("user_id"))
    .order_by(speaking_rank(Subscription), Subscription.created.desc(), Subscription.id.desc())
    .limit(1)
)
MINE = Invoice.subscription == bindparam("plan")
LAST_PAID = (
    select(Invoice.id)
    .where(MINE, Invoice.status == "paid", Invoice.amount_paid > 0)
    .order_by(Invoice.created.desc())
    .limit(1)
    .scalar_subquery()
)
BILLS = (
    select(Invoice)
    .where(MINE, or_(Invoice.status == "open", Invoice.id == LAST_PAID))
    .order_by(Invoice.created, Invoice.id)
)
BILLED = select(Invoice.paid_at).where(Invoice.payment_intent == Dispute.payment_intent).limit(1)
BOUGHT = select(Payment.created).where(Payment.payment_intent == Dispute.payment_intent)
OPEN_DISPUTE = (
    select(Dispute, func.coalesce(BILLED.scalar_subquery(), BOUGHT.scalar_subquery()))
    .where(Dispute.user_id == bindparam("user_id"), Dispute.status.in_(OPEN_DISPUTES))
    .order_by(Dispute.created.desc())
    .limit(1)
)


def subscription_of(session: Session, user_id: int) -> Subscription | None:
    """The row that speaks for the person (``speaking_rank``)."""
    return session.execute(SPEAKING, {"user_id": user_id}).scalar()


def standing_of(
    session: Session, user_id: int, config: Config, now: datetime, *, unreachable: bool = False
) -> Standing:
    """The person's standing at Stripe's present moment: that of the test clock where there is one."""
    row = subscription_of(session, user_id)
    comp = comps.holding(session, [user_id]).get(user_id)
    return standing_by(session, user_id, row, comp, config, now, unreachable=unreachable)


def standing_by(
    session: Session,
    user_id: int,
    row: Subscription | None,
    comp: Comp | None,
    config: Config,
    now: datetime,
    *,
    unreachable: bool = False,
) -> Standing:
    """The same, where the row that speaks for the person and what an admin gave them are known already."""
    facts = gather(session, user_id, row, comp, unreachable=unreachable)
    moment = row.clock_time if row is not None and row.clock_time else now
    return standing(facts, Policy.of(config), moment)


def gather(
    session: Session,
    user_id: int,
    row: Subscription | None,
    comp: Comp | None,
    *,
    unreachable: bool = False,
) -> Facts:
    """Everything that ``standing`` may ask, from rows that applied events wrote and what an admin gave."""
    if row is None:
        return of_rows(None, comp=comp)
    dispute, disputed_paid_at = _open_dispute(session, user_id)
    bills, paid = _bills(session, row)
    return of_rows(
        row,
        bills,
        dispute,
        paid,
        comp=comp,
        disputed_paid_at=disputed_paid_at,
        unreachable=unreachable,
    )


def of_rows(
    row: Subscription | None,
    bills: Sequence[Invoice] = (),
    dispute: Dispute | None = None,
    paid: Invoice | None = None,
    *,
    comp: Comp | None = None,
    disputed_paid_at: datetime | None = None,
    unreachable: bool = False,
) -> Facts:
    """The facts of a subscription with its open invoices (oldest first), what is disputed and was last paid."""
    given = _given(comp) if comp else {}
    if row is None:
        return Facts(**given)
    pause, known = row.pause_collection or {}, row.known or {}
    return Facts(
        status=row.status,
        plan=row.plan,
        plan_title=labels.title(row.plan),
        price=labels.price(row),
        interval=row.interval,
        quantity=row.quantity,
        seats=labels.by_the_seat(row.plan),
        status_reason=row.status_reason,
        current_period_end=row.current_period_end,
        trial_end=row.trial_end,
        trial_end_behavior=row.trial_end_behavior,
        ends_at=row.ends_at,
        ended_at=row.ended_at,
        created=row.created,
        cancellation_reason=row.cancellation_reason,
        pause_behavior=pause.get("behavior"),
        pause_resumes_at=from_stripe(pause.get("resumes_at")) or row.resumes_at,
        resumes_at=row.resumes_at,
        card=labels.card(row),
        by_invoice=row.collection_method == "send_invoice",
        disputed=format_money(dispute.amount, dispute.currency) if dispute else None,
        disputed_at=dispute.created if dispute else None,
        disputed_paid_at=disputed_paid_at,
        last_paid=format_money(paid.amount_paid, paid.currency) if paid else None,
        last_paid_at=paid.paid_at if paid else None,
        known=known.get("status"),
        known_plan=known.get("plan"),
        known_at=datetime.fromisoformat(known["at"]) if known else None,
        fetched_at=row.fetched_at,
        unreachable=unreachable,
        **_owing(row, bills),
        **_coming(row),
        **given,
    )


def _given(comp: Comp) -> dict[str, Any]:
    return {
        "comp_plan": comp.plan,
        "comp_title": labels.title(comp.plan),
        "comp_since": comp.given_at,
        "comp_until": comp.until,
    }


def _owing(row: Subscription, bills: Sequence[Invoice]) -> dict[str, Any]:
    """The oldest open invoice that failed; of a plan that is paid by invoice or has ended, the oldest open one."""
    failed = next((bill for bill in bills if bill.first_failed_at), None)
    never_paid = begun_unpaid(row, bills)
    first = any(bill.processing and bill.billing_reason == "subscription_create" for bill in bills)
    first = first or (never_paid and failed is None)
    sent = next(iter(bills), None) if row.collection_method == "send_invoice" or row.final else None
    owed = failed or sent
    if owed is None:
        return {"processing": first, "never_paid": never_paid, "first_failed_at": row.first_failed_at}
    return {
        "processing": first,
        "never_paid": never_paid,
        "first_failed_at": row.first_failed_at or _waiting_since(row, owed),
        "owed": format_money(owed.amount_remaining, owed.currency),
        "owed_invoice": owed.stripe_id,
        "owed_number": owed.number,
        "due_at": owed.due_date or owed.first_failed_at,
        "needs_action": owed.needs_action,
        # whoever is sent an invoice has no card that was declined
        "decline_text": declines.reason(owed.decline_code) if failed and owed.due_date is None else None,
        "retry_text": declines.retry_text(owed),
        "will_retry": declines.will_retry(owed.decline_code, owed.next_payment_attempt),
        "next_attempt": owed.next_payment_attempt,
    }


def _waiting_since(row: Subscription, owed: Invoice) -> datetime | None:
    """A bank that waits for a confirmation starts the grace, though Stripe may still call the plan active."""
    return owed.first_failed_at if owed.needs_action and row.status != "incomplete" else None


def _coming(row: Subscription) -> dict[str, Any]:
    coming = row.coming or {}
    amount = coming.get("amount")
    return {
        "change": coming.get("kind"),
        "change_to": labels.title(coming["plan"]) if coming.get("plan") else None,
        "change_price": None if amount is None else format_money(amount, coming["currency"]),
        # how many seats there will be, where it is only their number that changes
        "change_quantity": coming.get("quantity") if coming.get("price") == row.price_id else None,
        "change_at": plan_change.at(row),
    }


def open_bills(session: Session, subscriptions: Sequence[str]) -> Sequence[Invoice]:
    """Their open invoices, the oldest first."""
    found = select(Invoice).where(Invoice.subscription.in_(subscriptions), Invoice.status == "open")
    return session.execute(found.order_by(Invoice.created, Invoice.id)).scalars().all()


def _bills(session: Session, row: Subscription) -> tuple[list[Invoice], Invoice | None]:
    """The open invoices, the oldest first, and the last one that was paid and cost something; one query."""
    rows = session.execute(BILLS, {"plan": row.stripe_id}).scalars().all()
    return [one for one in rows if one.status == "open"], next(
        (one for one in rows if one.status == "paid"), None
    )


def _open_dispute(session: Session, user_id: int) -> tuple[Dispute | None, datetime | None]:
    """The newest open one, and when what is disputed was paid, be it an invoice or a one-off purchase; one query."""
    first = session.execute(OPEN_DISPUTE, {"user_id": user_id}).first()
    return (first[0], first[1]) if first else (None, None)

"""From our rows to the facts that ``standing`` reads. One query for each kind of row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import declines, dunning, plan_change
from billing.clock import from_stripe
from billing.config import Config
from billing.invoices import open_failed
from billing.models import Dispute, Invoice, Subscription
from billing.models.subscriptions import speaking_rank
from billing.money import format_money
from billing.standing import OPEN_DISPUTES, Facts, Policy, Standing, standing


def subscription_of(session: Session, user_id: int) -> Subscription | None:
    """The row that speaks for the person (``speaking_rank``)."""
    found = select(Subscription).where(Subscription.user_id == user_id)
    first = found.order_by(speaking_rank(Subscription), Subscription.created.desc(), Subscription.id.desc())
    return session.execute(first.limit(1)).scalar()


def standing_of(
    session: Session, user_id: int, config: Config, now: datetime, *, unreachable: bool = False
) -> Standing:
    """The person's standing at Stripe's present moment: that of the test clock where there is one."""
    row = subscription_of(session, user_id)
    facts = gather(session, user_id, row, unreachable=unreachable)
    moment = row.clock_time if row is not None and row.clock_time else now
    return standing(facts, Policy(grace_days=config.grace_days), moment)


def gather(session: Session, user_id: int, row: Subscription | None, *, unreachable: bool = False) -> Facts:
    """Everything that ``standing`` may ask, from rows that were written by applied events."""
    if row is None:
        return Facts()
    owed, dispute = open_failed(session, row.stripe_id), _open_dispute(session, user_id)
    return of_rows(row, owed, dispute, _last_paid(session, row), unreachable=unreachable)


def of_rows(
    row: Subscription,
    owed: Invoice | None,
    dispute: Dispute | None,
    paid: Invoice | None,
    *,
    unreachable: bool = False,
) -> Facts:
    """The facts of a subscription with what is owed, disputed and was last paid."""
    pause, coming = row.pause_collection or {}, row.coming or {}
    return Facts(
        status=row.status,
        plan=row.plan,
        plan_title=dunning.title(row.plan),
        price=dunning.price(row),
        interval=row.interval,
        quantity=row.quantity,
        seats=dunning.by_the_seat(row.plan),
        status_reason=row.status_reason,
        current_period_end=row.current_period_end,
        trial_end=row.trial_end,
        ends_at=row.ends_at,
        ended_at=row.ended_at,
        created=row.created,
        cancellation_reason=row.cancellation_reason,
        pause_behavior=pause.get("behavior"),
        pause_resumes_at=from_stripe(pause.get("resumes_at")),
        card=dunning.card(row),
        change=coming.get("kind"),
        change_to=dunning.title(coming["plan"]) if coming.get("plan") else None,
        change_price=_coming_price(coming),
        change_quantity=_seats_to_come(row, coming),
        change_at=plan_change.at(row),
        first_failed_at=row.first_failed_at or (owed.first_failed_at if owed and owed.needs_action else None),
        owed=format_money(owed.amount_remaining, owed.currency) if owed else None,
        owed_invoice=owed.stripe_id if owed else None,
        owed_number=owed.number if owed else None,
        needs_action=bool(owed and owed.needs_action),
        decline_text=declines.reason(owed.decline_code) if owed else None,
        retry_text=dunning.retry_text(owed) if owed else None,
        next_attempt=owed.next_payment_attempt if owed else None,
        last_paid=format_money(paid.amount_paid, paid.currency) if paid else None,
        last_paid_at=paid.paid_at if paid else None,
        disputed=format_money(dispute.amount, dispute.currency) if dispute else None,
        fetched_at=row.fetched_at,
        unreachable=unreachable,
    )


def _coming_price(coming: dict[str, Any]) -> str | None:
    amount = coming.get("amount")
    return None if amount is None else format_money(amount, coming["currency"])


def _seats_to_come(row: Subscription, coming: dict[str, Any]) -> int | None:
    """How many seats there will be, where it is only their number that changes."""
    return coming.get("quantity") if coming.get("price") == row.price_id else None


def _last_paid(session: Session, row: Subscription) -> Invoice | None:
    found = (
        select(Invoice)
        .where(Invoice.subscription == row.stripe_id, Invoice.status == "paid", Invoice.amount_paid > 0)
        .order_by(Invoice.created.desc())
    )
    return session.execute(found.limit(1)).scalar()


def _open_dispute(session: Session, user_id: int) -> Dispute | None:
    found = select(Dispute).where(Dispute.user_id == user_id, Dispute.status.in_(OPEN_DISPUTES))
    return session.execute(found.order_by(Dispute.created.desc()).limit(1)).scalar()

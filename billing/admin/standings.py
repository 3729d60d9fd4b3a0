"""The standings of many people at once: two queries for a page, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing import declines, dunning
from billing.config import Config
from billing.models import Dispute, Invoice, Subscription
from billing.money import format_money
from billing.standing import OPEN_DISPUTES, Facts, Policy, Standing, standing


def standings(
    session: Session, rows: Sequence[Subscription], config: Config, now: datetime
) -> dict[int, Standing]:
    """The standing of each row's user, by user id: the same code as on the person's own page.

    Only the facts that decide the code and the next date are gathered; what a page says beyond these
    comes from ``facts.standing_of``.
    """
    ids = [row.user_id for row in rows]
    owed = {one.subscription: one for one in _oldest_owed(session, rows)} if ids else {}
    disputed = {one.user_id: one for one in _newest_dispute(session, ids)} if ids else {}
    policy = Policy(grace_days=config.grace_days)
    return {
        row.user_id: standing(
            _facts(row, owed.get(row.stripe_id), disputed.get(row.user_id)), policy, row.clock_time or now
        )
        for row in rows
    }


def _oldest_owed(session: Session, rows: Sequence[Subscription]) -> Sequence[Invoice]:
    """What ``invoices.open_failed`` finds for each one."""
    found = (
        select(Invoice)
        .where(
            Invoice.subscription.in_([row.stripe_id for row in rows]),
            Invoice.status == "open",
            Invoice.first_failed_at.is_not(None),
        )
        .ext(distinct_on(Invoice.subscription))
        .order_by(Invoice.subscription, Invoice.created)
    )
    return session.execute(found).scalars().all()


def _newest_dispute(session: Session, ids: list[int]) -> Sequence[Dispute]:
    found = (
        select(Dispute)
        .where(Dispute.user_id.in_(ids), Dispute.status.in_(OPEN_DISPUTES))
        .ext(distinct_on(Dispute.user_id))
        .order_by(Dispute.user_id, Dispute.created.desc())
    )
    return session.execute(found).scalars().all()


def _facts(row: Subscription, owed: Invoice | None, dispute: Dispute | None) -> Facts:
    asked = owed is not None and owed.needs_action
    return Facts(
        status=row.status,
        plan=row.plan,
        plan_title=dunning.title(row.plan),
        price=dunning.price(row),
        status_reason=row.status_reason,
        current_period_end=row.current_period_end,
        trial_end=row.trial_end,
        ends_at=row.ends_at,
        ended_at=row.ended_at,
        cancellation_reason=row.cancellation_reason,
        pause_behavior=(row.pause_collection or {}).get("behavior"),
        card=dunning.card(row),
        schedule=row.schedule is not None,
        first_failed_at=row.first_failed_at or (owed.first_failed_at if owed and asked else None),
        needs_action=asked,
        decline_text=declines.reason(owed.decline_code) if owed else None,
        retry_text=dunning.retry_text(owed) if owed else None,
        next_attempt=owed.next_payment_attempt if owed else None,
        disputed=format_money(dispute.amount, dispute.currency) if dispute else None,
        disputed_at=dispute.created if dispute else None,
        fetched_at=row.fetched_at,
    )

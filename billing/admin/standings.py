"""The standings of many people at once: three queries for a page, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing import facts
from billing.config import Config
from billing.invoices import begun_unpaid
from billing.models import Dispute, Invoice, Subscription
from billing.standing import OPEN_DISPUTES, Policy, Standing, standing


def standings(
    session: Session, rows: Sequence[Subscription], config: Config, now: datetime
) -> dict[int, Standing]:
    """The standing of each row's user, by user id: the same code as on the person's own page.

    What was last paid decides nothing and is left out; a page that says it asks ``facts.standing_of``.
    """
    ids = [row.user_id for row in rows]
    owed = {one.subscription: one for one in _oldest_owed(session, rows)} if ids else {}
    disputed = {one.user_id: one for one in _newest_dispute(session, ids)} if ids else {}
    begun = begun_unpaid(session, rows)
    policy = Policy(grace_days=config.grace_days)
    return {
        row.user_id: standing(
            facts.of_rows(
                row,
                owed.get(row.stripe_id),
                disputed.get(row.user_id),
                None,
                first_unpaid=row.stripe_id in begun,
            ),
            policy,
            row.clock_time or now,
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

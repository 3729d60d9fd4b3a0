"""The standings of many people at once: two queries for a page, whatever its size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing import facts
from billing.config import Config
from billing.invoices import begun_unpaid
from billing.models import Dispute, Invoice, Subscription
from billing.standing import OPEN_DISPUTES, Facts, Policy, Standing, standing


def standings(
    session: Session, rows: Sequence[Subscription], config: Config, now: datetime
) -> dict[int, Standing]:
    """The standing of each row's user, by user id: the same code as on the person's own page.

    What was last paid decides nothing and is left out; a page that says it asks ``facts.standing_of``.
    """
    ids = [row.user_id for row in rows]
    bills = _open_bills(session, rows) if ids else {}
    disputed = {one.user_id: one for one in _newest_dispute(session, ids)} if ids else {}
    policy = Policy(grace_days=config.grace_days)
    return {
        row.user_id: standing(
            _facts(row, bills.get(row.stripe_id, []), disputed.get(row.user_id)),
            policy,
            row.clock_time or now,
        )
        for row in rows
    }


def _facts(row: Subscription, bills: list[Invoice], dispute: Dispute | None) -> Facts:
    owed = next((one for one in bills if one.first_failed_at), None)
    return facts.of_rows(row, owed, dispute, None, never_paid=begun_unpaid(row, bills))


def _open_bills(session: Session, rows: Sequence[Subscription]) -> dict[str | None, list[Invoice]]:
    """What ``invoices.open_bills`` finds for each one."""
    found = select(Invoice).where(
        Invoice.subscription.in_([row.stripe_id for row in rows]), Invoice.status == "open"
    )
    bills: dict[str | None, list[Invoice]] = defaultdict(list)
    for one in session.execute(found.order_by(Invoice.created)).scalars():
        bills[one.subscription].append(one)
    return bills


def _newest_dispute(session: Session, ids: list[int]) -> Sequence[Dispute]:
    found = (
        select(Dispute)
        .where(Dispute.user_id.in_(ids), Dispute.status.in_(OPEN_DISPUTES))
        .ext(distinct_on(Dispute.user_id))
        .order_by(Dispute.user_id, Dispute.created.desc())
    )
    return session.execute(found).scalars().all()

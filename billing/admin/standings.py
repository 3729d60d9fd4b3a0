"""The standings of many people at once: three queries for a page, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing import comps, facts
from billing.config import Config
from billing.models import Dispute, Invoice, Subscription
from billing.standing import OPEN_DISPUTES, Policy, Standing, standing


def standings(
    session: Session, people: Sequence[tuple[int, Subscription | None]], config: Config, now: datetime
) -> dict[int, Standing]:
    """The standing of each person, by user id, from the subscription that speaks for them: as on their own page.

    What was last paid, and when, decides nothing and is left out; a page that says it asks ``facts.standing_of``.
    """
    rows = [row for _, row in people if row is not None]
    bills = facts.open_bills(session, [row.stripe_id for row in rows]) if rows else []
    by_plan = {plan: list(some) for plan, some in groupby(sorted(bills, key=_plan), _plan)}
    disputed = {one.user_id: one for one in _newest_dispute(session, [row.user_id for row in rows])}
    given = comps.holding(session, [user_id for user_id, _ in people]) if people else {}
    policy = Policy.of(config)
    return {
        user_id: standing(
            facts.of_rows(
                row,
                by_plan.get(row.stripe_id, []) if row else [],
                disputed.get(user_id),
                comp=given.get(user_id),
            ),
            policy,
            (row.clock_time if row else None) or now,
        )
        for user_id, row in people
    }


def _plan(bill: Invoice) -> str:
    return bill.subscription or ""


def _newest_dispute(session: Session, ids: list[int]) -> Sequence[Dispute]:
    if not ids:
        return []
    found = (
        select(Dispute)
        .where(Dispute.user_id.in_(ids), Dispute.status.in_(OPEN_DISPUTES))
        .ext(distinct_on(Dispute.user_id))
        .order_by(Dispute.user_id, Dispute.created.desc())
    )
    return session.execute(found).scalars().all()

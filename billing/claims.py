"""Events as work: who has them now, what became of them, and when they are tried again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from billing import audit
from billing.clock import now
from billing.errors import DunlinError, StripeError
from billing.models import StripeEvent
from billing.syncing import Outcome

log = logging.getLogger(__name__)

CLAIM = timedelta(seconds=90)
BATCH = 100
# 5 s, 10 s, 20 s … 4 h: the eighteenth failure comes more than a day after the first.
MAX_ATTEMPTS = 18
LONGEST_WAIT = 4 * 3600
# Stripe not answering is no failure of the event: it is asked again soon, as often as it takes.
AWAY = timedelta(seconds=30)


class Due(NamedTuple):
    """What a claimed event is about: plain values, so that no transaction is opened by reading them."""

    event_id: str
    type: str
    subject: str | None
    object_id: str | None
    customer_id: str | None
    source: str
    received_at: datetime

    @property
    def lease_name(self) -> str:
        """One writer for each customer, hence for each subscription; by object where no customer is named."""
        return self.customer_id or self.subject or self.event_id


def claim(session: Session, which: Select[str]) -> list[Due]:
    """Take those of the rows that are pending and that nobody has; commits. Ordered by lease, then by arrival."""
    free = or_(StripeEvent.lease_until.is_(None), StripeEvent.lease_until < func.clock_timestamp())
    mine = which.where(StripeEvent.state == StripeEvent.PENDING, free).with_for_update(skip_locked=True)
    taken = (
        update(StripeEvent)
        .where(StripeEvent.event_id.in_(mine))
        .values(lease_until=now() + CLAIM)
        .returning(*(getattr(StripeEvent, name) for name in Due._fields))
        .execution_options(synchronize_session=False)
    )
    events = [Due(*row) for row in session.execute(taken)]
    session.commit()
    return sorted(events, key=lambda event: (event.lease_name, event.received_at, event.event_id))


def due(types: Iterable[str]) -> Select[str]:
    """Rows of these types whose time has come; a type that this version doesn't know waits for one that does."""
    return (
        select(StripeEvent.event_id)
        .where(
            StripeEvent.next_attempt_at <= func.clock_timestamp(),
            StripeEvent.type.in_(types),
        )
        .order_by(StripeEvent.next_attempt_at)
        .limit(BATCH)
    )


def parked(session: Session) -> list[str]:
    """Every event that was given up, oldest first. Ends the transaction that read it."""
    found = select(StripeEvent.event_id).where(StripeEvent.state == StripeEvent.PARKED)
    ids = list(session.execute(found.order_by(StripeEvent.received_at)).scalars())
    session.rollback()
    return ids


def mark(session: Session, ids: Iterable[str], outcome: Outcome) -> None:
    """Close the events with what became of them, in the transaction that wrote it. The caller commits."""
    session.execute(
        update(StripeEvent)
        .where(StripeEvent.event_id.in_(ids))
        .values(
            state=StripeEvent.IGNORED if outcome.ignored else StripeEvent.APPLIED,
            reason=outcome.ignored,
            user_id=outcome.user_id,
            applied_at=func.clock_timestamp(),
            attempts=StripeEvent.attempts + 1,
            lease_until=None,
        )
    )


def put_back(session: Session, events: list[Due]) -> None:
    """Give the events back untried, for a second from now; commits."""
    ids = [event.event_id for event in events]
    later = {"lease_until": None, "next_attempt_at": now() + timedelta(seconds=1)}
    session.execute(update(StripeEvent).where(StripeEvent.event_id.in_(ids)).values(**later))
    session.commit()


def retry_later(session: Session, ids: list[str], problem: Exception) -> None:
    """Keep the events, with the reason; park them after a day of failures. Stripe being away parks nothing."""
    passing = isinstance(problem, StripeError) and problem.retry
    reason = str(problem) if isinstance(problem, DunlinError) else type(problem).__name__
    if not isinstance(problem, DunlinError):
        log.error("event not applied", exc_info=problem, extra={"events": ids})
    for event in session.execute(select(StripeEvent).where(StripeEvent.event_id.in_(ids))).scalars():
        event.lease_until, event.reason = None, reason
        if passing:
            event.next_attempt_at = now() + AWAY
            continue
        event.attempts += 1
        wait = min(5 * 2 ** min(event.attempts - 1, 20), LONGEST_WAIT)
        event.next_attempt_at = now() + timedelta(seconds=wait)
        if event.attempts >= MAX_ATTEMPTS:
            event.state = StripeEvent.PARKED
            audit.record(
                session,
                "event.parked",
                actor="dunlin",
                subject=event.subject,
                cause=event.event_id,
                alert=True,
            )
    session.commit()

"""Events as work: who has them now, what became of them, and when they are tried again.

Every time here is the database's: processes whose clocks differ share these rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, TextClause, and_, func, select, text, tuple_, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from billing import audit
from billing.errors import DunlinError, StripeError
from billing.models import StripeEvent
from billing.syncing import Outcome

log = logging.getLogger(__name__)

# A dead worker's events are applied within a minute: after at most 40 seconds its claims and its lease
# (``leases.SECONDS``) are over, the clock's sweep comes every 10 (``timetable.duties``) plus a tick of 5, and 5
# are left to apply them. Whoever lives renews its claim on each part of a batch as it begins it, so a batch may
# take longer.
CLAIM = timedelta(seconds=40)
BATCH = 100
# With a full batch come so many more of what waits about the same things: one question to Stripe serves them all.
COMPANIONS = 5000
# 5 s, 10 s, 20 s … 4 h: the eighteenth failure comes more than a day after the first.
MAX_ATTEMPTS = 18
LONGEST_WAIT = 4 * 3600
# Stripe or the database not answering is no failure of the event: it is tried again soon, as often as it takes.
AWAY = timedelta(seconds=30)
DISTURBED = timedelta(seconds=2)
READ_ONLY_OR_TOO_IDLE = "25"  # a class of SQLSTATEs: a demoted server, a transaction that idled too long
# Written down, since each applied event sends them: to put them together anew takes five times as long.
RENEW = text(
    "update stripe_events set lease_until = statement_timestamp() + make_interval(secs => :seconds)"
    " where state = 'pending' and (event_id, lease_until) in"
    " (select * from unnest(cast(:ids as text[]), cast(:ends as timestamptz[]))) returning event_id, lease_until"
)
# One moment for all of them: who asks later what came of one finds those that were applied with it.
MARK = text(
    "update stripe_events set state = :state, reason = :reason, user_id = :user_id, attempts = attempts + 1,"
    " lease_until = null, took_ms = :took_ms, applied_at = (select clock_timestamp())"
    " where event_id = any(cast(:ids as text[]))"
)


class Due(NamedTuple):
    """What a claimed event is about: plain values, so that no transaction is opened by reading them."""

    event_id: str
    type: str
    subject: str | None
    object_id: str | None
    customer_id: str | None
    source: str
    received_at: datetime
    lease_until: datetime | None = (
        None  # the end of our claim, and its proof: nobody else's ends at the same instant
    )

    @property
    def lease_name(self) -> str:
        """One writer for each customer, hence for each subscription; by object where no customer is named."""
        return self.customer_id or self.subject or self.event_id


# The rows are chosen once, before the first is taken: a plan may ask a mere subquery anew for each row, which each time
# skips what is taken already, so that its limit would bound nothing.
TAKE = (
    "with chosen as materialized (select event_id from stripe_events where state = 'pending'"
    " and (lease_until is null or lease_until < clock_timestamp()) and WHICH for update skip locked)"
    " update stripe_events set lease_until = statement_timestamp() + make_interval(secs => :seconds)"
    " where event_id in (select event_id from chosen) returning COLUMNS"
).replace("COLUMNS", ", ".join(Due._fields))
# A type that this version doesn't know waits for one that does.
IS_DUE = "next_attempt_at <= clock_timestamp() and type = any(cast(:types as text[]))"
OF_THESE = " and subject = any(cast(:subjects as text[]))"
THE_FIRST = " order by next_attempt_at limit :most"
TAKE_DUE = text(TAKE.replace("WHICH", IS_DUE + THE_FIRST))
TAKE_COMPANIONS = text(TAKE.replace("WHICH", IS_DUE + OF_THESE + THE_FIRST))
TAKE_ONE = text(TAKE.replace("WHICH", "event_id = :of"))


def claim_one(session: Session, event_id: str) -> list[Due]:
    """Take this event where it is pending and nobody has it; commits."""
    return _claim(session, TAKE_ONE, of=event_id)


def _claim(session: Session, taking: TextClause, **which: object) -> list[Due]:
    """Commits. Ordered by lease, then by arrival."""
    events = [Due(*row) for row in session.execute(taking, {"seconds": CLAIM.total_seconds(), **which})]
    session.commit()
    return sorted(events, key=_place)


def renew(session: Session, events: list[Due]) -> list[Due]:
    """Begin our claim's time anew, and commit. Returns the events that nobody else has taken over meanwhile."""
    ids, ends = [event.event_id for event in events], [event.lease_until for event in events]
    values = {"ids": ids, "ends": ends, "seconds": CLAIM.total_seconds()}
    until: dict[str, datetime] = {row.event_id: row.lease_until for row in session.execute(RENEW, values)}
    session.commit()
    return [event._replace(lease_until=until[event.event_id]) for event in events if event.event_id in until]


def claim_due(session: Session, types: Iterable[str]) -> list[Due]:
    """Take a batch of what is due, and where that is not all, the rest of what waits about the same things; commits."""
    known = list(types)
    batch = _claim(session, TAKE_DUE, types=known, most=BATCH)
    if len(batch) < BATCH:
        return batch
    about = list({event.subject for event in batch})
    more = _claim(session, TAKE_COMPANIONS, types=known, subjects=about, most=COMPANIONS)
    return sorted([*batch, *more], key=_place)


def _place(event: Due) -> tuple[str, datetime, str]:
    return event.lease_name, event.received_at, event.event_id


def parked(session: Session) -> list[str]:
    """Every event that was given up, oldest first. Ends the transaction that read it."""
    found = select(StripeEvent.event_id).where(StripeEvent.state == StripeEvent.PARKED)
    ids = list(session.execute(found.order_by(StripeEvent.received_at)).scalars())
    session.rollback()
    return ids


def mark(session: Session, ids: Iterable[str], outcome: Outcome, took_ms: int) -> None:
    """Close the events with what became of them, in the transaction that wrote it. The caller commits.

    ``took_ms``: milliseconds since the work on them began.
    """
    values = {
        "ids": list(ids),
        "state": StripeEvent.IGNORED if outcome.ignored else StripeEvent.APPLIED,
        "reason": outcome.ignored,
        "user_id": outcome.user_id,
        "took_ms": took_ms,
    }
    session.execute(MARK, values)


def put_back(session: Session, events: list[Due]) -> None:
    """Give the events back untried, for a second from now; commits. What somebody else took over is theirs."""
    later = {"lease_until": None, "next_attempt_at": func.clock_timestamp() + timedelta(seconds=1)}
    given = update(StripeEvent).where(_ours(events)).values(**later)
    session.execute(given.execution_options(synchronize_session=False))
    session.commit()


def retry_later(session: Session, events: list[Due], problem: Exception, took_ms: int) -> None:
    """Keep the events, with the reason; park them after a day of failures. What passes by itself parks nothing."""
    pause = _passes_after(problem)
    reason = str(problem) if isinstance(problem, DunlinError) else type(problem).__name__
    if not isinstance(problem, DunlinError):
        level = logging.ERROR if pause is None else logging.WARNING
        log.log(
            level, "event not applied", exc_info=problem, extra={"events": [one.event_id for one in events]}
        )
    found = session.execute(select(StripeEvent).where(_ours(events)).with_for_update()).scalars().all()
    for event in found:
        event.lease_until, event.reason, event.took_ms = None, reason, took_ms
        if pause is not None:
            event.next_attempt_at = func.clock_timestamp() + pause
            continue
        event.attempts += 1
        wait = min(5 * 2 ** min(event.attempts - 1, 20), LONGEST_WAIT)
        event.next_attempt_at = func.clock_timestamp() + timedelta(seconds=wait)
        if event.attempts >= MAX_ATTEMPTS:
            _park(session, event)
    session.commit()


def _passes_after(problem: Exception) -> timedelta | None:
    """How long to wait for what passes by itself; None for a failure of the event.

    The database's passing troubles: a lost connection, a deadlock or serialization failure, a lock or statement
    that took too long, no free connection.
    """
    if isinstance(problem, StripeError):
        return AWAY if problem.retry else None
    if isinstance(problem, OperationalError | PoolTimeout):
        return DISTURBED
    if isinstance(problem, DBAPIError):
        state = getattr(problem.orig, "sqlstate", None) or ""
        return (
            DISTURBED if problem.connection_invalidated or state.startswith(READ_ONLY_OR_TOO_IDLE) else None
        )
    return None


def _park(session: Session, event: StripeEvent) -> None:
    event.state = StripeEvent.PARKED
    cause, subject = event.event_id, event.subject
    audit.record(session, "event.parked", actor="dunlin", subject=subject, cause=cause, alert=True)


def _ours(events: list[Due]) -> ColumnElement[bool]:
    """Those that wait under our claim still."""
    claimed = [(event.event_id, event.lease_until) for event in events]
    return and_(
        StripeEvent.state == StripeEvent.PENDING,
        tuple_(StripeEvent.event_id, StripeEvent.lease_until).in_(claimed),
    )

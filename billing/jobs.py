"""Step 2 of 5: apply what is due.

The event's row is the job. ``apply_due`` claims due rows, takes the lease of the customer they are about,
asks Stripe once for each object, and writes rows, notices and the events' state in one transaction. It may
run any number of times, in any number of processes, and be killed at any instruction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from billing import audit, checkout, clocks, invoices, leases, outbox, payments, running, subscriptions
from billing.clock import now
from billing.errors import DunlinError, StaleLease, StripeError
from billing.extensions import db
from billing.installation import current, public_id
from billing.models import StripeEvent
from billing.payloads import customer
from billing.queues import JobTimeout
from billing.syncing import Cause, Outcome

log = logging.getLogger(__name__)

CLAIM = timedelta(seconds=90)
BATCH = 100
LEASE_WAIT_SECONDS = 5.0
# Shorter than the job's 90 seconds: an RQ timeout inside a call to Stripe would pass for a network error.
WORK_SECONDS = 45.0
# Objects of waiting events that one fetch looks at: each may take Stripe some seconds of the lease's 60.
MOST_OBJECTS = 4
# 5 s, 10 s, 20 s … 4 h: the eighteenth failure comes more than a day after the first.
MAX_ATTEMPTS = 18
LONGEST_WAIT = 4 * 3600
# Stripe not answering is no failure of the event: it is asked again soon, as often as it takes.
AWAY = timedelta(seconds=30)


@dataclass(frozen=True)
class Sync:
    """How one kind of object is brought over: ``fetch(id, ids to look at with it)``, then ``write``.

    ``customer`` says whose the fetched object is, so that it is written under that customer's lease.
    """

    fetch: Callable[[str, list[str]], Any]
    write: Callable[[Session, Any, Cause], Outcome]
    customer: Callable[[Any], str | None]


class Due(NamedTuple):
    """What a claimed event is about: plain values, so that no transaction is opened by reading them."""

    event_id: str
    type: str
    subject: str | None
    object_id: str | None
    customer_id: str | None
    source: str
    received_at: datetime


SUBSCRIPTION = Sync(subscriptions.fetch, subscriptions.write, lambda found: customer(found.subscription))
INVOICE = Sync(invoices.fetch, invoices.write, customer)
SESSION = Sync(checkout.fetch, checkout.write, lambda found: customer(found.session))
PAYMENT = Sync(payments.fetch_intent, payments.write_payment, lambda found: customer(found.intent))
DISPUTE = Sync(payments.fetch_dispute, payments.write_dispute, lambda found: customer(found.get("charge")))
CLOCK = Sync(clocks.fetch, clocks.write, lambda found: None)

# Every event type that is acted on. All others are stored as ignored. An event only says which object
# changed: an invoice's event is about its subscription, if it has one (``payloads.about``).
HANDLERS: dict[str, Sync] = {
    "checkout.session.completed": SESSION,
    "checkout.session.expired": SESSION,
    "checkout.session.async_payment_succeeded": SESSION,
    "checkout.session.async_payment_failed": SESSION,
    "customer.subscription.created": SUBSCRIPTION,
    "customer.subscription.updated": SUBSCRIPTION,
    "customer.subscription.deleted": SUBSCRIPTION,
    "customer.subscription.paused": SUBSCRIPTION,
    "customer.subscription.resumed": SUBSCRIPTION,
    "customer.subscription.pending_update_applied": SUBSCRIPTION,
    "customer.subscription.pending_update_expired": SUBSCRIPTION,
    "customer.subscription.trial_will_end": SUBSCRIPTION,
    "invoice.paid": INVOICE,
    "invoice.payment_succeeded": INVOICE,
    "invoice.payment_failed": INVOICE,
    "invoice.payment_action_required": INVOICE,
    "invoice.finalized": INVOICE,
    "invoice.voided": INVOICE,
    "invoice.marked_uncollectible": INVOICE,
    "payment_intent.succeeded": PAYMENT,
    "payment_intent.payment_failed": PAYMENT,
    "charge.refunded": PAYMENT,
    "charge.dispute.created": DISPUTE,
    "charge.dispute.closed": DISPUTE,
    # Time was moved on a test clock: what a page calls "today" moves with it. Never in live mode.
    "test_helpers.test_clock.ready": CLOCK,
    # Our own: the reconciler, an admin or a stale row asked for a look at the object.
    "dunlin.refresh": SUBSCRIPTION,
}


def answer_bell() -> None:
    """What RQ runs. The payload is empty: any number of bells is equal to one."""
    fork_safe()
    _leave_sign_of_life(db.session())
    apply_due(db.session())
    outbox.send_due(db.session(), running.config())
    db.session.remove()


def _leave_sign_of_life(session: Session) -> None:
    """So that deep health can tell a worker that is down from one that has nothing to do."""
    found = current(session)
    if found is not None:
        found.worker_seen_at = now()
    session.commit()


def fork_safe() -> None:
    """Forget connections that belong to the process we were forked from, without closing them there."""
    for engine in db.engines.values():
        engine.dispose(close=False)


def apply_due(session: Session) -> int:
    """Apply every due event, batch by batch, for a minute at most. Returns how many were claimed."""
    done, stop = 0, time.monotonic() + WORK_SECONDS
    while time.monotonic() < stop and (claimed := _claim(session, _due())):
        done += len(claimed)
        for key, group in groupby(claimed, key=_lease_name):
            events = list(group)
            if time.monotonic() < stop:
                _apply_group(session, key, events, stop)
            else:
                _put_back(session, events)
    return done


def apply_one(session: Session, event_id: str) -> None:
    """Apply one event now, in this process, if nobody else has it."""
    for event in _claim(session, select(StripeEvent.event_id).where(StripeEvent.event_id == event_id)):
        _apply_group(session, _lease_name(event), [event], time.monotonic() + WORK_SECONDS)


def run_again(session: Session, event_id: str) -> StripeEvent | None:
    """Make an event due once more, whatever became of it; the handler fetches, so it can't do harm."""
    event = session.get(StripeEvent, event_id, with_for_update=True)
    if event is None or event.type not in HANDLERS or event.subject is None:
        session.rollback()
        return None
    event.state, event.next_attempt_at, event.lease_until = StripeEvent.PENDING, now(), None
    session.commit()
    apply_one(session, event_id)
    return session.get(StripeEvent, event_id, populate_existing=True)


def _lease_name(event: Due) -> str:
    """One writer for each customer, hence for each subscription; by object where no customer is named."""
    return event.customer_id or event.subject or event.event_id


def _due() -> Select[str]:
    """Rows that nobody has; a type that this version doesn't know waits for one that does."""
    return (
        select(StripeEvent.event_id)
        .where(
            StripeEvent.next_attempt_at <= func.clock_timestamp(),
            StripeEvent.type.in_(HANDLERS),
        )
        .order_by(StripeEvent.next_attempt_at)
        .limit(BATCH)
    )


def _claim(session: Session, which: Select[str]) -> list[Due]:
    free = or_(StripeEvent.lease_until.is_(None), StripeEvent.lease_until < func.clock_timestamp())
    mine = which.where(StripeEvent.state == StripeEvent.PENDING, free).with_for_update(skip_locked=True)
    claim = (
        update(StripeEvent)
        .where(StripeEvent.event_id.in_(mine))
        .values(lease_until=now() + CLAIM)
        .returning(*(getattr(StripeEvent, name) for name in Due._fields))
        .execution_options(synchronize_session=False)
    )
    events = [Due(*row) for row in session.execute(claim)]
    session.commit()
    return sorted(events, key=lambda event: (_lease_name(event), event.received_at, event.event_id))


def _apply_group(session: Session, name: str, events: list[Due], stop: float) -> None:
    """Apply one customer's events under one lease, object by object; what there is no time for is put back."""
    lease = leases.take(session, name, wait=LEASE_WAIT_SECONDS)
    if lease is None:
        _put_back(session, events)
        return
    try:
        for part in _parts(events):
            if time.monotonic() < stop and leases.renew(session, lease):
                _apply(session, lease, part, stop)
            else:
                _put_back(session, part)
    finally:
        leases.free(session, lease)


def _parts(events: list[Due]) -> Iterator[list[Due]]:
    """Events of one subject together, so that one fetch serves them all; but never so many objects that
    Stripe, at its slowest, would not have answered before the lease is over."""
    by_subject: dict[tuple[str | None, Sync], list[Due]] = {}
    for event in events:
        by_subject.setdefault((event.subject, _sync_of(event)), []).append(event)
    for waiting in by_subject.values():
        ids = list(dict.fromkeys(event.object_id for event in waiting))
        for start in range(0, len(ids), MOST_OBJECTS):
            some = ids[start : start + MOST_OBJECTS]
            yield [event for event in waiting if event.object_id in some]


def _sync_of(event: Due) -> Sync:
    sync = HANDLERS[event.type]
    return SUBSCRIPTION if sync is INVOICE and event.subject != event.object_id else sync


def _apply(session: Session, lease: leases.Lease, events: list[Due], stop: float) -> None:
    """Fetch, then write under the fence; a failure touches these events only."""
    subject, sync = events[0].subject or "", _sync_of(events[0])
    ids = [event.event_id for event in events]
    hints = [event.object_id for event in events if event.object_id]
    types = frozenset(event.type for event in events)
    actor = "stripe" if any(event.source == "webhook" for event in events) else events[0].source
    session.rollback()
    try:
        if sync is SUBSCRIPTION:
            hints += invoices.open_ids(session, subject)
            session.rollback()  # no transaction is open while Stripe is asked
        fetched = sync.fetch(subject, hints)
        rightful = sync.customer(fetched) or lease.name
        if rightful != lease.name:  # the payload named another customer, or none; Stripe knows better
            _apply_group(session, rightful, events, stop)
            return
        leases.hold(session, lease)
        cause = Cause(ids[0], lease.fence, public_id(session), now(), types, actor)
        outcome = sync.write(session, fetched, cause)
        _mark(session, ids, outcome)
        session.commit()
    except StaleLease:
        session.rollback()
        log.warning("lease lost before the write", extra={"subject": subject})
        _put_back(session, events)
    except JobTimeout:
        session.rollback()
        raise
    except Exception as problem:  # noqa: BLE001 any error of one object must not stop the others; it is kept and retried
        session.rollback()
        _retry_later(session, ids, problem)


def _mark(session: Session, ids: Iterable[str], outcome: Outcome) -> None:
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


def _put_back(session: Session, events: list[Due]) -> None:
    ids = [event.event_id for event in events]
    later = {"lease_until": None, "next_attempt_at": now() + timedelta(seconds=1)}
    session.execute(update(StripeEvent).where(StripeEvent.event_id.in_(ids)).values(**later))
    session.commit()


def _retry_later(session: Session, ids: list[str], problem: Exception) -> None:
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

"""Step 2 of 5: apply what is due.

The event's row is the job. ``apply_due`` claims due rows, takes the lease of the customer they are about,
asks Stripe once for each object, and writes rows, notices and the events' state in one transaction. It may
run any number of times, in any number of processes, and be killed at any instruction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Session

from billing import (
    checkout,
    claims,
    clocks,
    customers,
    deadline,
    exports,
    fraud_warnings,
    inbox,
    invoices,
    leases,
    mirrors,
    outbox,
    payments,
    running,
    subscriptions,
    writes,
)
from billing.claims import Due
from billing.errors import PassStopped, StaleLease, StripeRefused
from billing.extensions import db
from billing.installation import current, public_id
from billing.models import StripeEvent
from billing.payloads import customer, invoice_subscription
from billing.queues import JobTimeout
from billing.syncing import Cause, Outcome

log = logging.getLogger(__name__)

LEASE_WAIT_SECONDS = 5.0
# RQ ends a job after 90 seconds, and its timeout inside a call to Stripe would pass for a network error. What is
# begun in time may wait 5 seconds for its lease, then 30 for Stripe and 5 for a statement: 85 in all.
WORK_SECONDS = 45.0
# One fetch: shorter than its lease, and with the work before it than the job.
FETCH_SECONDS = 30.0
# What was just found out to be written to Stripe, such as a payment with a new card, is not kept waiting for the clock,
# if the job was quick so far: one write takes 40 seconds at most.
TIME_FOR_WRITES = 10.0
# Mail is sent for 15 seconds, and the last one may take a slow server a minute more, so only a job that was
# quick so far sends it; else the clock does.
TIME_FOR_MAIL = 10.0
# Objects of waiting events that one fetch looks at: all of them together have the 30 seconds.
MOST_OBJECTS = 4


@dataclass(frozen=True)
class Sync:
    """How one kind of object is brought over: ``fetch(id, ids to look at with it)``, then ``write``.

    ``customer`` says whose the fetched object is, so that it is written under that customer's lease.
    """

    fetch: Callable[[str, list[str]], Any]
    write: Callable[[Session, Any, Cause], Outcome]
    customer: Callable[[Any], str | None]


def _fetch_invoice(stripe_id: str, hints: list[str]) -> Any:
    """The invoice alone, or its subscription with it where it has one that the event did not name in a known way."""
    found = invoices.fetch(stripe_id, hints)
    plan = invoice_subscription(found)
    return subscriptions.fetch(plan, [stripe_id]) if plan else found


def _write_invoice(session: Session, found: Any, cause: Cause) -> Outcome:
    whole = isinstance(found, subscriptions.Fetched)
    return subscriptions.write(session, found, cause) if whole else invoices.write(session, found, cause)


def _customer_of_invoice(found: Any) -> str | None:
    return customer(found.subscription if isinstance(found, subscriptions.Fetched) else found)


SUBSCRIPTION = Sync(subscriptions.fetch, subscriptions.write, lambda found: customer(found.subscription))
INVOICE = Sync(_fetch_invoice, _write_invoice, _customer_of_invoice)
SESSION = Sync(checkout.fetch, checkout.write, lambda found: customer(found.session))
PAYMENT = Sync(payments.fetch_intent, payments.write_payment, lambda found: customer(found.intent))
DISPUTE = Sync(payments.fetch_dispute, payments.write_dispute, lambda found: customer(found.get("charge")))
WARNING = Sync(fraud_warnings.fetch, fraud_warnings.write, lambda found: customer(found.get("charge")))
CUSTOMER = Sync(customers.fetch, customers.write, lambda found: str(found.customer))
CLOCK = Sync(clocks.fetch, clocks.write, lambda found: None)

# Every event type that is acted on. All others are stored as ignored. An event only says which object
# changed: an invoice's event is about its subscription, if it has one (``payloads.about``).
HANDLERS: dict[str, Sync] = {
    "checkout.session.completed": SESSION,
    "checkout.session.expired": SESSION,
    "checkout.session.async_payment_succeeded": SESSION,
    "checkout.session.async_payment_failed": SESSION,
    "customer.updated": CUSTOMER,
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
    "payment_intent.canceled": PAYMENT,
    "charge.refunded": PAYMENT,
    "refund.created": PAYMENT,
    "refund.updated": PAYMENT,
    "refund.failed": PAYMENT,
    "charge.dispute.created": DISPUTE,
    "charge.dispute.updated": DISPUTE,
    "charge.dispute.closed": DISPUTE,
    "charge.dispute.funds_withdrawn": DISPUTE,
    "charge.dispute.funds_reinstated": DISPUTE,
    "radar.early_fraud_warning.created": WARNING,
    "radar.early_fraud_warning.updated": WARNING,
    # Time was moved on a test clock: what a page calls "today" moves with it. Never in live mode.
    "test_helpers.test_clock.ready": CLOCK,
    # Our own: the reconciler, an admin or a stale row asked for a look at the object.
    "dunlin.refresh": SUBSCRIPTION,
    "dunlin.refresh.invoice": INVOICE,
    "dunlin.refresh.payment_intent": PAYMENT,
    "dunlin.refresh.dispute": DISPUTE,
    "dunlin.refresh.refund": PAYMENT,
    "dunlin.refresh.early_fraud_warning": WARNING,
    "dunlin.refresh.checkout_session": SESSION,
}
# A look of ours may find that there is nothing to look at: then our row goes.
NOTHING = Sync(lambda stripe_id, hints: stripe_id, mirrors.forget, lambda found: None)


def answer_bell() -> None:
    """What RQ runs. The payload is empty: any number of bells is equal to one."""
    fork_safe()
    begun = time.monotonic()
    _leave_sign_of_life(db.session())
    apply_due(db.session())
    if time.monotonic() - begun < TIME_FOR_WRITES:
        writes.send_new(db.session())
    if time.monotonic() - begun < TIME_FOR_MAIL:
        exports.make_due(db.session())
        outbox.send_due(db.session(), running.config())
    db.session.remove()


def _leave_sign_of_life(session: Session) -> None:
    """So that deep health can tell a worker that is down from one that has nothing to do."""
    found = current(session)
    if found is not None:
        found.worker_seen_at = func.clock_timestamp()
    session.commit()


def fork_safe() -> None:
    """Forget connections that belong to the process we were forked from, without closing them there."""
    for engine in db.engines.values():
        engine.dispose(close=False)


def apply_due(session: Session) -> int:
    """Apply every due event, batch by batch, for a minute at most. Returns how many were claimed."""
    done, stop = 0, time.monotonic() + WORK_SECONDS
    while time.monotonic() < stop and (claimed := claims.claim_due(session, HANDLERS)):
        done += len(claimed)
        for key, group in groupby(claimed, key=lambda event: event.lease_name):
            events = list(group)
            if time.monotonic() < stop:
                _apply_group(session, key, events, stop)
            else:
                claims.put_back(session, events)
    return done


def apply_one(session: Session, event_id: str) -> None:
    """Apply one event now, in this process, if nobody else has it."""
    for event in claims.claim_one(session, event_id):
        _apply_group(session, event.lease_name, [event], time.monotonic() + WORK_SECONDS)


def run_again(session: Session, event_id: str) -> StripeEvent | None:
    """Make an event due once more, whatever became of it; the handler fetches, so it can't do harm."""
    event = session.get(StripeEvent, event_id, with_for_update=True)
    if event is None or event.type not in HANDLERS or event.subject is None:
        session.rollback()
        return None
    event.state, event.lease_until = StripeEvent.PENDING, None
    event.next_attempt_at = func.clock_timestamp()
    session.commit()
    apply_one(session, event_id)
    return session.get(StripeEvent, event_id, populate_existing=True)


def _apply_group(session: Session, name: str, events: list[Due], stop: float) -> None:
    """Apply one customer's events under one lease, object by object; what there is no time for is put back."""
    # The page that somebody waits for has a deadline; the worker has none here.
    lease = leases.take(session, name, wait=min(LEASE_WAIT_SECONDS, deadline.left()))
    if lease is None:
        claims.put_back(session, events)
        return
    parts, let_go = list(_parts(events)), False
    try:
        for number, part in enumerate(parts, 1):
            # It was taken just now, for the first part.
            if time.monotonic() > stop or (number > 1 and not leases.renew(session, lease)):
                claims.put_back(session, part)
            elif still_ours := claims.renew(session, part):
                let_go = _apply(session, lease, still_ours, stop, last=number == len(parts))
    finally:
        if not let_go:
            leases.free(session, lease)


def _parts(events: list[Due]) -> Iterator[list[Due]]:
    """Events of one subject together, so that one fetch serves them all; but never so many objects that
    Stripe, at its slowest, would not have answered before the lease is over."""
    by_subject: dict[tuple[str | None, Sync], list[Due]] = {}
    for event in events:
        by_subject.setdefault((event.subject, sync_of(event)), []).append(event)
    for waiting in by_subject.values():
        ids = list(dict.fromkeys(event.object_id for event in waiting))
        for start in range(0, len(ids), MOST_OBJECTS):
            some = ids[start : start + MOST_OBJECTS]
            yield [event for event in waiting if event.object_id in some]


def sync_of(event: Due) -> Sync:
    """How the object of this event is brought over: an invoice of a subscription with its subscription."""
    sync = HANDLERS[event.type]
    return SUBSCRIPTION if sync is INVOICE and event.subject != event.object_id else sync


def fetch(session: Session, sync: Sync, subject: str, hints: list[str]) -> Any:
    """Ask Stripe, with no transaction open; with a subscription go the invoices that we hold as open."""
    if sync is SUBSCRIPTION:
        hints = [*hints, *invoices.open_ids(session, subject)]
    session.rollback()
    with deadline.within(FETCH_SECONDS):
        return sync.fetch(subject, hints)


def _look(session: Session, sync: Sync, events: list[Due], hints: list[str]) -> tuple[Sync, Any]:
    """Fetch what the events are about, and say how it is written. Raises what ``fetch`` raises."""
    subject = events[0].subject or ""
    try:
        return sync, fetch(session, sync, subject, hints)
    except StripeRefused as problem:
        asked_by_us = all(inbox.is_ours(event.type) for event in events)
        if problem.status != 404 or not asked_by_us or not mirrors.is_gone(session, subject):
            raise
        return NOTHING, subject


def _apply(session: Session, lease: leases.Lease, events: list[Due], stop: float, *, last: bool) -> bool:
    """Fetch, then write under the fence; a failure touches these events only.

    Returns whether the lease was let go with the write, as it is with the ``last`` one.
    """
    subject, sync = events[0].subject or "", sync_of(events[0])
    ids = [event.event_id for event in events]
    hints = [event.object_id for event in events if event.object_id]
    types = frozenset(event.type for event in events)
    actor = "stripe" if any(event.source == "webhook" for event in events) else events[0].source
    session.rollback()
    began = time.monotonic()
    try:
        sync, fetched = _look(session, sync, events, hints)
        rightful = sync.customer(fetched) or lease.name
        if rightful != lease.name:  # the payload named another customer, or none; Stripe knows better
            _apply_group(session, rightful, events, stop)
            return False
        moment = leases.hold(session, lease)
        cause = Cause(ids[0], lease.fence, public_id(session), moment, types, actor)
        outcome = sync.write(session, fetched, cause)
        for request in outcome.writes:  # kept with their cause; the completer sends them
            writes.record(session, request)
        claims.mark(session, ids, outcome, _since(began))
        if last:
            leases.let_go(session, lease)
        session.commit()
    except StaleLease:
        session.rollback()
        log.warning("lease lost before the write", extra={"subject": subject})
        claims.put_back(session, events)
    except (JobTimeout, PassStopped):
        session.rollback()
        raise
    except Exception as problem:  # noqa: BLE001 any error of one object must not stop the others; it is kept and retried
        session.rollback()
        claims.retry_later(session, events, problem, _since(began))
    else:
        return last
    return False


def _since(began: float) -> int:
    """Whole milliseconds of the clock that nobody sets."""
    return round((time.monotonic() - began) * 1000)

"""Every write to Stripe goes through ``perform``: the row first, committed, then the call.

A crash between any two steps is finished by ``finish_open`` with the same key and the same bytes. A
write whose answer was lost is *unknown*, never *failed*. What an answer says about state is not used:
state comes by events. Only ids are taken from it (``COMPLETIONS``). Where a key is of no use any more,
Stripe is asked for what the write would have made, before another key is taken (``LOOKUPS``).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing import audit, checkout, people, second, stripe_client
from billing.clock import now
from billing.errors import (
    StripeDeclined,
    StripeError,
    StripeKeyRefused,
    StripeRefused,
    StripeUnavailable,
    WriteConflict,
    WriteUnknown,
)
from billing.installation import public_id
from billing.models import StripeWrite
from billing.stripe_client import Object
from billing.write_request import WriteRequest

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
# Stripe keeps a key for at least 24 hours; after 23 it is not sent again.
HORIZON = timedelta(hours=23)
# A request gives up waiting for another process that is sending the same write after this long.
PATIENCE_SECONDS = 12.0
# The completer's turn in the clock, which has other duties; what is left is taken up at the next one.
WORK_SECONDS = 40.0

# What an answer's id is kept for, in the transaction that closes the write.
COMPLETIONS: dict[str, Callable[[Session, StripeWrite, Object], None]] = {
    "customer.create": lambda s, write, answer: people.bind_customer(s, write.user_id or 0, answer["id"]),
    "checkout.session.create": lambda s, write, answer: checkout.opened(s, write.name, answer),
    "checkout.session.expire": lambda s, write, answer: checkout.expired_by_us(s, answer),
}

# How to find what a lost write made, by its parameters.
LOOKUPS: dict[str, Callable[[Object], Object | None]] = {
    "customer.create": people.find_customer,
    "refund.create": second.find_refund,
}

# What a refusal may mean where no key protects the write: that an earlier try did it. By its target.
DONE_BEFORE: dict[str, Callable[[str | None], Object | None]] = {"subscription.cancel": second.ended_already}


def perform(session: Session, request: WriteRequest) -> Object:
    """Write to Stripe once, whoever else asks for the same name; returns Stripe's answer.

    Raises StripeDeclined, StripeRefused (both final), StripeUnavailable (nothing was charged or the sweep
    goes on with it), WriteUnknown (it may have happened), WriteConflict (a bug: same name, other parameters).
    Commits; call it outside of any work that must not be committed.
    """
    row = _claim(session, request)
    return _send(session, row)


def finish_open(session: Session, *, older_than: timedelta = LEASE) -> int:
    """The completer: drive every write that was left open to an end. Returns how many it tried."""
    left = select(StripeWrite.id).where(
        StripeWrite.state.in_(StripeWrite.OPEN),
        StripeWrite.created_at < func.now() - older_than,
        or_(StripeWrite.lease_until.is_(None), StripeWrite.lease_until < func.now()),
    )
    longest_waiting = left.order_by(StripeWrite.last_sent_at.nulls_first(), StripeWrite.id)
    ids = session.execute(longest_waiting.limit(100)).scalars().all()
    session.commit()
    tried, stop = 0, time.monotonic() + WORK_SECONDS
    for write_id in ids:
        if time.monotonic() > stop:
            break
        _finish(session, write_id)
        tried += 1
    return tried


def _finish(session: Session, write_id: int) -> None:
    row = _lease(session, StripeWrite.id == write_id)
    if row is None:
        return
    try:
        _send(session, row)
    except Exception as problem:  # one write's trouble must not keep the others open
        session.rollback()
        known = isinstance(problem, StripeError | WriteUnknown)
        log.log(
            logging.WARNING if known else logging.ERROR,
            "write not finished",
            exc_info=None if known else problem,
            extra={"write": write_id, "reason": type(problem).__name__},
        )


def _claim(session: Session, request: WriteRequest) -> StripeWrite:
    """Commit the row, then take its lease, waiting for a process that is sending it now."""
    record(session, request)
    session.commit()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (row := _lease(session, StripeWrite.name == request.name)) is None:
        if time.monotonic() > deadline:
            raise WriteUnknown(f"{request.operation} is still being sent by another process")
        time.sleep(0.05)
    if row.params_sha256 != request.sha256:
        _release(session, row)
        raise WriteConflict(f"{request.operation}: {request.name} was used with other parameters")
    return row


def record(session: Session, request: WriteRequest) -> None:
    """Keep what is to be written, in the caller's transaction; once it is committed, the completer sends it."""
    key = f"dunlin:{public_id(session)}:{request.name}"
    row = insert(StripeWrite).values(
        name=request.name,
        operation=request.operation,
        target=request.target,
        user_id=request.user_id,
        params=request.canonical,
        params_sha256=request.sha256,
        idempotency_key=key,
        state="pending",
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["name"]))


def _lease(session: Session, which: object) -> StripeWrite | None:
    """Mark the row as being sent, if nobody is sending it; closed rows are returned as they are."""
    row = session.execute(select(StripeWrite).where(which).with_for_update()).scalar_one()  # type: ignore[arg-type]
    moment = now()
    if row.lease_until is not None and row.lease_until > moment:
        session.rollback()
        return None
    row.lease_until = moment + LEASE
    if row.state in StripeWrite.OPEN:
        row.state = "in_flight"
    if row.state in ("in_flight", "done"):
        row.first_sent_at = row.first_sent_at or moment
        row.last_sent_at, row.attempts = moment, row.attempts + 1
    session.commit()
    return row


def _send(session: Session, row: StripeWrite) -> Object:
    """Call Stripe with no transaction open, then close the row. A done write is replayed by its key."""
    if row.state in ("declined", "failed"):
        _release(session, row)
        raise StripeRefused(row.error or "Stripe refused this write before", code=row.error)
    write_id, operation, target = row.id, row.operation, row.target
    params = json.loads(row.params)
    try:
        found = _found(session, row, params) if _key_is_spent(row) else None
        key = row.idempotency_key
        session.rollback()
        answer = found or _call(operation, target, params, key)
    except StripeError as problem:
        _refused(session, write_id, problem)
        raise
    row = session.get_one(StripeWrite, write_id)
    _answered(session, row, answer)
    return answer


def _call(operation: str, target: str | None, params: Object, key: str) -> Object:
    try:
        return stripe_client.call(operation, target, params, key)
    except StripeRefused:
        done = DONE_BEFORE[operation](target) if operation in DONE_BEFORE else None
        if done is None:
            raise
        return done


def _key_is_spent(row: StripeWrite) -> bool:
    """Whether sending the key again tells nothing: Stripe has forgotten it, or would repeat a 5xx it kept."""
    if row.state == "unknown" or (row.first_sent_at is not None and now() - row.first_sent_at > HORIZON):
        return True
    return row.state != "done" and row.operation in LOOKUPS and (row.last_status or 0) >= 500


def _found(session: Session, row: StripeWrite, params: Object) -> Object | None:
    """What the write made, if it did; else a new key, committed, for another try.

    Raises WriteUnknown where it can't be known: then an admin is told, and the key is not sent again.
    """
    write_id, find = row.id, LOOKUPS.get(row.operation)
    if find is None or row.state == "done":
        _close(session, row, "done" if row.state == "done" else "unknown")
        raise WriteUnknown(f"{row.operation}: the key is older than 23 hours")
    session.rollback()
    there = find(params)
    row = session.get_one(StripeWrite, write_id)
    if there is None:
        stem, _, number = row.idempotency_key.partition("#")
        row.idempotency_key = f"{stem}#{int(number or 1) + 1}"
        row.state, row.first_sent_at, row.last_status = "in_flight", now(), None
        session.commit()
    return there


def _answered(session: Session, row: StripeWrite, answer: Object) -> None:
    if row.state != "done":
        row.stripe_object_id = answer.get("id")
        complete = COMPLETIONS.get(row.operation)
        if complete is not None:
            complete(session, row, answer)
    _close(session, row, "done")


def _refused(session: Session, write_id: int, problem: StripeError) -> None:
    """A definitive no ends the write; anything else leaves it open for the completer."""
    row = session.get_one(StripeWrite, write_id)
    row.error, row.last_status = problem.code or str(problem), problem.status
    if isinstance(problem, StripeKeyRefused) and row.first_sent_at == row.last_sent_at:
        row.first_sent_at = row.last_sent_at = (
            None  # Stripe did nothing and kept nothing: its key's time hasn't begun
        )
    if row.operation == "checkout.session.create" and row.state != "done" and (problem.status or 0) >= 500:
        # Stripe would repeat its 500. Nobody has seen that Session, so nobody can pay it: another may be opened.
        checkout.refused(session, row.name)
    final = {StripeDeclined: "declined", StripeRefused: "failed"}.get(type(problem))
    if final and row.state != "done":
        checkout.refused(session, row.name)
        audit.record(session, "write." + final, actor="dunlin", user_id=row.user_id, subject=row.name)
    _close(session, row, final if final and row.state != "done" else row.state)


def _close(session: Session, row: StripeWrite, state: str) -> None:
    if state == "unknown" and row.state != "unknown":
        checkout.refused(session, row.name)
        audit.record(
            session, "write.unknown", actor="dunlin", user_id=row.user_id, subject=row.name, alert=True
        )
    row.state = state
    _release(session, row)


def _release(session: Session, row: StripeWrite) -> None:
    session.execute(update(StripeWrite).where(StripeWrite.id == row.id).values(lease_until=None))
    session.commit()


__all__ = ["HORIZON", "StripeUnavailable", "finish_open", "perform"]

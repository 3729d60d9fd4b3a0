"""Every write to Stripe goes through ``perform``: the row first, committed, then the call.

A crash between any two steps is finished by ``finish_open`` with the same key and the same bytes. A write whose
answer was lost is *unknown*, never *failed*. Where a key is of no use any more, Stripe is asked what became of the
write, before another key is taken (``resolutions.py``).
"""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timedelta

from sqlalchemy import Select
from sqlalchemy.orm import Session

from billing import audit, closing, deadline, registry, sightings, stripe_client
from billing.errors import StripeError, StripeRefused, StripeUnavailable, WriteConflict, WriteUnknown
from billing.models import StripeWrite
from billing.registry import HORIZON, record
from billing.resolutions import HEEDS_NO_KEY, RESOLUTIONS, Wish, worth
from billing.stripe_client import Object
from billing.write_request import WriteRequest

log = logging.getLogger(__name__)

# A request gives up waiting for another process that is sending the same write after this long.
PATIENCE_SECONDS = 12.0
# All talk with Stripe for one write: shorter than its lease.
SEND_SECONDS = 40.0
# The completer's turn in the clock, which has other duties; what is left is taken up at the next one.
WORK_SECONDS = 40.0


def perform(session: Session, request: WriteRequest) -> Object:
    """Write to Stripe once, whoever else asks for the same name; returns Stripe's answer.

    Raises StripeDeclined, StripeRefused (both final), StripeUnavailable (nothing was charged or the sweep
    goes on with it), WriteUnknown (it may have happened), WriteConflict (a bug: same name, other parameters).
    Commits; call it outside of any work that must not be committed.
    """
    return _send(session, _claim(session, request))


def finish_open(session: Session, *, older_than: timedelta = registry.LEASE) -> int:
    """The completer: drive every write that was left without an end to one. Returns how many it tried."""
    tried, stop = 0, time.monotonic() + WORK_SECONDS
    for write_id in registry.unfinished(session, older_than):
        if time.monotonic() > stop:
            break
        _finish(session, write_id)
        tried += 1
    return tried


def settle(session: Session, operations: tuple[str, ...]) -> None:
    """Drive every open write of these operations to an end now, waiting for whoever is sending one.

    Raises as ``perform`` does, but not for what Stripe refuses: that is an end too, and its row says so.
    """
    for write_id in registry.open_ones(session, operations):
        try:
            _send(session, _leased(session, registry.BY_ID, write_id))
        except StripeRefused as problem:
            log.warning("write refused", extra={"write": write_id, "reason": str(problem)})


def send_new(session: Session, user_id: int | None = None) -> int:
    """Send what was kept as a consequence and never sent, in its order. Returns how many were tried.

    ``user_id``: this person's only. What fails is left to the completer.
    """
    tried, stop = 0, time.monotonic() + SEND_SECONDS
    for write_id in registry.never_sent(session, user_id):
        if time.monotonic() > stop or deadline.left() <= 0:
            break
        _finish(session, write_id)
        tried += 1
    return tried


def finish_of(session: Session, user_id: int) -> bool:
    """Drive what was left of this person's writes to an end; whether nothing is left."""
    for write_id in registry.open_of(session, user_id):
        _finish(session, write_id)
    return not registry.open_of(session, user_id)


def _finish(session: Session, write_id: int) -> None:
    if registry.must_wait(session, write_id):
        return
    turn = registry.lease(session, registry.BY_ID, write_id)
    if turn is None:
        return
    try:
        _send(session, turn)
    except Exception as problem:  # one write's trouble must not keep the others open
        session.rollback()
        known = isinstance(problem, StripeError | WriteUnknown)
        log.log(
            logging.WARNING if known else logging.ERROR,
            "write not finished",
            exc_info=None if known else problem,
            extra={"write": write_id, "reason": type(problem).__name__},
        )


def _claim(session: Session, request: WriteRequest) -> registry.Turn:
    """Commit the row, then take its lease, waiting for a process that is sending it now."""
    record(session, request)
    session.commit()
    row, until = turn = _leased(session, registry.BY_NAME, request.name)
    if row.params_sha256 != request.sha256:
        audit.record(
            session, "write.conflict", actor="dunlin", user_id=row.user_id, subject=row.name, alert=True
        )
        registry.release(session, row.id, until)
        raise WriteConflict(f"{request.operation}: {request.name} was used with other parameters")
    return turn


def _leased(session: Session, which: Select[StripeWrite], of: int | str) -> registry.Turn:
    stop = time.monotonic() + min(PATIENCE_SECONDS, deadline.left())
    while (turn := registry.lease(session, which, of)) is None:
        if time.monotonic() > stop:
            raise WriteUnknown("the write is still being sent by another process")
        time.sleep(0.05)
    return turn


def _send(session: Session, turn: registry.Turn) -> Object:
    """Call Stripe with no transaction open, then close the row. A done write is replayed by its key."""
    row, until = turn
    if row.state in ("declined", "failed"):
        registry.release(session, row.id, until)
        raise StripeRefused(row.error or "Stripe refused this write before", code=row.error)
    if row.state == "done" and _is_overdue(row):
        registry.release(session, row.id, until)
        raise WriteUnknown(f"{row.operation}: the key is older than 23 hours")
    with deadline.within(SEND_SECONDS):
        found = _look(session, row, until) if _key_is_spent(row) else None
        return found or _call(session, row, until)


def _call(session: Session, row: StripeWrite, until: datetime) -> Object:
    write_id, key, wish = row.id, row.idempotency_key, _wish(row)
    session.rollback()
    try:
        answer = _ask(wish, key)
    except StripeError as problem:
        ours = registry.still_ours(session, write_id, until)
        if ours is not None:
            closing.refused(session, ours, problem, until)
        session.rollback()
        raise
    closing.answered(session, session.get_one(StripeWrite, write_id), answer, until)
    return answer


def _ask(wish: Wish, key: str) -> Object:
    done = RESOLUTIONS[wish.operation].first(wish)
    if done is not None:
        return done
    try:
        return stripe_client.call(wish.operation, wish.target, wish.params, key)
    except StripeRefused:
        done = RESOLUTIONS[wish.operation].made(wish) if wish.operation in HEEDS_NO_KEY else None
        if done is None:
            raise
        return done


def _wish(row: StripeWrite) -> Wish:
    return Wish(row.operation, row.name, row.target or "", json.loads(row.params))


def _is_overdue(row: StripeWrite) -> bool:
    """Whether Stripe may have forgotten the key."""
    first, last = row.first_sent_at, row.last_sent_at
    return first is not None and last is not None and last - first > HORIZON


def _is_stale(row: StripeWrite) -> bool:
    """Whether it was asked for so long ago that it is not simply sent."""
    longest = worth(row.operation, row.name)
    return (
        longest is not None and row.last_sent_at is not None and row.last_sent_at - row.created_at > longest
    )


def _key_is_spent(row: StripeWrite) -> bool:
    """Whether sending the key tells nothing: Stripe has forgotten it, or would repeat a 5xx that it kept."""
    if row.state == "done":
        return False
    return row.state == "unknown" or (row.last_status or 0) >= 500 or _is_overdue(row) or _is_stale(row)


def _look(session: Session, row: StripeWrite, until: datetime) -> Object | None:
    """What the write made, if it did, and closes it. None where it is to be sent, by a new key, committed.

    Raises StripeRefused where it was not done and is not wanted any more; StripeUnavailable, StripeKeyRefused or
    WriteUnknown where that can't be said yet.
    """
    write_id, operation, overdue = row.id, row.operation, row.state == "unknown" or _is_overdue(row)
    resolution, stale, wish = RESOLUTIONS[operation], _is_stale(row), _wish(row)
    # Whether to wait is asked first: what is heard meanwhile must not be missed.
    waits = overdue and sightings.may_yet_be_told(session, row)
    hints = sightings.hints(session, row)
    session.rollback()
    try:
        found = resolution.made(wish) or sightings.told(hints)
    except StripeError as problem:
        row = _ours(session, write_id, until)
        if isinstance(problem, StripeRefused):
            closing.refused(session, row, problem, until)
            raise
        closing.not_found_out(session, row, problem.code or str(problem), until, overdue=overdue)
        if overdue:
            raise WriteUnknown(f"{operation}: the key is older than 23 hours") from problem
        raise
    row = _ours(session, write_id, until)
    if found is None and sightings.was_shown(session, row):
        found = {"id": row.target}
    if found is not None:
        closing.answered(session, row, found, until)
    elif stale or not resolution.again:
        closing.gave_up(session, row, until, alert=resolution.alert)
        raise StripeRefused(row.error or "", code=row.error)
    elif waits:
        closing.not_found_out(session, row, "its event may yet come", until, overdue=False)
        raise WriteUnknown(f"{operation}: Stripe's list of events is yet to be read")
    else:
        registry.take_another_key(session, row)
    return found


def _ours(session: Session, write_id: int, until: datetime) -> StripeWrite:
    """The row, if nobody else has taken the write over while Stripe was asked: they may have sent it since, and what we
    were told is older."""
    row = registry.still_ours(session, write_id, until)
    if row is None:
        session.rollback()
        raise WriteUnknown("another process has taken the write over")
    return row


__all__ = ["StripeUnavailable", "finish_open", "perform", "record", "settle"]

"""The rows of the write registry: kept before anything is sent, and who is sending which. Times are the database's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Interval, Select, bindparam, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.extensions import table_of
from billing.installation import public_id
from billing.models import StripeWrite
from billing.write_request import WriteRequest

LEASE = timedelta(seconds=60)
# Stripe keeps a key for at least 24 hours; after 23 it is not sent again.
HORIZON = timedelta(hours=23)
MOST = 100
# What waits for which earlier write of the same person. Stripe refuses to end a subscription that is still on a
# schedule, and a refusal would be the end of that wish; of two addresses the later one must be Stripe's last word.
FIRST = {
    "subscription.update": "subscription_schedule.release",
    "customer.update": "customer.update",
}

# Made once (``people.OF_CUSTOMER``): each write asks them.
BY_ID = select(StripeWrite).where(StripeWrite.id == bindparam("of")).with_for_update()
BY_NAME = select(StripeWrite).where(StripeWrite.name == bindparam("of")).with_for_update()
IS_OPEN = StripeWrite.state.in_((*StripeWrite.OPEN, "unknown"))
NEW = (
    select(StripeWrite.id)
    .where(StripeWrite.state == "pending", StripeWrite.attempts == 0)
    .order_by(StripeWrite.id)
    .limit(MOST)
)
NEW_OF = NEW.where(StripeWrite.user_id == bindparam("user_id"))
OPEN_OF = (
    select(StripeWrite.id)
    .where(StripeWrite.user_id == bindparam("user_id"), IS_OPEN)
    .order_by(StripeWrite.id)
)
UNFINISHED = (
    select(StripeWrite.id)
    .where(
        IS_OPEN,
        StripeWrite.created_at < func.clock_timestamp() - bindparam("older_than", type_=Interval),
        or_(StripeWrite.lease_until.is_(None), StripeWrite.lease_until < func.clock_timestamp()),
    )
    .order_by(StripeWrite.last_sent_at.nulls_first(), StripeWrite.id)
    .limit(MOST)
)
CLOCK = select(func.clock_timestamp())
# Whichever of its two unique columns meets a row that another process makes at the same moment.
RECORD = insert(table_of(StripeWrite)).on_conflict_do_nothing()
STILL_OURS = (
    select(StripeWrite)
    .where(StripeWrite.id == bindparam("of"), StripeWrite.lease_until == bindparam("until"))
    .with_for_update()
)
RELEASE = text("update stripe_writes set lease_until = null where id = :of and lease_until = :until")


class Turn(NamedTuple):
    """Somebody's turn to send a write. ``until``: its end, and its proof, since nobody else's ends at that instant."""

    row: StripeWrite
    until: datetime


def record(session: Session, request: WriteRequest) -> None:
    """Keep what is to be written, in the caller's transaction; once it is committed, the completer sends it."""
    key = f"dunlin:{public_id(session)}:{request.name}"
    row = {
        "name": request.name,
        "operation": request.operation,
        "target": request.target,
        "user_id": request.user_id,
        "params": request.canonical,
        "params_sha256": request.sha256,
        "idempotency_key": key,
        "state": "pending",
    }
    session.flush()  # as before a statement about the model
    session.execute(RECORD, row)


def unfinished(session: Session, older_than: timedelta) -> list[int]:
    """The writes that were left without an end and that nobody is sending, the longest untried first; commits."""
    ids = session.execute(UNFINISHED, {"older_than": older_than}).scalars().all()
    session.commit()
    return list(ids)


def open_ones(session: Session, operations: tuple[str, ...]) -> list[int]:
    """The writes of these operations that have no end yet, the oldest first; commits."""
    found = (
        select(StripeWrite.id).where(StripeWrite.operation.in_(operations), IS_OPEN).order_by(StripeWrite.id)
    )
    ids = session.execute(found).scalars().all()
    session.commit()
    return list(ids)


def never_sent(session: Session, user_id: int | None) -> list[int]:
    """The writes that nobody has tried yet, in the order that they were asked for; commits."""
    found = session.execute(NEW) if user_id is None else session.execute(NEW_OF, {"user_id": user_id})
    ids = found.scalars().all()
    session.commit()
    return list(ids)


def open_of(session: Session, user_id: int) -> list[int]:
    """The person's writes that have no end yet, the oldest first; commits."""
    ids = session.execute(OPEN_OF, {"user_id": user_id}).scalars().all()
    session.commit()
    return list(ids)


def must_wait(session: Session, write_id: int) -> bool:
    """Whether an earlier write of the same person has to be done first; commits.

    Stripe refuses to end a subscription that is still on a schedule, and a refusal would be the end of that wish. Nor
    may an end that was taken back arrive after the taking back.
    """
    row = session.get_one(StripeWrite, write_id)
    first = select(StripeWrite.id).where(
        StripeWrite.user_id == row.user_id,
        StripeWrite.id < write_id,
        or_(
            StripeWrite.operation == FIRST.get(row.operation),
            StripeWrite.name.like("cancel:%") & (StripeWrite.target == row.target) & _is_about_the_end(row),
        ),
        IS_OPEN,
    )
    waits = row.operation in FIRST and session.execute(first.limit(1)).first() is not None
    session.commit()
    return waits


def _is_about_the_end(row: StripeWrite) -> ColumnElement[bool]:
    return literal(bool({"cancel_at", "cancel_at_period_end"} & json.loads(row.params).keys()))


def as_kept(session: Session, request: WriteRequest) -> WriteRequest:
    """The request with the parameters that were kept for its name, if any: what they say may have changed since."""
    kept = select(StripeWrite.params).where(StripeWrite.name == request.name)
    params = session.execute(kept).scalar()
    return request if params is None else replace(request, params=json.loads(params))


def lease(session: Session, which: Select[StripeWrite], of: int | str) -> Turn | None:
    """Mark the row as being sent, and commit; None where somebody is sending it. Closed rows come as they are.

    ``which``: BY_ID or BY_NAME, and ``of``: that.
    """
    row = session.execute(which, {"of": of}).scalar_one()
    moment = session.execute(CLOCK).scalar_one()
    if row.lease_until is not None and row.lease_until > moment:
        session.rollback()
        return None
    row.lease_until = until = moment + LEASE
    if row.state in StripeWrite.OPEN:
        row.state = "in_flight"
    if row.state not in ("declined", "failed"):
        row.first_sent_at = row.first_sent_at or moment
        row.last_sent_at, row.attempts = moment, row.attempts + 1
    session.commit()
    return Turn(row, until)


def still_ours(session: Session, write_id: int, until: datetime) -> StripeWrite | None:
    """The row, locked, unless our turn ended and somebody else's has begun: whoever slept through theirs must not
    decide about the write by what they saw before that."""
    return session.execute(STILL_OURS, {"of": write_id, "until": until}).scalar_one_or_none()


def release(session: Session, write_id: int, until: datetime) -> None:
    """Give the lease back, where it is still ours, and commit whatever was written to the row."""
    session.execute(RELEASE, {"of": write_id, "until": until})
    session.commit()


def nothing_was_sent(row: StripeWrite) -> None:
    """Stripe kept nothing at this try: where it was the first one, its key's time has not begun."""
    if row.first_sent_at == row.last_sent_at:
        row.first_sent_at = None


def take_another_key(session: Session, row: StripeWrite) -> None:
    """For a write that Stripe has certainly not made; commits. Its name stays, so it is still one write."""
    stem, _, number = row.idempotency_key.partition("#")
    row.idempotency_key = f"{stem}#{int(number or 1) + 1}"
    row.state, row.first_sent_at, row.last_status = "in_flight", row.last_sent_at, None
    session.commit()

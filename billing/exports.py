"""Copies of people's data: asked for on the account page, made here, got behind sign-in for a day, then erased.

The row is the job, as an event's is: any number of processes may look for due ones, and be killed at any instruction.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing import audit, exporting, notices, running
from billing.clock import database_now
from billing.errors import ExportTooLarge
from billing.extensions import db
from billing.models import DataExport, User
from billing.queues import JobTimeout
from billing.readers import speaking_to
from billing.words import moment_text

log = logging.getLogger(__name__)

LIFE = timedelta(hours=24)
# Longer than making one takes; whoever dies over it is followed by another after that.
LEASE = timedelta(minutes=2)
LONGEST_WAIT = timedelta(hours=1)
MOST = 20  # at one turn


def ask(session: Session, user_id: int) -> bool:
    """Ask for a copy; False where one is asked for or ready already. The caller commits."""
    expire(session, user_id)
    row = insert(DataExport).values(user_id=user_id, state="asked").on_conflict_do_nothing()
    made = session.execute(row.returning(DataExport.id)).scalar()
    if made is not None:
        audit.record(session, "export.asked", actor="user", user_id=user_id, subject=f"export {made}")
    return made is not None


def newest(session: Session, user_id: int) -> DataExport | None:
    """The copy that was asked for last, but for one that is over and waits for the clock to erase it."""
    there = or_(DataExport.state != "ready", DataExport.expires_at > func.clock_timestamp())
    found = select(DataExport).where(DataExport.user_id == user_id, there)
    return session.execute(found.order_by(DataExport.id.desc()).limit(1)).scalar()


def content(session: Session, user_id: int, export_id: int) -> tuple[DataExport | None, bytes | None]:
    """The person's own copy of this number, if there is one, and its zip while it is to be had."""
    found = select(DataExport, DataExport.content, DataExport.expires_at > func.clock_timestamp()).where(
        DataExport.id == export_id, DataExport.user_id == user_id
    )
    row = session.execute(found).first()
    if row is None:
        return None, None
    return row[0], row[1] if row[0].state == "ready" and row[2] else None


def make_due(session: Session) -> int:
    """Make every copy that was asked for, and erase those that are over. Returns how many were made. Commits."""
    expire(session)
    session.commit()
    made = 0
    for _ in range(MOST):
        export_id = _take(session)
        if export_id is None:
            break
        made += _make(session, export_id)
    return made


def expire(session: Session, user_id: int | None = None) -> None:
    """Erase copies whose day is over, of one person or of all. The caller commits."""
    over = update(DataExport).where(
        DataExport.state == "ready", DataExport.expires_at <= func.clock_timestamp()
    )
    mine = over if user_id is None else over.where(DataExport.user_id == user_id)
    session.execute(mine.values(state="expired", content=None))


def _take(session: Session) -> int | None:
    """The next one, ours for a while; commits. The more often it was tried, the longer it then waits."""
    due = select(DataExport).where(
        DataExport.state == "asked", DataExport.next_attempt_at <= func.clock_timestamp()
    )
    row = session.execute(due.order_by(DataExport.id).limit(1).with_for_update(skip_locked=True)).scalar()
    if row is not None:
        row.attempts += 1
        wait = min(LEASE * 2 ** min(row.attempts - 1, 9), LONGEST_WAIT)
        row.next_attempt_at = func.clock_timestamp() + wait
    export_id = None if row is None else row.id
    session.commit()
    return export_id


def _make(session: Session, export_id: int) -> bool:
    """One copy, from one moment; whether it was made. What stands in the way is tried again later."""
    user = session.get_one(User, session.get_one(DataExport, export_id).user_id)
    user_id = user.id
    try:
        with speaking_to(user):
            session.commit()
            zipped, problem = _zip(user_id), None
    except ExportTooLarge as too_large:
        zipped, problem = b"", str(too_large)
    except JobTimeout:
        session.rollback()
        raise
    except Exception as trouble:
        session.rollback()
        log.error("copy not made", exc_info=trouble, extra={"export": export_id})
        return False
    row = session.get(DataExport, export_id, with_for_update=True, populate_existing=True)
    if row is None or row.state != "asked":  # somebody else was faster, or the account is gone
        session.rollback()
        return False
    if problem is None:
        _ready(session, row, zipped)
    else:
        row.state, row.problem = "expired", problem
        subject = f"export {export_id}"
        audit.record(
            session, "export.too_large", actor="dunlin", user_id=user_id, subject=subject, alert=True
        )
    session.commit()
    return problem is None


def _zip(user_id: int) -> bytes:
    """From one snapshot of the database, so that no file tells of what another one doesn't know."""
    engine = db.engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(engine) as snapshot:
        at: datetime = database_now(snapshot)
        found = exporting.gather(snapshot, user_id)
    return exporting.pack(found, at, running.config().brand_name)


def _ready(session: Session, row: DataExport, zipped: bytes) -> None:
    at = database_now(session)
    row.state, row.content, row.ready_at, row.expires_at = "ready", zipped, at, at + LIFE
    user = session.get_one(User, row.user_id)
    with speaking_to(user):
        words = {"until": moment_text(at + LIFE)}
        notices.owe(
            session,
            "export_ready",
            f"export:{row.id}",
            user.email,
            {"export": row.id},
            words=words,
            user_id=user.id,
        )
    audit.record(session, "export.ready", actor="dunlin", user_id=row.user_id, subject=f"export {row.id}")

"""Counting tries in PostgreSQL. Losing Redis opens no door, and no account is locked for good."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.clock import now
from billing.models import RateHit

WINDOW = timedelta(minutes=15)


def bucket(*parts: str) -> str:
    """A counter's name; hashed, since parts are addresses of people and machines."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def hit(session: Session, name: str, limit: int, *, window: timedelta = WINDOW) -> int:
    """Count one try and commit. Returns the whole minutes to wait, 0 while ``limit`` is not passed.

    The window is fixed, and each try counts, so that guessing on while throttled does not help.
    """
    start = _start(window)
    row = insert(RateHit).values(bucket=name, window=start, hits=1)
    counted = row.on_conflict_do_update(
        index_elements=["bucket", "window"], set_={"hits": RateHit.hits + 1}
    ).returning(RateHit.hits)
    hits = session.execute(counted).scalar_one()
    session.commit()
    return _minutes_left(start + window) if hits > limit else 0


def undo(session: Session, name: str) -> None:
    """Take back one count, of a try that turned out right. The caller commits."""
    session.execute(
        update(RateHit)
        .where(RateHit.bucket == name, RateHit.window == _start(WINDOW))
        .values(hits=RateHit.hits - 1)
    )


def clear(session: Session, name: str) -> None:
    """Forget a counter, after a success. The caller commits."""
    session.execute(delete(RateHit).where(RateHit.bucket == name))


def forget_old(session: Session) -> None:
    """Remove counters that are a day old. The caller commits."""
    session.execute(delete(RateHit).where(RateHit.window < func.now() - timedelta(days=1)))


def hits(session: Session, name: str, *, window: timedelta = WINDOW) -> int:
    """How many tries the present window has counted."""
    found = select(RateHit.hits).where(RateHit.bucket == name, RateHit.window == _start(window))
    return session.execute(found).scalar() or 0


def within(session: Session, names: Iterable[str], time: timedelta) -> set[str]:
    """Which of these counters have counted anything in a window that began so lately, by the database's clock."""
    recent = (RateHit.bucket.in_(list(names)), RateHit.window > func.clock_timestamp() - time)
    return set(session.execute(select(RateHit.bucket).where(*recent).distinct()).scalars())


def _start(window: timedelta) -> datetime:
    seconds = int(window.total_seconds())
    return datetime.fromtimestamp(int(now().timestamp()) // seconds * seconds, UTC)


def _minutes_left(end: datetime) -> int:
    return max(1, -int(-(end - now()).total_seconds() // 60))

"""The one place that reads a clock: this machine's and the database's; and Stripe's seconds as ours.

Machines disagree about the time, and there is one database: whatever is decided by the time, and every deadline
that another process reads, goes by the database's clock. This machine's is for what people read.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def now() -> datetime:
    """The present moment by this machine's clock, aware, in UTC."""
    return datetime.now(UTC)


def database_now(session: Session) -> datetime:
    """The present moment by the database's clock, aware, in UTC; one query."""
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment


def from_stripe(seconds: int | None) -> datetime | None:
    """Stripe's Unix seconds as an aware UTC datetime; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def months_later(moment: datetime, months: int) -> datetime:
    """So many calendar months later; in a month that is too short, its last day (as Stripe counts its periods)."""
    years, month = divmod(moment.month - 1 + months, 12)
    year = moment.year + years
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))

"""Access that admins give free of charge, until a day, and take back. Stripe knows nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from billing import audit
from billing.clock import database_now
from billing.errors import CompChanged
from billing.models import Comp, User

# That a row gives access now.
HOLDS = Comp.ended_at.is_(None), Comp.until > func.clock_timestamp()
HELD = select(Comp).where(Comp.user_id.in_(bindparam("user_ids", expanding=True)), *HOLDS)


def holding(session: Session, user_ids: Sequence[int]) -> dict[int, Comp]:
    """What each of these people has by an admin at this moment of the database's clock, by user id."""
    found = session.execute(HELD, {"user_ids": list(user_ids)})
    return {one.user_id: one for one in found.scalars()}


def open_one(session: Session, user_id: int) -> Comp | None:
    """The person's open row, also where it is over by its date."""
    return session.execute(select(Comp).where(Comp.user_id == user_id, Comp.ended_at.is_(None))).scalar()


def give(
    session: Session, user_id: int, plan: str, until: datetime, *, reason: str, admin: int, seen: int
) -> Comp:
    """Give a plan until then, in place of the open row ``seen`` (its id, 0 for none).

    Raises CompChanged where another admin was faster: what this one agreed to is not so any more. Never commits.
    """
    before = _locked(session, user_id, seen)
    if before is not None:
        _end(session, before, admin)
    row = Comp(user_id=user_id, plan=plan, until=until, reason=reason, given_by=admin)
    session.add(row)
    session.flush()
    _record(session, "comp.given", row, admin, _picture(before) if before else None, _picture(row))
    return row


def take_back(session: Session, user_id: int, *, reason: str, admin: int, seen: int) -> None:
    """End the open row ``seen`` now. Raises CompChanged where it is not the open one any more. Never commits."""
    row = _locked(session, user_id, seen)
    if row is None:
        raise CompChanged("Nothing is given to them any more.")
    _end(session, row, admin)
    _record(session, "comp.taken_back", row, admin, _picture(row), {"reason": reason})


def _locked(session: Session, user_id: int, seen: int) -> Comp | None:
    """The open row. One admin at a time: the person's row is locked until the commit."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update())
    row = open_one(session, user_id)
    if (row.id if row else 0) != seen:
        raise CompChanged("Another admin changed it meanwhile.")
    return row


def _end(session: Session, row: Comp, admin: int) -> None:
    row.ended_at, row.ended_by = database_now(session), admin
    session.flush()  # before another one is opened, which the index would refuse


def _picture(row: Comp) -> dict[str, str]:
    return {"plan": row.plan, "until": row.until.isoformat(), "reason": row.reason}


def _record(
    session: Session, kind: str, row: Comp, admin: int, before: dict[str, str] | None, after: dict[str, str]
) -> None:
    audit.record(
        session,
        kind,
        actor=f"admin:{admin}",
        user_id=row.user_id,
        subject=f"comp {row.id}",
        before=before,
        after=after,
    )

"""The reconciler's passes, each of them written down: when, on whose word, what was missed and what was healed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, delete, distinct, func, select
from sqlalchemy.orm import Session

from billing import audit, notices, refresh
from billing.config import Config
from billing.errors import DunlinError
from billing.models import AuditEntry, Installation, SyncRun
from billing.refresh import Pass

# What only a pass of the reconciler writes: what came by webhook is Stripe's own doing.
HEALERS = ("reconciler", "events_api")
# More than this in one pass is no late webhook any more: a person should look.
LOUD = 5
KEPT = timedelta(days=90)
EVERY, FULL_EVERY = timedelta(hours=1), timedelta(days=1)
# A pass that failed is made again after this long, so that Stripe's being away for a moment costs no hour.
AGAIN_AFTER = timedelta(minutes=5)


def ask(session: Session, actor: str) -> SyncRun:
    """Ask for a pass; the clock makes it within seconds. One that waits already is enough. The caller commits."""
    session.execute(
        select(Installation.id).with_for_update()
    )  # of two who ask at once the second sees the first
    waiting = session.execute(_waiting()).scalar()
    if waiting is not None:
        return waiting
    run = SyncRun(actor=actor)
    session.add(run)
    return run


def make_asked(session: Session, config: Config) -> None:
    """Make the pass that somebody asked for, if there is one."""
    run = session.execute(_waiting()).scalar()
    session.rollback()
    if run is not None:
        _make(session, run.id, config)


def make_what_is_due(session: Session, config: Config) -> None:
    """Make the pass that somebody asked for, then the clock's own, if it is its time."""
    make_asked(session, config)
    whole = due(session)
    session.rollback()
    if whole is not None:
        make(session, config, "clock", full=whole)


def due(session: Session) -> bool | None:
    """Whether the pass that is due is a full one; None where none is due."""
    ended = select(func.clock_timestamp() - func.max(SyncRun.ended_at))
    whole = SyncRun.problem.is_(None)
    full, any_ = (
        session.execute(ended.where(*which)).scalar() for which in ((whole, SyncRun.full), (whole,))
    )
    failed = session.execute(ended.where(SyncRun.problem.is_not(None))).scalar()
    if failed is not None and failed < AGAIN_AFTER:
        return None
    if full is None or full >= FULL_EVERY:
        return True
    return False if any_ is None or any_ >= EVERY else None


def make(session: Session, config: Config, actor: str, *, full: bool = False) -> SyncRun:
    """Make a pass now. What stops it is written down, and raised."""
    run = SyncRun(actor=actor, full=full)
    session.add(run)
    session.commit()
    return _make(session, run.id, config)


def _make(session: Session, run_id: int, config: Config) -> SyncRun:
    run = session.get_one(SyncRun, run_id)
    run.started_at = _moment(session)
    session.commit()
    try:
        done = refresh.everything(session, config, full=run.full)
    except Exception as problem:  # whatever it is, the report must not say that the pass is still running
        session.rollback()
        known = isinstance(problem, DunlinError)
        _end(session, run_id, Pass(0, 0, 0), str(problem) if known else type(problem).__name__)
        raise
    return _end(session, run_id, done, None)


def _end(session: Session, run_id: int, done: Pass, problem: str | None) -> SyncRun:
    run = session.get_one(SyncRun, run_id, populate_existing=True)
    run.missed, run.compared, run.looked = done
    run.ended_at, run.problem = _moment(session), problem
    rows = select(func.count(distinct(AuditEntry.subject))).where(*_of(run))
    run.healed = session.execute(rows).scalar_one()
    if run.healed > LOUD:
        subject = f"run {run.id}: {run.healed} rows"
        audit.record(session, "reconciler.drift", actor=run.actor, subject=subject, alert=True)
        notices.admin_alert(session, f"drift:{run.id}", "The reconciler had much to heal", subject)
    session.commit()
    return run


def found(session: Session, run: SyncRun, *, alerts: bool, most: int) -> list[AuditEntry]:
    """What the pass healed, newest first, each with its row before and after; or what it could only tell of."""
    entries = select(AuditEntry).where(*_of(run, alerts=alerts)).order_by(AuditEntry.id.desc())
    return list(session.execute(entries.limit(most)).scalars())


def _of(run: SyncRun, *, alerts: bool = False) -> tuple[ColumnElement[bool], ...]:
    """An alert is no repair: it tells of what nobody but a person can heal."""
    until = run.ended_at if run.ended_at is not None else func.clock_timestamp()
    return (
        AuditEntry.at.between(run.started_at, until),
        AuditEntry.actor.in_(HEALERS),
        AuditEntry.alert.is_(alerts),
    )


def forget_old(session: Session) -> None:
    """Remove reports of passes that nobody asks about any more. The caller commits."""
    session.execute(delete(SyncRun).where(SyncRun.asked_at < func.now() - KEPT))


def _waiting() -> Select[SyncRun]:
    return select(SyncRun).where(SyncRun.started_at.is_(None)).order_by(SyncRun.id).limit(1)


def _moment(session: Session) -> datetime:
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment

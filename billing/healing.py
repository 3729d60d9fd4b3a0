"""The reconciler's passes, each of them written down: when, on whose word, what was missed and what was healed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from billing import audit, dunning, refresh
from billing.config import Config
from billing.errors import DunlinError
from billing.models import AuditEntry, Installation, SyncRun

# What only a pass of the reconciler writes: what came by webhook is Stripe's own doing.
HEALERS = ("reconciler", "events_api")
# More than this in one pass is no late webhook any more: a person should look.
LOUD = 5
KEPT = timedelta(days=90)


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


def make(session: Session, config: Config, actor: str) -> SyncRun:
    """Make a pass now. What stops it is written down, and raised."""
    run = SyncRun(actor=actor)
    session.add(run)
    session.commit()
    return _make(session, run.id, config)


def _make(session: Session, run_id: int, config: Config) -> SyncRun:
    run = session.get_one(SyncRun, run_id)
    run.started_at = _moment(session)
    session.commit()
    try:
        missed, looked = refresh.everything(session, config)
    except Exception as problem:  # whatever it is, the report must not say that the pass is still running
        session.rollback()
        known = isinstance(problem, DunlinError)
        _end(session, run_id, 0, 0, str(problem) if known else type(problem).__name__)
        raise
    return _end(session, run_id, missed, looked, None)


def _end(session: Session, run_id: int, missed: int, looked: int, problem: str | None) -> SyncRun:
    run = session.get_one(SyncRun, run_id, populate_existing=True)
    run.missed, run.looked, run.problem = missed, looked, problem
    run.ended_at, run.healed = _moment(session), _healed_since(session, run.started_at)
    if run.healed > LOUD:
        subject = f"run {run.id}: {run.healed} rows"
        audit.record(session, "reconciler.drift", actor=run.actor, subject=subject, alert=True)
        dunning.admin_alert(session, f"drift:{run.id}", "The reconciler had much to heal", subject)
    session.commit()
    return run


def _healed_since(session: Session, started: datetime | None) -> int:
    found = select(func.count()).where(AuditEntry.at >= started, AuditEntry.actor.in_(HEALERS))
    return session.execute(found).scalar_one()


def forget_old(session: Session) -> None:
    """Remove reports of passes that nobody asks about any more. The caller commits."""
    session.execute(delete(SyncRun).where(SyncRun.asked_at < func.now() - KEPT))


def _waiting() -> Select[SyncRun]:
    return select(SyncRun).where(SyncRun.started_at.is_(None)).order_by(SyncRun.id).limit(1)


def _moment(session: Session) -> datetime:
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment

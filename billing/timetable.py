"""The clock process: what is due now, again and again, by one leader at a time.

Nothing here reacts to a moment; each duty asks what is due. So a clock that was down loses nothing, and a
second clock waits for the lease. It survives PostgreSQL and Redis going away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from billing import (
    accounts,
    ahead,
    breaks,
    exports,
    healing,
    jobs,
    leases,
    lights,
    outbox,
    pace,
    pauses,
    payment_news,
    queues,
    registry,
    reminders,
    removing,
    running,
    throttle,
    writes,
)
from billing.config import Config
from billing.extensions import db
from billing.installation import current

log = logging.getLogger(__name__)
LEADER = "clock"
# A dead leader is replaced after 30 seconds and a tick; the sweep of the next one begins with its first tick.
LEADER_SECONDS = 30
TICK_SECONDS = 5.0


@dataclass
class Duty:
    """Something to do every so many seconds.

    What may take long has a lane of its own, a thread in which its duties are done one after the other; so no
    sweep waits for the reconciler, and the leader gives its sign of life whatever the lanes are at.
    """

    name: str
    every: float
    work: Callable[[Session, Config], object]
    lane: str = ""
    last: float = field(default=float("-inf"))


def duties() -> list[Duty]:
    """The lights, the bell, the sweep, the mail, the completer, the reconciler, and the cleaning."""
    return [
        Duty("lights", 30, lambda session, config: lights.tell(session)),
        # The clock does the work itself where no worker does; the bell shows whether there is one.
        Duty("ring", 60, lambda session, config: queues.ring()),
        # ``claims.CLAIM`` counts on the 10 seconds.
        Duty("sweep", 10, lambda session, config: jobs.apply_due(session), "sweep"),
        Duty("exports", 10, lambda session, config: exports.make_due(session), "send"),
        Duty("mail", 10, lambda session, config: outbox.send_due(session, config), "send"),
        Duty("writes", 30, lambda session, config: writes.finish_open(session), "send"),
        Duty("remind", 60, lambda session, config: _remind(session), "send"),
        Duty("resume", 60, lambda session, config: _resume(session), "send"),
        Duty("deadlines", 600, lambda session, config: _tell_what_is_due(session), "send"),
        Duty("delete", 60, lambda session, config: removing.delete_due(session), "delete"),
        Duty("announce", 600, ahead.owe_what_is_near, "send"),
        # Whether a pass is due is asked of those that ended: a clock that starts anew begins none for that.
        Duty("reconcile", 10, lambda session, config: healing.make_what_is_due(session, config), "look"),
        Duty("clean", 3600, lambda session, config: _clean(session), "look"),
    ]


def run(app: Flask, stop: threading.Event) -> None:
    """Tick until ``stop`` is set. An error of one duty is logged; it is tried again when it is due again."""
    plan = duties()
    lanes: dict[str, threading.Thread] = {}
    lease: leases.Lease | None = None
    while not stop.is_set():
        with app.app_context():
            try:
                lease = _lead(db.session(), lease)
                if lease is not None:
                    _begin_lanes(app, plan, lanes, stop)
                    _work(db.session(), _of("", plan), stop)
            except SQLAlchemyError as problem:
                lease = None
                _away(problem)
            finally:
                db.session.remove()
        stop.wait(TICK_SECONDS)
    if lease is not None:
        # At once: the next leader need not wait for our lanes, whose work may be done twice.
        _give_back(app, lease)
    for lane in lanes.values():
        lane.join()


def _begin_lanes(
    app: Flask, plan: list[Duty], lanes: dict[str, threading.Thread], stop: threading.Event
) -> None:
    """Begin each lane that has ended its last round, where one of its duties is due."""
    for name in {duty.lane for duty in plan} - {""}:
        mine = _of(name, plan)
        busy = name in lanes and lanes[name].is_alive()
        if not busy and any(_is_due(duty) for duty in mine):
            lanes[name] = threading.Thread(target=_drive, args=(app, mine, stop), name=f"clock-{name}")
            lanes[name].start()


def _drive(app: Flask, plan: list[Duty], stop: threading.Event) -> None:
    """One round of a lane, on a connection of its own."""
    with app.app_context(), pace.until(stop):
        try:
            _work(db.session(), plan, stop)
        except SQLAlchemyError as problem:
            _away(problem)
        finally:
            db.session.remove()


def _away(problem: SQLAlchemyError) -> None:
    log.error("clock can't reach the database", extra={"reason": type(problem).__name__})


def _give_back(app: Flask, lease: leases.Lease) -> None:
    with app.app_context():
        try:
            leases.free(db.session(), lease)
        except SQLAlchemyError as problem:  # the lease runs out by itself
            log.warning("clock stopped without its database", extra={"reason": type(problem).__name__})


def _lead(session: Session, lease: leases.Lease | None) -> leases.Lease | None:
    """Renew our lease or try to take it; and leave a sign of life."""
    if lease is not None:
        leases.free(session, lease)
    lease = leases.take(session, LEADER, seconds=LEADER_SECONDS)
    found = current(session)
    if lease is not None and found is not None:
        found.clock_seen_at = func.clock_timestamp()
    session.commit()
    return lease


def _work(session: Session, plan: list[Duty], stop: threading.Event) -> None:
    for duty in plan:
        if stop.is_set() or not _is_due(duty):
            continue
        duty.last = time.monotonic()
        try:
            duty.work(session, running.config())
        except Exception as problem:  # one duty's error must not end the clock; it will be due again
            session.rollback()
            log.error("duty failed", exc_info=problem, extra={"duty": duty.name})


def _is_due(duty: Duty) -> bool:
    return time.monotonic() - duty.last >= duty.every


def _of(lane: str, plan: list[Duty]) -> list[Duty]:
    return [duty for duty in plan if duty.lane == lane]


def _resume(session: Session) -> None:
    """Keep the resumption of each plan whose pause is over, once, and send it; a mail goes before each."""
    for request in pauses.due(session):
        registry.record(session, request)
    breaks.owe_what_is_near(session)
    session.commit()
    writes.send_new(session)


def _remind(session: Session) -> None:
    """Owe what time alone has made due about unpaid invoices, one by one."""
    for stripe_id in reminders.due(session):
        reminders.owe(session, stripe_id)
        session.commit()


def _tell_what_is_due(session: Session) -> None:
    """The admins' last word before a dispute can't be answered any more, once."""
    payment_news.owe_what_is_due(session)
    session.commit()


def _clean(session: Session) -> None:
    throttle.forget_old(session)
    accounts.forget_old(session)
    healing.forget_old(session)
    removing.forget_late(session)
    session.commit()

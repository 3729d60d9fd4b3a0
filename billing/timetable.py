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

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from billing import accounts, healing, jobs, leases, outbox, queues, throttle, writes
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.installation import current

log = logging.getLogger(__name__)
LEADER = "clock"
LEADER_SECONDS = 60
TICK_SECONDS = 5.0


@dataclass
class Duty:
    """Something to do every so many seconds. ``aside``: in a thread of its own, since it may take minutes; it may be
    cut off at any instruction when the process ends."""

    name: str
    every: float
    work: Callable[[Session, Config], object]
    last: float = field(default=float("-inf"))
    aside: bool = False
    thread: threading.Thread | None = None


def duties() -> list[Duty]:
    """The sweep, the mail, the completer, the reconciler, by itself and when asked, and the cleaning."""
    return [
        # The clock does the work itself where no worker does; the bell shows whether there is one.
        Duty("ring", 60, lambda session, config: queues.ring()),
        Duty("sweep", 15, lambda session, config: jobs.apply_due(session)),
        Duty("mail", 30, lambda session, config: outbox.send_due(session, config)),
        Duty("writes", 30, lambda session, config: writes.finish_open(session)),
        # Whether a pass is due is asked of those that ended: a clock that starts anew begins none for that.
        Duty("reconcile", 10, lambda session, config: healing.make_what_is_due(session, config), aside=True),
        Duty("clean", 3600, lambda session, config: _clean(session)),
    ]


def run(app: Flask, stop: threading.Event) -> None:
    """Tick until ``stop`` is set. An error of one duty is logged; it is tried again when it is due again."""
    config: Config = app.extensions["config"]
    plan = duties()
    lease: leases.Lease | None = None
    while not stop.is_set():
        with app.app_context():
            try:
                lease = _lead(db.session(), lease)
                if lease is not None:
                    _work(db.session(), config, plan, stop)
            except SQLAlchemyError as problem:
                lease = None
                log.error("clock can't reach the database", extra={"reason": type(problem).__name__})
            finally:
                db.session.remove()
        stop.wait(TICK_SECONDS)
    if lease is not None:
        _give_back(app, lease)


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
        found.clock_seen_at = now()
    session.commit()
    return lease


def _work(session: Session, config: Config, plan: list[Duty], stop: threading.Event) -> None:
    for duty in plan:
        if stop.is_set() or time.monotonic() - duty.last < duty.every:
            continue
        duty.last = time.monotonic()
        if duty.aside:
            _set_aside(duty, config)
        else:
            _do(duty, session, config)


def _do(duty: Duty, session: Session, config: Config) -> None:
    try:
        duty.work(session, config)
    except Exception as problem:  # one duty's error must not end the clock; it will be due again
        session.rollback()
        log.error("duty failed", exc_info=problem, extra={"duty": duty.name})


def _set_aside(duty: Duty, config: Config) -> None:
    """Do it in a thread, with a session of its own, unless it is still being done."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    def work() -> None:
        with app.app_context():
            try:
                _do(duty, db.session(), config)
            finally:
                db.session.remove()

    if duty.thread is None or not duty.thread.is_alive():
        duty.thread = threading.Thread(target=work, name=duty.name, daemon=True)
        duty.thread.start()


def _clean(session: Session) -> None:
    throttle.forget_old(session)
    accounts.forget_old(session)
    healing.forget_old(session)
    session.commit()

"""The clock: one leader at a time, no duty held up by another, through outages, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from billing import claims, jobs, leases, timetable
from billing.config import Config
from billing.extensions import db
from billing.installation import current
from billing.models import StripeEvent
from billing.timetable import Duty
from tests.admin_rows import queries
from tests.histories import cursor_at, later
from tests.processes import command, running
from tests.story import HOUR, config_of, count, shopper
from tests.support import wait_until
from tests.watching import Lines

Plan = Callable[..., None]


class Clock:
    """A clock in a thread of its own."""

    def __init__(self, app: Flask) -> None:
        self.stop = threading.Event()
        self.problems: list[BaseException] = []
        self._app = app
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            timetable.run(self._app, self.stop)
        except Exception as problem:  # noqa: BLE001 a thread's error would be seen by nobody
            self.problems.append(problem)

    def __enter__(self) -> Clock:
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.end()

    def has_ended(self, *, within: float) -> bool:
        self._thread.join(timeout=within)
        return not self._thread.is_alive()

    def end(self) -> None:
        """Tell it to stop; it must."""
        self.stop.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()
        assert self.problems == []


@pytest.fixture
def plan(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """``plan(work, …)``: the duties that are done at every tick, twenty times in a second.

    What is replaced are the list of duties and the time between two ticks; the loop and its lease are the
    product's. The real duties are tested where they are.
    """
    monkeypatch.setattr(timetable, "TICK_SECONDS", 0.05)

    def make(*works: Callable[[Session, Config], object], every: float = 0, lanes: str = "") -> None:
        lane = dict(zip(works, lanes.split(), strict=False))
        plan = [(getattr(work, "__name__", ""), every, work, lane.get(work, "")) for work in works]
        monkeypatch.setattr(timetable, "duties", lambda: [Duty(*one) for one in plan])

    return make


def tries(seen: list[str]) -> int:
    return len([one for one in seen if "insert into leases" in one])


def test_while_one_clock_works_another_one_waits(app: Flask, plan: Plan) -> None:
    at_work, go_on = threading.Semaphore(0), threading.Event()
    names: list[str] = []

    def work(session: Session, config: Config) -> None:
        names.append(threading.current_thread().name)
        at_work.release()
        go_on.wait(30)

    plan(work)
    with Clock(app) as one, Clock(app) as two:
        assert at_work.acquire(timeout=30)
        with queries() as seen:
            wait_until(lambda: tries(seen) >= 5, "the other clock to try again and again")
        assert len(names) == 1
        for clock in (one, two):
            clock.stop.set()
        go_on.set()


def test_a_clock_that_stops_hands_over_at_once(app: Flask, plan: Plan) -> None:
    done = threading.Semaphore(0)
    plan(lambda session, config: done.release())
    with Clock(app):
        assert done.acquire(timeout=30)
    lease = leases.take(db.session(), timetable.LEADER)
    assert lease is not None
    assert lease.fence > 1


def test_a_clock_that_died_is_replaced_when_its_lease_is_over(app: Flask, plan: Plan) -> None:
    done = threading.Semaphore(0)
    plan(lambda session, config: done.release())
    dead = leases.take(db.session(), timetable.LEADER, seconds=timetable.LEADER_SECONDS)
    assert dead is not None
    with Clock(app), queries() as seen:
        wait_until(lambda: tries(seen) >= 3, "the clock to try")
        assert not done.acquire(blocking=False)
        later(timetable.LEADER_SECONDS + 1)
        assert done.acquire(timeout=30)


def test_a_duty_that_fails_stops_neither_the_others_nor_itself(app: Flask, plan: Plan) -> None:
    tried, done = threading.Semaphore(0), threading.Semaphore(0)

    def bad(session: Session, config: Config) -> None:
        tried.release()
        session.execute(text("select 1 / 0"))

    def good(session: Session, config: Config) -> None:
        session.execute(text("select 1"))
        done.release()

    plan(bad, good)
    with Lines() as lines, Clock(app):
        for _ in range(2):
            assert tried.acquire(timeout=30)
            assert done.acquire(timeout=30)
    failed = [record for record in lines.records if record.getMessage() == "duty failed"]
    assert {record.duty for record in failed} == {"bad"}


def test_a_duty_that_takes_long_holds_up_neither_another_lane_nor_the_sign_of_life(
    app: Flask, plan: Plan
) -> None:
    long, swept, looked = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def look(session: Session, config: Config) -> None:
        looked.release()
        long.wait(30)

    def sweep(session: Session, config: Config) -> None:
        swept.release()

    plan(look, sweep, lanes="look sweep")
    with Clock(app) as clock, queries() as seen:
        assert looked.acquire(timeout=30)
        for _ in range(3):
            assert swept.acquire(timeout=30)
        wait_until(lambda: tries(seen) >= 3, "the leader to renew its lease")
        assert not looked.acquire(blocking=False), "a lane does one thing at a time"
        clock.stop.set()
        long.set()


def test_a_clock_that_is_stopped_waits_for_what_it_has_begun(app: Flask, plan: Plan) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def look(session: Session, config: Config) -> None:
        begun.set()
        go_on.wait(30)
        done.set()

    plan(look, lanes="look")
    with Clock(app) as clock:
        assert begun.wait(30)
        clock.stop.set()
        wait_until(lambda: leases.take(db.session(), timetable.LEADER), "the lead to be given back")
        assert not clock.has_ended(within=1)
        go_on.set()
        clock.end()
        assert done.is_set()


def test_claim_lease_leader_and_sweep_leave_no_event_of_a_dead_process_longer_than_a_minute() -> None:
    """The sums that the constants rest on. The clock may have died with the worker."""
    [sweep] = [duty for duty in timetable.duties() if duty.name == "sweep"]
    asks_stripe, statement, rq = 30, 5, 90
    held = max(claims.CLAIM.total_seconds(), leases.SECONDS)
    assert held + sweep.every + timetable.TICK_SECONDS < 60
    assert held > timetable.LEADER_SECONDS + timetable.TICK_SECONDS, "the next leader sweeps before that"
    assert asks_stripe + statement < leases.SECONDS, "whoever lives keeps its lease for a fetch and a write"
    assert jobs.WORK_SECONDS + jobs.LEASE_WAIT_SECONDS + asks_stripe + statement < rq


def test_the_lights_are_looked_at_often_enough_to_be_heard_of_within_a_minute() -> None:
    [look] = [duty for duty in timetable.duties() if duty.name == "lights"]
    assert look.every + timetable.TICK_SECONDS <= 60
    assert {duty.name for duty in timetable.duties() if duty.lane == ""} == {"lights", "ring"}, (
        "those are short"
    )


def test_a_duty_is_done_when_it_is_due_and_not_before(app: Flask, plan: Plan) -> None:
    done: list[int] = []
    plan(lambda session, config: done.append(1), every=3600)
    with Clock(app), queries() as seen:
        wait_until(lambda: tries(seen) >= 5, "five ticks")
    assert done == [1]


@contextmanager
def database_away(config: Config) -> Iterator[None]:
    """The server refuses every connection to our database, and has cut those that there were."""
    url = make_url(config.database_url)
    name, server = url.database, url.set(drivername="postgresql", database="postgres")
    address = server.render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'alter database "{name}" with allow_connections false')
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        try:
            yield
        finally:
            connection.execute(f'alter database "{name}" with allow_connections true')


def said(lines: Lines) -> int:
    return lines.text.count("clock can't reach the database")


def test_a_clock_outlives_its_database_and_goes_on_when_that_is_back(
    app: Flask, config: Config, plan: Plan
) -> None:
    done = threading.Semaphore(0)
    plan(lambda session, config: done.release())
    db.session.rollback()
    with Lines() as lines, Clock(app):
        assert done.acquire(timeout=30)
        with database_away(config):
            wait_until(lambda: said(lines) >= 2, "the clock to miss its database")
            while done.acquire(blocking=False):
                pass
        later(timetable.LEADER_SECONDS + 1)
        assert done.acquire(timeout=30)


def test_a_clock_can_be_stopped_while_its_database_is_away(
    app: Flask, config: Config, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't give its lease back then, and need not: that runs out."""
    done = threading.Semaphore(0)
    plan(lambda session, config: done.release())
    monkeypatch.setattr(timetable, "TICK_SECONDS", 3600)
    db.session.rollback()
    with Clock(app) as clock:
        assert done.acquire(timeout=30)
        with database_away(config):
            clock.end()


def test_a_clock_that_waits_for_its_next_tick_stops_without_waiting_for_it(
    app: Flask, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Semaphore(0)
    plan(lambda session, config: done.release())
    monkeypatch.setattr(timetable, "TICK_SECONDS", 3600)
    with Clock(app) as clock:
        assert done.acquire(timeout=30)
        clock.end()


def test_a_clock_that_is_told_to_stop_begins_no_other_duty(app: Flask, plan: Plan) -> None:
    done: list[str] = []
    clock = Clock(app)

    def first(session: Session, config: Config) -> None:
        done.append("first")
        clock.stop.set()

    plan(first, lambda session, config: done.append("second"))
    with clock:
        wait_until(clock.stop.is_set, "the first duty")
    assert done == ["first"]


def test_the_clock_applies_and_mails_what_no_bell_was_rung_for_and_stops_when_told(desk: Flask) -> None:
    """The whole process, as the Procfile starts it. There is no Redis and no worker."""
    cursor_at(HOUR)  # Stripe's list is of no matter here, and other tests made it long
    alice = shopper(desk)
    assert alice.pay(alice.order()).status == 303
    alice.sandbox.flush()
    assert count(StripeEvent, state=StripeEvent.PENDING) > 0
    with running(command("clock"), config_of(desk)) as clock:
        wait_until(lambda: alice.mails() == ["receipt"] or clock.poll() is not None, "the receipt")
        clock.terminate()
        output, _ = clock.communicate(timeout=30)
    assert clock.returncode == 0, output.decode()
    assert '"what": "red lights", "lights": ["worker stopped"' in output.decode(), (
        "nobody else watches: no worker has been seen"
    )
    assert (alice.row.status, count(StripeEvent, state=StripeEvent.PENDING)) == ("active", 0)
    found = current(db.session())
    assert found is not None
    assert found.clock_seen_at is not None
    assert leases.take(db.session(), timetable.LEADER) is not None

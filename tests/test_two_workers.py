"""Two workers have events of one subscription, and hand over to each other at every pair of steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import stripe
from flask import Flask
from sqlalchemy import Connection, event, text

from billing import jobs, leases, stripe_client
from billing.extensions import db
from billing.models import StripeEvent
from local.mailsink import MailSink
from tests.draining import drain
from tests.histories import about
from tests.mortal import writes
from tests.scene import AtDesk
from tests.story import DAY, Shopper, config_of, events, shopper
from tests.support import wait_until
from tests.ways import store

LEASE_OVER = timedelta(seconds=leases.SECONDS + 1)


class Worker:
    """Applies one event in a thread of its own, and stands still at one of its steps until it is told to go on."""

    def __init__(self, desk: Flask, event_id: str, stop_at: int) -> None:
        self.steps, self._stop_at = 0, stop_at
        self._there, self._go = threading.Event(), threading.Event()
        self._desk, self._event_id = desk, event_id

    def start(self, pool: ThreadPoolExecutor) -> Future[None]:
        self._future = pool.submit(self._work)
        return self._future

    def here(self) -> None:
        if self.steps == self._stop_at:
            self._there.set()
            assert self._go.wait(30)
        self.steps += 1

    def go_on(self) -> None:
        self._there.clear()
        self._go.set()

    def settled(self) -> bool:
        """It stands still, has ended, or waits for a lock of the other one."""
        return self._there.is_set() or self._future.done() or waits_for_a_lock()

    def ended(self) -> bool:
        return self._future.done() or waits_for_a_lock()

    def _work(self) -> None:
        _mine.worker = self
        with self._desk.app_context():
            jobs.apply_one(db.session(), self._event_id)


_mine = threading.local()


def step(*_: Any) -> None:
    """The thread that comes here is at its next step."""
    worker = getattr(_mine, "worker", None)
    if worker is not None:
        worker.here()


class Stepping(stripe.RequestsClient):
    """Before Stripe is asked, and with its answer in hand."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        step()
        answer = super().request(*args, **kwargs)
        step()
        return answer


@contextmanager
def stepping(desk: Flask) -> Iterator[None]:
    """A step ends before each commit that writes, and on both sides of each request to Stripe."""
    engine = db.engine
    desk.extensions["stripe"] = stripe_client.connect(config_of(desk), Stepping(timeout=60))
    event.listen(engine, "commit", step_that_writes)
    yield
    event.remove(engine, "commit", step_that_writes)


def step_that_writes(connection: Connection) -> None:
    if writes(connection.connection):
        step()


def waits_for_a_lock() -> bool:
    db.session.rollback()
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    found = db.session.execute(text(waiting)).scalar_one()
    db.session.rollback()
    return bool(found)


def the_lease_is_over() -> None:
    """For whoever holds one, unless they are in the middle of their write: then nobody can take it over."""
    free = "select name from leases for update skip locked"
    back = f"update leases set until = until - :by where name in ({free})"
    db.session.execute(text(back), {"by": LEASE_OVER})
    db.session.commit()


@pytest.fixture
def scene(desk: Flask, mails: MailSink) -> AtDesk:
    return AtDesk(desk, mails)


@pytest.fixture
def alice(desk: Flask, scene: AtDesk) -> Shopper:
    person = shopper(desk)
    person.subscribe()
    person.sandbox.control("trouble", delivery="drop")
    return person


class Pair:
    """The older worker begins, the newer one takes over, and each of them goes on where it stood."""

    def __init__(self, alice: Shopper, scene: AtDesk) -> None:
        self._alice, self._scene, self.plan = alice, scene, alice.row.stripe_id
        self._end = int(time.time()) + DAY

    def meet(self, first: int, second: int) -> tuple[Worker, Worker]:
        """The first one stops before step ``first``; while it stands, Stripe's state becomes another one."""
        with ThreadPoolExecutor(2) as pool:
            older = self._begin(pool, first)
            the_lease_is_over()
            newer = self._begin(pool, second)
            older.go_on()
            wait_until(older.ended, "the older one to be done")
            newer.go_on()
        return older, newer

    def check(self) -> None:
        """What was asked later is never covered by what was asked before; and nothing is lost."""
        older, newer = self._ids
        if events(event_id=newer)[0].state == StripeEvent.APPLIED:
            assert self._seen() == self._end, "an older state was put over a newer one"
        for one in (older, newer):
            # put back untried, or a lock took too long; the database's own guard needed not to step in
            [found] = events(event_id=one)
            assert found.reason in (None, "OperationalError")
        drain(self._alice.desk, delivers=False)
        assert self._seen() == self._end
        self._scene.ask()

    def _begin(self, pool: ThreadPoolExecutor, stop_at: int) -> Worker:
        self._end += 1
        self._alice.sandbox.stripe.subscriptions.update(self.plan, {"cancel_at": self._end})
        news = about(self._alice, self.plan)
        store([news])
        self._ids = (*getattr(self, "_ids", ())[-1:], news["id"])
        worker = Worker(self._alice.desk, news["id"], stop_at)
        worker.start(pool)
        wait_until(worker.settled, "the worker to stand still")
        return worker

    def _seen(self) -> int:
        end = self._alice.row.cancel_at
        assert end is not None
        return int(end.timestamp())


def test_two_workers_that_hand_over_at_any_pair_of_steps_put_no_older_state_over_a_newer_one(
    desk: Flask, alice: Shopper, scene: AtDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the newer one begins, the older one's lease has just run out. Each pair ends with all oracles."""
    # only a time is changed: how long a worker stands before a lease that somebody has
    monkeypatch.setattr(jobs, "LEASE_WAIT_SECONDS", 0)
    pair = Pair(alice, scene)
    with stepping(desk):
        alone, _ = pair.meet(99, 99)
        pair.check()
        assert alone.steps >= 6, "a door was lost"
        for first in range(alone.steps):
            for second in range(alone.steps + 1):
                pair.meet(first, second)
                pair.check()

"""Everything is killed in turn while deliveries come: what was taken is applied, once, and is what Stripe holds.

The processes are those of the Procfile, with a PostgreSQL and a Redis of their own; a process that died is started
again, as the platform does it, and that is all that anybody does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import func, select

from billing import catalogue, installation
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeEvent
from billing.payloads import Object
from local.mailsink import MailSink
from local.ports import free_port
from local.postgres import EphemeralPostgres
from local.redis import server_program
from tests.commands import OwnRedis, Running, started
from tests.conftest import ROOT, dispose, make_app, make_config
from tests.histories import History, at_stripe, later, sandbox_in, with_us
from tests.served import Served, served
from tests.story import Shopper, config_of, count, events, shopper
from tests.support import Sandbox, wait_until

PEOPLE = 3
# The longest that a dead process may keep anybody waiting.
MINUTE = 60.0


class Crashing(EphemeralPostgres):
    """A server of this test alone, which may crash and come back."""

    def crash(self) -> None:
        """As ``pg_ctl restart -m immediate``: nothing is written any more, and it recovers from its log."""
        [child] = self._children.running
        cluster = (self._folder / "postgres").resolve() / "cluster"
        os.kill(int((cluster / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        child.process.wait(timeout=60)
        self._children.stop([child], 10)
        self.server.released()
        self.server.wait(self.server.start(self._children))


def redis_on(port: int, folder: Path) -> OwnRedis:
    words = [
        str(server_program()),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    redis = OwnRedis(f"redis://127.0.0.1:{port}/0", subprocess.Popen(words, stdout=subprocess.DEVNULL))
    wait_until(redis.answers, "Redis to answer")
    return redis


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class House:
    """All that runs, and the ways in which it breaks."""

    app: Flask
    folder: Path
    postgres: Crashing
    redis: OwnRedis
    stack: ExitStack
    web: Served = field(init=False)
    worker: Running = field(init=False)
    clock: Running = field(init=False)

    def open(self) -> None:
        """There is no clock yet: whatever is claimed, the worker has it."""
        self.web = self.stack.enter_context(served(config_of(self.app), self.folder, workers=1))
        self.start("work")

    def start(self, name: str) -> None:
        running = self.stack.enter_context(started(name, config_of(self.app), self.folder))
        setattr(self, {"work": "worker", "clock": "clock"}[name], running)

    @contextmanager
    def at_work(self) -> Iterator[int]:
        """The worker's child, which has claimed events and waits for Stripe."""
        self.stripe_is("slow")
        horse = wait_until(self.horse, "a worker to have claimed something")
        yield int(horse)
        self.stripe_is("normal")

    def horse(self) -> int | None:
        claimed = StripeEvent.lease_until > func.clock_timestamp()
        db.session.rollback()
        waiting = db.session.execute(select(StripeEvent.event_id).where(claimed).limit(1)).scalar()
        return next(iter(children(self.worker.process.pid)), None) if waiting else None

    def stripe_is(self, api: str) -> None:
        sandbox: Sandbox = self.app.extensions["sandbox"]
        sandbox.control("trouble", api=api, api_path="/v1/subscriptions", slow_seconds=3)

    def web_is_killed(self) -> None:
        for pid in children(self.web.process.pid):
            os.kill(pid, signal.SIGKILL)

    def horse_is_killed(self) -> None:
        with self.at_work() as horse:
            os.kill(horse, signal.SIGKILL)

    def parent_alone_is_killed(self) -> None:
        with self.at_work():
            self.worker.process.kill()
            self.worker.process.wait(timeout=10)
        self.start("work")

    def worker_sleeps_past_its_lease(self) -> None:
        with self.at_work() as horse:
            sleeping = [horse, self.worker.process.pid]
            for pid in sleeping:
                os.kill(pid, signal.SIGSTOP)
        later(MINUTE)
        self.start("clock")
        # nobody but the clock is there to take over
        wait_until(lambda: count(StripeEvent, state=StripeEvent.PENDING) == 0, "the clock to do the work", 60)
        for pid in sleeping:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def redis_is_flushed(self) -> None:
        with Redis.from_url(self.redis.url) as client:
            client.flushall()

    def redis_hangs(self) -> None:
        self.redis.process.send_signal(signal.SIGSTOP)

    def redis_is_lost(self) -> None:
        self.redis.process.send_signal(signal.SIGCONT)
        self.redis.vanish()
        self.redis = redis_on(int(self.redis.url.rpartition(":")[2].partition("/")[0]), self.folder)

    def postgres_crashes(self) -> None:
        self.postgres.crash()

    def clock_is_killed(self) -> None:
        self.clock.process.kill()
        self.clock.process.wait(timeout=10)
        self.start("clock")

    def faults(self) -> list[Callable[[], None]]:
        return [
            self.web_is_killed,
            self.horse_is_killed,
            self.redis_is_flushed,
            self.parent_alone_is_killed,
            self.worker_sleeps_past_its_lease,
            self.redis_hangs,
            self.redis_is_lost,
            self.postgres_crashes,
            self.clock_is_killed,
        ]


@pytest.fixture
def house(mails: MailSink, tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        # of its own: the clock's reconciler takes up whatever is in Stripe's list
        sandbox_process = stack.enter_context(sandbox_in(tmp_path))
        postgres = stack.enter_context(Crashing())
        redis = redis_on(free_port(), tmp_path)
        database, url = postgres.url(), redis.url
        config = make_config(database, smtp_port=mails.port, api_base=sandbox_process.url, REDIS_URL=url)
        application = make_app(config)
        application.extensions["sandbox"] = sandbox_process
        with application.app_context():
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            installation.record(db.session(), config, sandbox_process.account())
            db.session.commit()
            catalogue.push(db.session(), application.extensions["catalogue"])
            found = House(application, tmp_path, postgres, redis, stack)
            stack.callback(lambda: found.redis.vanish())
            try:
                yield found
            finally:
                db.session.remove()
                dispose()


def lives(people: list[Shopper], sandbox: Sandbox) -> None:
    """What happens at Stripe: each pays and renews, one will end, one fails to pay."""
    for person in people:
        assert person.pay(person.order()).status == 303
        sandbox.control(f"customers/{person.customer}/advance", to="next")
    ending, failing = people[0], people[1]
    [plan] = sandbox.stripe.subscriptions.list({"customer": ending.customer})["data"]
    sandbox.stripe.subscriptions.update(plan["id"], {"cancel_at_period_end": True})
    sandbox.control(f"customers/{failing.customer}/card", number="4000000000000341")
    for _ in range(4):
        sandbox.control(f"customers/{failing.customer}/advance", to="next")


@dataclass
class Stripe:
    """Sends each event until it is taken, and keeps what was."""

    house: House
    taken: set[str] = field(default_factory=set)

    def send(self, some: list[Object]) -> None:
        for event in some:
            wait_until(lambda event=event: self._taken(event), "a delivery to be taken", 60)

    def _taken(self, event: Object) -> bool:
        try:
            answer = self.house.web.deliver(json.dumps(event).encode())
        except OSError:
            return False
        assert answer.status in (200, 503), answer
        self.taken |= {event["id"]} if answer.status == 200 else set()
        return answer.status == 200


def test_whatever_is_killed_all_that_was_taken_is_applied_once_and_is_what_stripe_holds(
    house: House, mails: MailSink
) -> None:
    people = [shopper(house.app, f"person{number}@example.com") for number in range(PEOPLE)]
    history = History(house.app)
    lives(people, house.app.extensions["sandbox"])
    news, faults = history.news(), house.faults()
    db.session.rollback()
    house.open()
    stripe, share = Stripe(house), -(-len(news) // len(faults))
    with ThreadPoolExecutor(1) as pool:
        for number, fault in enumerate(faults):
            sending = pool.submit(stripe.send, news[number * share : (number + 1) * share])
            fault()
            sending.result(timeout=90)
            db.session.rollback()
    assert stripe.taken == {event["id"] for event in news} == {event.event_id for event in events()}
    later(MINUTE)
    wait_until(lambda: count(StripeEvent, state=StripeEvent.PENDING) == 0, "everything to be applied", 60)
    assert {event.state for event in events()} == {StripeEvent.APPLIED, StripeEvent.IGNORED}
    assert {event.attempts for event in events()} == {1}, (
        "being killed is no failure of an event, and once is enough"
    )
    wait_until(lambda: count(Notice, state="queued") == count(Notice, state="sending") == 0, "the mails", 60)
    for person in people:
        assert with_us(person) == at_stripe(person)
    record = db.session.query(AuditEntry).filter_by(kind="subscription.status")
    changes = [(entry.subject, (entry.after or {})["status"]) for entry in record]
    assert len(changes) == len(set(changes)) >= PEOPLE, "a change was written down twice"
    ids = [received.message["Message-ID"] for received in mails.messages]
    assert len(ids) == len(set(ids)) > 0, "a mail left twice"
    assert (
        count(Notice, state="sent")
        <= len(ids)
        <= count(Notice, state="sent") + count(Notice, state="unknown")
    )

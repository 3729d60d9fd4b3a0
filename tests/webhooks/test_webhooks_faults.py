"""PostgreSQL crashes, is full, has no place left, hangs or answers too late: nothing that was promised is missing.

Whatever happens, a delivery is answered 200 after its commit or 503; after the fault Stripe's next delivery of
the same event is taken, and there is one row.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from sqlalchemy.engine import make_url

from billing.config import Config
from tests.cable import LOSE, Cable
from tests.conftest import make_config
from tests.draining import drain
from tests.intake import another_app, connect, paid, stored
from tests.own_postgres import OwnPostgres, SmallDisk, own_postgres
from tests.scene import AtDesk
from tests.support import Sandbox, deliver, make_event, wait_until
from tests.watching import Bell


@pytest.fixture(scope="module")
def server(sandbox_process: Sandbox) -> Iterator[OwnPostgres]:
    """With the sandbox as the Stripe of whoever uses it."""
    with own_postgres() as found:
        found.config = replace(found.config, stripe_api_base=sandbox_process.url)
        yield found


@pytest.fixture(scope="module")
def payment(sandbox_process: Sandbox) -> str:
    """A payment at Stripe of somebody who is nobody here: an event of it is applied, and is none of ours."""
    made = sandbox_process.stripe.payment_intents.create({"amount": 500, "currency": "eur"})
    return str(made["id"])


@dataclass
class Stripe:
    """Delivers events one after the other, and keeps what it was answered. ``big``: each needs half a megabyte on the
    disk, for it can't be compressed."""

    app: Flask
    payment: str
    big: bool = False
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    answers: set[int] = field(default_factory=set)

    def make(self) -> dict[str, Any]:
        noise = secrets.token_hex(250_000) if self.big else ""
        thing = {"id": self.payment, "object": "payment_intent"}
        return make_event("payment_intent.succeeded", thing, noise=noise)

    def send(self) -> int:
        event = self.make()
        self.sent[event["id"]] = event
        return self.again(event)

    def again(self, event: dict[str, Any]) -> int:
        with self.app.app_context():
            status = deliver(self.app, event).status_code
        self.answers.add(status)
        if status == 200:
            self.taken.add(event["id"])
        return status


def rows_of(config: Config) -> list[str]:
    with connect(config) as other:
        return [name for (name,) in other.execute("select event_id from stripe_events").fetchall()]


def assert_whole(stripe: Stripe, config: Config) -> None:
    """Everything that was taken is there; what was not is taken when it comes again; all is applied, and all oracles
    are content."""
    assert stripe.answers <= {200, 503}
    assert stripe.taken <= set(rows_of(config)), "an event was answered 200 and is gone"
    assert [stripe.again(event) for event in stripe.sent.values()] == [200] * len(stripe.sent)
    scene = AtDesk(stripe.app)
    scene.acked = set(stripe.sent)
    drain(stripe.app)
    scene.ask()


def test_a_server_that_crashes_under_load_loses_nothing_that_was_answered(
    server: OwnPostgres, payment: str
) -> None:
    with server.connect() as settings:  # so that only what is flushed by its own commit is on disk
        settings.execute("alter system set wal_writer_delay = '10s'")
        settings.execute("alter database dunlin set synchronous_commit = off")
    over = threading.Event()
    with another_app(server.config) as app, ThreadPoolExecutor(3) as pool:
        Bell(app)
        stripes = [Stripe(app, payment) for _ in range(3)]

        def work(stripe: Stripe) -> None:
            while not over.is_set():
                stripe.send()

        running = [pool.submit(work, stripe) for stripe in stripes]
        try:
            for _ in range(3):
                enough = sum(len(stripe.taken) for stripe in stripes) + 20
                wait_until(lambda: sum(len(stripe.taken) for stripe in stripes) > enough, "deliveries")  # noqa: B023
                server.crash()
                server.start()
        finally:
            over.set()
        for future in running:
            future.result(30)
        for stripe in stripes:
            assert 503 in stripe.answers, "nobody noticed the crash"
            assert_whole(stripe, server.config)


def take_every_place(server: OwnPostgres, others: ExitStack) -> None:
    while True:
        others.enter_context(server.connect())


def test_a_server_without_a_place_for_another_connection_loses_nothing(
    server: OwnPostgres, payment: str
) -> None:
    with another_app(server.config) as app, ExitStack() as others:
        Bell(app)
        stripe = Stripe(app, payment)
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            take_every_place(server, others)
        assert stripe.send() == 503
        others.close()
        assert_whole(stripe, server.config)


@contextmanager
def disk_of(megabytes: int, server: OwnPostgres) -> Iterator[SmallDisk]:
    """Beside the server's own files. Where we may not mount one, the test is skipped."""
    try:
        with SmallDisk(server.cluster.parent / "disk", server.owner, megabytes) as disk:
            yield disk
    except PermissionError as problem:
        pytest.skip(str(problem))


def fill(other: psycopg.Connection[Any]) -> None:
    while True:
        other.execute("insert into filler select repeat(md5(n::text), 30) from generate_series(1, 1000) n")


@contextmanager
def table_on(disk: SmallDisk, server: OwnPostgres) -> Iterator[psycopg.Connection[Any]]:
    """The inbox on this disk, with nearly no room left."""
    with server.connect() as other:
        other.execute(sql.SQL("create tablespace small location {}").format(str(disk.folder)))
        other.execute("create table filler (noise text) tablespace small")
        other.execute("truncate stripe_events cascade")  # what other tests left may not fit there
        other.execute("alter table stripe_events set tablespace small")
        try:
            with pytest.raises(psycopg.errors.DiskFull):
                fill(other)
            yield other
        finally:
            other.execute("drop table if exists filler")
            other.execute("alter table stripe_events set tablespace pg_default")
            other.execute("drop tablespace small")


@contextmanager
def log_on(disk: SmallDisk, server: OwnPostgres) -> Iterator[None]:
    """The server's log (WAL) on this disk."""
    log, there = server.cluster / "pg_wal", disk.folder / "pg_wal"
    server.crash()
    subprocess.run(["cp", "-a", log, there], check=True)
    shutil.rmtree(log)
    log.symlink_to(there)
    try:
        server.start()
        yield
    finally:
        server.crash()
        log.unlink()
        subprocess.run(["cp", "-a", there, log], check=True)
        server.start()


def test_a_server_whose_log_has_no_room_ends_and_goes_on_where_it_was(
    server: OwnPostgres, payment: str
) -> None:
    """PostgreSQL ends itself where it can't write its log; an operator makes room and starts it."""
    # Room for one more file of 16 MB, which the start may want, and not for two.
    used = sum(file.stat().st_size for file in (server.cluster / "pg_wal").glob("*")) // 2**20
    with another_app(server.config) as app, disk_of(used + 24, server) as disk, log_on(disk, server):
        Bell(app)
        stripe = Stripe(app, payment, big=True)
        wait_until(lambda: stripe.send() == 503, "the log to be full")
        assert stripe.taken
        assert "PANIC" in server.said()
        server.crash()
        disk.grow(used + 200)
        server.start()
        assert_whole(stripe, server.config)


def test_a_table_whose_disk_is_full_takes_nothing_until_there_is_room(
    server: OwnPostgres, payment: str
) -> None:
    with another_app(server.config) as app, disk_of(24, server) as disk, table_on(disk, server) as other:
        Bell(app)
        stripe = Stripe(app, payment, big=True)
        wait_until(lambda: stripe.send() == 503, "the disk to be full")
        other.execute("drop table filler")
        assert_whole(stripe, server.config)


# The way to the database.


@pytest.fixture
def cable(config: Config) -> Iterator[Cable]:
    with Cable(make_url(config.database_url).port or 5432) as found:
        yield found


@pytest.fixture
def far(config: Config, cable: Cable, sandbox_process: Sandbox) -> Iterator[Flask]:
    """An application whose database is at the other end of the cable."""
    url = make_url(config.database_url).set(host="127.0.0.1", port=cable.port, drivername="postgresql")
    address = url.render_as_string(hide_password=False)
    with another_app(make_config(address, api_base=sandbox_process.url)) as app:
        Bell(app)
        yield app


@pytest.mark.parametrize("met", ["never met", "met before"])
def test_a_database_that_hangs_is_not_waited_for(
    config: Config, cable: Cable, far: Flask, payment: str, met: str
) -> None:
    stripe = Stripe(far, payment)
    if met == "met before":
        assert stripe.send() == 200
    cable.hold()
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(stripe.send)
        try:
            assert hanging.result(30) == 503
        finally:
            cable.mend()
    wait_until(lambda: stripe.again(stripe.make()) == 200, "the connection to work again")
    assert_whole(stripe, config)


def test_an_answer_of_the_database_that_is_lost_after_the_commit_is_no_promise(
    config: Config, cable: Cable, far: Flask, payment: str
) -> None:
    """Nobody can know here whether it was committed: Stripe is told to send it again, and its row is found."""
    stripe = Stripe(far, payment)
    event = stripe.make()
    cable.strike(LOSE, b"INSERT INTO stripe_events")
    assert stripe.again(event) == 503
    assert (cable.lost, stored(config, event)) == (1, 1)
    assert stripe.again(event) == 200
    assert_whole(stripe, config)


def test_what_was_answered_is_on_disk_whatever_the_role_or_the_database_says(
    app: Flask, config: Config
) -> None:
    with connect(config) as other:
        name = other.info.dbname
        other.execute("create table seen as select current_setting('synchronous_commit') as value limit 0")
        other.execute(
            "create function look() returns trigger language plpgsql as $$ begin"
            " insert into seen values (current_setting('synchronous_commit')); return new; end $$"
        )
        other.execute(
            "create trigger look before insert on stripe_events for each row execute function look()"
        )
        other.execute(sql.SQL("alter database {} set synchronous_commit = off").format(sql.Identifier(name)))
        try:
            with another_app(config) as application:
                Bell(application)
                assert deliver(application, paid()).status_code == 200
            with connect(config) as plain:
                assert plain.execute("show synchronous_commit").fetchone() == ("off",)
            assert other.execute("select value from seen").fetchall() == [("on",)]
        finally:
            other.execute(sql.SQL("alter database {} reset synchronous_commit").format(sql.Identifier(name)))
            other.execute("drop function look cascade")
            other.execute("drop table seen")

"""Workers, started once and waiting; events for them; and how long they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from redis import Redis

from benchmarks.ground import ROOT
from benchmarks.stand_in import numbered
from billing import queues
from billing.config import Config
from billing.extensions import db
from local.waiting import until
from tests.intake import another_app
from tests.processes import environ_of

AGAIN = 5.0  # seconds
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Crew:
    """Processes that apply events of one database; ``start`` tells them that there are some.

    ``again`` does so once more, as the clock would: one job of ours ends after 45 seconds, whatever still waits.
    """

    config: Config
    pids: tuple[int, ...]
    start: Callable[[Sequence[str]], None]
    again: Callable[[], object] = lambda: None

    def apply(self, ids: Sequence[str], seconds: float = 900) -> dict[str, float]:
        """Have these events applied: how many a second, and milliseconds of processor for each.

        Raises RuntimeError where they are not applied in time.
        """
        with connected(self.config) as rows:
            before, begun = self.cpu(), time.perf_counter()
            self.start(ids)
            told = begun
            while rows.execute("select 1 from stripe_events where state = 'pending' limit 1").fetchone():
                if time.perf_counter() - begun > seconds:
                    raise RuntimeError(f"not applied within {seconds:.0f} s")
                time.sleep(0.005)
                if time.perf_counter() - told > AGAIN:
                    self.again()
                    told = time.perf_counter()
            took = time.perf_counter() - begun
            wanted = "select state, reason from stripe_events where state <> 'applied' and event_id = any(%s)"
            if missing := rows.execute(wanted, [list(ids)]).fetchall():
                raise RuntimeError(f"{len(missing)} were not applied, such as {missing[0]}")
        return {"rate": len(ids) / took, "cpu": (self.cpu() - before) / len(ids) * 1000}

    def cpu(self) -> float:
        """Seconds of processor so far, those of every child with them."""
        return sum(cpu_of(pid) for pid in self.pids)


def cpu_of(pid: int) -> float:
    """Seconds of processor that a process and all its children have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # a child that has ended meanwhile; its parent has its time
        return 0.0
    return sum(map(int, fields[11:15])) / TICK + sum(cpu_of(int(child)) for child in children)


@contextmanager
def connected(config: Config) -> Iterator[psycopg.Connection]:
    with psycopg.connect(config.database_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@contextmanager
def workers(config: Config, count: int) -> Iterator[Crew]:
    """Our own workers, as the Procfile starts them, and their bell."""
    with another_app(config) as application:
        bell = application.extensions["bell"]

        def ring(_: Sequence[str]) -> None:
            for _number in range(count):
                queues._enqueue(bell)
                while bell.count:  # a second bell is only for a second worker
                    time.sleep(0.001)

        with started(config, [["-m", "flask", "--app", "app", "work"]] * count) as pids:
            yield Crew(config, pids, ring, lambda: queues._enqueue(bell))
        db.session.remove()


@contextmanager
def started(config: Config, commands: Sequence[Sequence[str]]) -> Iterator[tuple[int, ...]]:
    """Workers of RQ, once all of them listen."""
    processes = [
        subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environ_of(config), stderr=subprocess.DEVNULL
        )
        for words in commands
    ]

    def check() -> None:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("a worker ended")

    try:
        with Redis.from_url(config.redis_url) as server:
            until("The workers", lambda: int(server.scard("rq:workers")) == len(commands), check)
        yield tuple(process.pid for process in processes)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def people(config: Config, count: int) -> None:
    """Users that are customers at Stripe, numbered."""
    with connected(config) as rows:
        rows.execute(
            "insert into users (email, password_hash, email_confirmed_at, is_admin, stripe_customer_id)"
            " select 'person' || n || '@example.com', '', now(), false, 'cus_1BENCH' || lpad(n::text, 18, '0')"
            " from generate_series(0, %s - 1) n",
            [count],
        )


def events(config: Config, count: int, subjects: int) -> list[str]:
    """Store so many events about so many subscriptions in turn, as the intake leaves them; their ids."""
    start = time.time_ns() // 1000
    plans = [(numbered("sub", n), numbered("cus", n)) for n in range(subjects)]
    rows = [(numbered("evt", start + n), *plans[n % subjects]) for n in range(count)]
    with connected(config) as connection, connection.cursor() as cursor, connection.transaction():
        cursor.executemany(
            "insert into stripe_events (event_id, type, livemode, api_version, subject, object_id, customer_id,"
            " stripe_created, payload, source, state) values (%s, 'customer.subscription.updated', false,"
            " '2026-10-28.endive', %s, %s, %s, now(), '{}', 'webhook', 'pending')",
            [(event, plan, plan, customer) for event, plan, customer in rows],
        )
    return [event for event, _, _ in rows]

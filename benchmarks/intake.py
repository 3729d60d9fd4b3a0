"""Webhook intake: how many deliveries a second are verified, stored for good and answered, and how fast.

Run it as `python -m benchmarks.intake`; `--quick` for a look. Side by side, behind the server of the Procfile with two
processes, on one PostgreSQL that syncs every commit to the disk: our receiver, the naive one (`naive.py`), the bare
check of a signature (`floor.py`), and dj-stripe and stripe/sync-engine where they can be installed (`peer.py`,
`sync_engine.py`). Each delivery is a distinct event of 5 KB, signed beforehand. Nobody answers our bell meanwhile, so
that all rings but the first find one waiting; “answered” is ours with somebody who takes every ring at once, so that
each event rings anew. “twice” is ours with twice as many events stored before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from benchmarks import naive, peer, sync_engine
from benchmarks.crew import cpu_of
from benchmarks.ground import SECRET, Ground, ground, sandbox, served, template
from benchmarks.harness import Results, Turn, interleaved, machine, options, say, table
from benchmarks.load import SUBJECTS, measured
from benchmarks.ringing import answered_at_once
from benchmarks.stand_in import standing_in
from tests.processes import environ_of

NAIVE, FLOOR, OURS = "naive", "floor", "Dunlin"


@dataclass(frozen=True)
class Size:
    """How much is measured: seconds of each turn, numbers of connections, and events stored before."""

    seconds: float
    connections: tuple[int, ...]
    stored: int
    most: int


WHOLE, QUICK = Size(1.5, (1, 8, 32), 100_000, 8000), Size(0.3, (1, 8), 100, 600)


@dataclass(frozen=True)
class Receiver:
    """Where somebody takes deliveries, and the process whose children do it."""

    port: int
    path: str
    pid: int

    def turn(self, sample: Path, connections: int, seconds: float, most: int) -> dict[str, float]:
        """One turn, with the milliseconds of processor that the server's processes used for each answer."""
        before = cpu_of(self.pid)
        found = measured(
            self.port, self.path, sample, SECRET, connections=connections, seconds=seconds, most=most
        )
        return {**found, "cpu": (cpu_of(self.pid) - before) / found["answers"] * 1000}


def main() -> int:
    asked = options("Webhook intake beside a naive receiver, the floor, dj-stripe and stripe/sync-engine.")
    size = QUICK if asked.quick else WHOLE
    with ExitStack() as stack:
        base = stack.enter_context(ground())
        found = stack.enter_context(sandbox())
        plan = template(found)
        sample = base.folder / "event.json"
        sample.write_bytes(plan.event)
        receivers = start(stack, base, size)
        stripe = stack.enter_context(standing_in(found.url, plan.originals, 0.0))
        peers = stack.enter_context(peer.receivers(base, stripe, SECRET))
        peers |= stack.enter_context(sync_engine.receivers(base, SECRET))
        receivers |= {name: Receiver(*where) for name, where in peers.items()}
        say(f"{machine()}; {sample.stat().st_size:,} bytes, turns of {size.seconds} s, {asked.rounds} rounds")
        for connections in size.connections:
            figures = compare(receivers, sample, size, connections, asked.rounds)
            say(f"\n{connections} connections\n\n{report(figures)}")
    return 0


def start(stack: ExitStack, base: Ground, size: Size) -> dict[str, Receiver]:
    """Ours, the naive one and the floor, each behind a server of its own."""
    database = base.empty("naive").replace("postgresql:", "postgresql+psycopg:")
    settings = {"NAIVE_DATABASE_URL": database, "NAIVE_SECRET": SECRET, "FLOOR_SECRET": SECRET}
    naive.make_tables(database, [f"sub_1BENCH{number:018}" for number in range(SUBJECTS)])

    def behind(target: str, environ: Mapping[str, str], path: str) -> Receiver:
        port, pid = stack.enter_context(served(base, target, dict(environ)))
        return Receiver(port, path, pid)

    ours = {name: base.database(f"ours_{number}") for number, name in enumerate((OURS, f"{OURS}, twice"))}
    for times, config in enumerate(ours.values(), start=1):
        fill(config.database_url, times * size.stored)
    receivers = {
        NAIVE: behind("benchmarks.naive:create_app()", settings, "/webhook"),
        FLOOR: behind("benchmarks.floor:app", settings, "/"),
        **{
            name: behind("app:web()", environ_of(config), "/webhooks/stripe") for name, config in ours.items()
        },
    }
    answered = base.database("ours_answered", REDIS_URL=f"{base.redis_url[:-1]}1")
    stack.enter_context(answered_at_once(answered.redis_url))
    receivers[f"{OURS}, answered"] = behind("app:web()", environ_of(answered), "/webhooks/stripe")
    return receivers


def compare(
    receivers: Mapping[str, Receiver], sample: Path, size: Size, connections: int, rounds: int
) -> Results:
    """Each receiver in its turn, after a short one that nobody counts."""
    kinds: dict[str, Callable[[], Turn]] = {
        name: partial(one.turn, sample, connections, size.seconds, size.most)
        for name, one in receivers.items()
    }
    for one in receivers.values():
        one.turn(sample, connections, 0.2, 200)
    return interleaved(kinds, rounds)


def report(found: Results) -> str:
    rows = [
        [
            kind,
            found[kind, "rate"],
            found.ratio(kind, NAIVE, "rate"),
            found.ratio(kind, FLOOR, "rate"),
            found[kind, "p50"],
            found[kind, "p99"],
            found.ratio(kind, NAIVE, "p99"),
            found[kind, "cpu"],
            found.ratio(NAIVE, kind, "cpu"),
            found.ratio(OURS, kind, "rate"),
        ]
        for kind in found.kinds
    ]
    heads = ["receiver", "answers/s", "× naive", "of floor", "p50 ms", "p99 ms", "p99 × naive"]
    heads += ["CPU ms", "naive’s CPU × this", "Dunlin × this"]
    return table(heads, rows)


def fill(url: str, events: int) -> None:
    """Applied events that are there before: small ones, since what grows is the index."""
    address = url.replace("postgresql+psycopg:", "postgresql:")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "insert into stripe_events (event_id, type, livemode, subject, object_id, customer_id, stripe_created,"
            " payload, source, state, attempts, received_at, next_attempt_at, applied_at)"
            " select 'evt_0' || n, 'customer.subscription.updated', false, 'sub_' || n %% 1000, 'sub_' || n %% 1000,"
            " 'cus_' || n %% 1000, now(), '{}', 'webhook', 'applied', 1, now(), now(), now()"
            " from generate_series(1, %s) n",
            [events],
        )
        connection.execute("vacuum analyze stripe_events")


if __name__ == "__main__":
    sys.exit(main())

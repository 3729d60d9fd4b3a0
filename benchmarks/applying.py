"""From event to row: how many events a second one worker and two of them apply, and what Stripe is asked for.

Run it as `python -m benchmarks.applying`; `--quick` for a look. Our workers are those of the Procfile, and Stripe is a
stand-in that takes a stated time for each answer (`stand_in.py`). “Together” are many events about few subscriptions,
which are asked for once; the baseline is one RQ job for each event, which asks for nothing (`per_event.py`). “Each” is
one event for each subscription, every one of them asked for. At the end: what a backlog costs Stripe.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from benchmarks import per_event
from benchmarks.crew import Crew, events, people, started, workers
from benchmarks.ground import Ground, ground, sandbox, template
from benchmarks.harness import Results, Turn, interleaved, machine, options, say, table
from benchmarks.intake import fill
from benchmarks.stand_in import asked, standing_in
from billing.config import Config

FORKING, SIMPLE = "a job each, forking", "a job each, simple"
TOGETHER, TWO, TWICE = "together", "together, two workers", "together, twice as many stored"
EACH, EACH_TWO = "each", "each, two workers"


@dataclass(frozen=True)
class Size:
    """How many events in one turn of each kind, seconds for an answer of Stripe, and events stored before."""

    jobs: int
    together: int
    subjects: int
    each: int
    answer: float
    stored: int
    backlog: tuple[int, int]


WHOLE = Size(40, 5000, 10, 60, 0.02, 100_000, (10_000, 1000))
QUICK = Size(5, 300, 3, 8, 0.002, 100, (240, 20))


def main() -> int:
    given = options("Events applied per second, and requests to Stripe.")
    size = QUICK if given.quick else WHOLE
    with ExitStack() as stack:
        base = stack.enter_context(ground())
        found = stack.enter_context(sandbox())
        originals = template(found).originals
        slow = stack.enter_context(standing_in(found.url, originals, size.answer))
        quick = stack.enter_context(standing_in(found.url, originals, 0.0))
        crews = start(stack, base, size, slow)
        say(f"{machine()}; Stripe answers in {size.answer * 1000:.0f} ms, {given.rounds} rounds")
        say(f"\n{report(compare(crews, size, given.rounds))}\n")
        say(backlog(base, quick, *size.backlog))
    return 0


def database(base: Ground, name: str, stored: int, number: int, stripe: str) -> Config:
    """A database with customers and old events in it, and a Redis of its own."""
    config = base.database(name, api_base=stripe, REDIS_URL=f"{base.redis_url[:-1]}{number}")
    people(config, 1000)
    fill(config.database_url, stored)
    return config


def start(stack: ExitStack, base: Ground, size: Size, stripe: str) -> dict[str, Crew]:
    """Every crew, waiting. Those of one database share it, and have a Redis each."""
    shared = database(base, "shared", size.stored, 1, stripe)
    twice = database(base, "twice", 2 * size.stored, 2, stripe)
    crews = {TOGETHER: stack.enter_context(workers(shared, 1)), TWICE: stack.enter_context(workers(twice, 1))}
    pair = _elsewhere(base, shared, 3)
    crews[TWO] = stack.enter_context(workers(pair, 2))
    for number, (name, kind) in enumerate(((FORKING, "forking"), (SIMPLE, "simple")), start=4):
        config = _elsewhere(base, shared, number)
        pids = stack.enter_context(started(config, [["-m", "benchmarks.per_event", kind]]))
        crews[name] = Crew(config, pids, _enqueuing(config.redis_url))
    return crews


def _elsewhere(base: Ground, config: Config, number: int) -> Config:
    return replace(config, redis_url=f"{base.redis_url[:-1]}{number}")


def _enqueuing(redis_url: str) -> Callable[..., None]:
    return lambda ids: per_event.enqueue(redis_url, list(ids))


def compare(crews: Mapping[str, Crew], size: Size, rounds: int) -> Results:
    def turn(crew: Crew, count: int, subjects: int) -> Callable[[], Turn]:
        return lambda: crew.apply(events(crew.config, count, subjects))

    kinds = {name: turn(crews[name], size.jobs, size.jobs) for name in (FORKING, SIMPLE)}
    kinds |= {name: turn(crews[name], size.together, size.subjects) for name in (TOGETHER, TWO, TWICE)}
    kinds |= {
        EACH: turn(crews[TOGETHER], size.each, size.each),
        EACH_TWO: turn(crews[TWO], size.each, size.each),
    }
    for one in (EACH, TOGETHER, TWO, TWICE):
        kinds[one]()  # the first time makes rows, and mails; the measured ones change them
    return interleaved(kinds, rounds)


def report(found: Results) -> str:
    rows = [
        [kind, found[kind, "rate"], found.ratio(kind, FORKING, "rate"), found.ratio(kind, SIMPLE, "rate"),
         found.ratio(kind, TOGETHER, "rate"), found[kind, "cpu"]]
        for kind in found.kinds
    ]  # fmt: skip
    heads = [
        "way",
        "events/s",
        "× a job each, forking",
        "× a job each, simple",
        "× together",
        "CPU ms per event",
    ]
    return table(heads, rows)


def backlog(base: Ground, stripe: str, count: int, subjects: int) -> str:
    """What is asked of Stripe for so many events that wait."""
    config = database(base, "backlog", 0, 6, stripe)
    with ExitStack() as stack:
        crew = stack.enter_context(workers(config, 1))
        before = asked(stripe)
        found = crew.apply(events(config, count, subjects))
        requests = asked(stripe) - before
    return (
        f"Backlog: {count:,} events about {subjects:,} subscriptions: {requests:,} requests to Stripe,"
        f" {requests / subjects:.2f} for each subscription; {found['rate']:,.0f} events/s,"
        f" {found['cpu'] * count / subjects:.1f} ms of CPU for each subscription"
    )


if __name__ == "__main__":
    sys.exit(main())

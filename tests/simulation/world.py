"""One world: who is in it, what time it is, what happened, and what must never have happened."""

from __future__ import annotations

import email
import json
import logging
import random
import traceback
from collections import Counter, defaultdict
from email.header import decode_header, make_header
from email.message import Message
from typing import Any
from urllib.parse import parse_qs

from flask import Flask
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError

from billing.errors import DunlinError
from billing.extensions import db
from billing.queues import JobTimeout
from sandbox.engine import time as engine
from tests import oracles
from tests.simulation.at_stripe import OFTEN
from tests.simulation.crowd import Crowd, Gone, Process
from tests.simulation.doors import Poisoned
from tests.simulation.ground import PEOPLE, Ground
from tests.simulation.hours import BEGIN, hours
from tests.simulation.weather import Weather

# At a door where nobody holds a lock, so often others may go on first.
WAITS = 0.15
MOST = 6
# What people pay with, and which card they take later: of all kinds; such as fail at a renewal; such as ask their bank.
MANNERS = (
    (OFTEN, ["good", "good", "fails later"]),
    (["good"] * 8 + ["disputed"], ["fails later", "fails later", "fails later", "good"]),
    (["always asking", "asking at its first use", "good"] * 2 + ["declined"], ["good", "fails later"]),
)
# What our code logs on a rare way.
SAID = {"lease lost before the write": "stale fence", "event not stored": "delivery answered 503"}


class World:
    """``trace``: what happened, line by line. ``wrong``: what must not be. ``hits``: how often each probe was."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self.ground, self.seed = ground, seed
        self.chance = random.Random(seed)
        self.weather, self.crowd = Weather(self.chance), Crowd()
        self.trace: list[str] = []
        self.wrong: list[str] = []
        self.hits: Counter[str] = Counter()
        self.acked: set[str] = set()
        self.had_accounts = set(PEOPLE)
        # What SMTP took: how often, by the message's id; and all of it, by whom it is for.
        self.mails: Counter[str] = Counter()
        self.letters: defaultdict[str, list[Message]] = defaultdict(list)
        # A world begins with nothing.
        self.since, self.owed = 0, set[str]()
        # Of which kinds the cards of these people are, at first and later.
        self.cards, self.later = self.chance.choice(MANNERS)
        self._numbers = 0
        # Until then somebody is stopped in the middle of a fetch.
        self.stopped_until = 0.0

    # what happens

    def note(self, what: str) -> None:
        self.trace.append(f"{hours.now - BEGIN:12.1f} {what}")

    def fails(self, what: str) -> None:
        self.wrong.append(what)
        self.note(f"WRONG: {what}")

    def hit(self, probe: str) -> None:
        self.hits[probe] += 1

    # who is there

    def begin(self, name: str, work: Any) -> Process:
        """A process of ours, in an application context of its own."""
        self._numbers += 1
        number = self._numbers

        def inside() -> None:
            with self.ground.app.app_context():
                try:
                    work()
                finally:
                    db.session.remove()

        self.note(f"{name} {number} begins")
        process = self.crowd.begin(f"{name} {number}", inside)
        if self.weather.strikes("skewed clock"):
            process.skew = self.chance.choice((-60.0, 60.0))
        return process

    def go_on(self, process: Process) -> None:
        self.crowd.go_on(process)
        if process.killed:
            oracles.no_row_stands_on_an_event_that_is_not_closed(self)
        if process.end is not None and not explained(process.end):
            self.note("".join(traceback.format_exception(process.end)))
            self.fails(f"{process.name} ended with {type(process.end).__name__}: {process.end}")

    def perhaps_wait(self) -> None:
        process = self.crowd.current
        if process is not None and self.chance.random() < WAITS:
            self.crowd.wait()
            if process.killed:
                raise Gone

    # what time does

    def passes(self, seconds: float) -> None:
        """Time passes for everybody, and Stripe does what falls due in it."""
        until = hours.now + seconds
        while (due := self._next_at_stripe()) is not None and due <= until:
            hours.now = max(hours.now, float(due))
            engine._step(None, int(hours.now))
        hours.now = until
        self.ground.move_database()

    def _next_at_stripe(self) -> int | None:
        found = self.ground.house.store.one("SELECT min(at) AS at FROM agenda WHERE clock IS NULL")
        return found["at"] if found else None

    # what passes the doors

    def asked(self, request: Any) -> None:
        """A write that can move money has a key that was committed before it left (promise I18)."""
        if request.method != "POST" or request.url.endswith("/create_preview"):
            return
        key = request.headers.get("Idempotency-Key")
        known = self.ground.raw.execute("select 1 from stripe_writes where idempotency_key = %s", [key])
        if known.fetchone() is None:
            self.fails(f"{request.url} was sent without a committed key: {parse_qs(request.body or '')}")

    def taken(self, data: bytes) -> None:
        message = email.message_from_bytes(data)
        self.mails["".join(str(message["Message-ID"]).split())] += 1
        self.letters[str(message["To"])].append(message)
        self.note(f"mail: {make_header(decode_header(message['Subject']))}")

    def heard(self, record: logging.LogRecord) -> None:
        """Into the trace; errors that the faults don't explain are wrong."""
        reason = getattr(record, "reason", "") or (
            type(record.exc_info[1]).__name__ if record.exc_info else ""
        )
        if record.getMessage() in SAID:
            self.hit(SAID[record.getMessage()])
        self.note(f"  log {record.name}: {record.getMessage()} {reason}")
        if record.exc_info and record.exc_info[1] is not None:
            problem = record.exc_info[1]
            if not explained(problem):
                self.note("".join(traceback.format_exception(problem)))
                self.fails(f"{record.name}: {record.getMessage()}: {type(problem).__name__}: {problem}")

    # what is so: it is a scene that oracles look at

    @property
    def app(self) -> Flask:
        return self.ground.app

    @property
    def is_late(self) -> bool:
        """Whether somebody's plan is late at Stripe."""
        return any(plan["status"] == "past_due" for plan in self.at_stripe("subscription"))

    def rows(self, sql: str, *args: Any) -> list[Any]:
        return self.ground.raw.execute(sql, args).fetchall()

    def at_stripe(self, kind: str, **where: Any) -> list[dict[str, Any]]:
        return self.ground.house.store.all(kind, **where)

    def requests(self) -> list[dict[str, Any]]:
        rows = self.ground.house.store.rows("SELECT body FROM requests ORDER BY seq")
        found = [json.loads(row["body"]) for row in rows]
        return [one for one in found if (one["idempotency_key"] or "").startswith("dunlin:")]

    def time_of(self, customer: str) -> float:
        return hours.now

    def at_most(self, customer: str, heard: float) -> float:
        return heard  # everybody has the same time, and we too


class Ear(logging.Handler):
    """Hears what our code logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.world: World | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.world is not None:
            self.world.heard(record)


def explained(problem: BaseException) -> bool:
    """Whether a fault of the weather may end so."""
    ours = isinstance(problem, IntegrityError | DataError | ProgrammingError)
    faults = SQLAlchemyError | DunlinError | Gone | JobTimeout | Poisoned
    return isinstance(problem, faults) and not ours

"""The four doors of a process, and what may happen at each: the database, Stripe, Redis and SMTP."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import redis
from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import default
from sqlalchemy.pool import Pool

from billing import claims, jobs, pace, queues, stripe_client, webhooks
from tests.simulation.crowd import Gone
from tests.simulation.hours import hours

if TYPE_CHECKING:
    from tests.simulation.world import World

DEADLOCK = "do $$ begin raise exception 'deadlock detected' using errcode = '40P01'; end $$"
JOB_SECONDS = 90.0
STOPPED = (60.0, 600.0)  # a lease lasts 40, and somebody else should have come by
# So soon that it happens within a history.
GIVEN_UP_AFTER = 3


class Poisoned(Exception):
    """A fault of our own code that one event brings out."""


class Doors:
    """Stands in every door of this process; ``world`` is the history that is going on."""

    def __init__(self) -> None:
        self.world: World | None = None

    def here(self, door: str) -> bool:
        """At a door: whoever is dead stays dead, somebody may die now. False where the world itself comes by."""
        world = self.world
        process = world.crowd.current if world else None
        if world is None or process is None:
            return False
        if process.killed:
            raise Gone
        if world.weather.strikes(f"killed at {door}"):
            world.note(f"{process.name} is killed at {door}")
            process.die()
            raise Gone
        late = process.name.startswith("worker") and hours.now - process.born > JOB_SECONDS
        if late and world.weather.strikes("job timeout"):
            world.note(f"{process.name} has had its time")
            raise queues.JobTimeout("Task exceeded maximum timeout value")
        return True

    def stops(self) -> None:
        """Perhaps this process is stopped, as by SIGSTOP, until its lease is over."""
        if self.world is not None and self.strikes("stopped with Stripe's answer in hand"):
            seconds = self.world.chance.uniform(*STOPPED)
            self.world.stopped_until = hours.now + seconds
            hours.sleep(seconds)

    def strikes(self, site: str) -> bool:
        world = self.world
        if world is None or not world.weather.strikes(site):
            return False
        world.note(f"! {site}")
        return True


doors = Doors()


def take_over(app: Flask) -> None:
    """Stand in the doors of this process for good."""
    _database()
    smtplib.SMTP = Smtp  # type: ignore[misc]
    queues.GAP = 0.0  # no bell is rung in a thread that has no doors
    app.extensions["bell"] = Bell()
    webhooks._hands = queues._hand = SimpleNamespace(within=_at_once)  # type: ignore[assignment]
    webhooks._groups = SimpleNamespace(within=_alone)  # type: ignore[assignment]
    jobs.fork_safe = lambda: None
    jobs.fetch = _fetching(jobs.fetch)
    claims.MAX_ATTEMPTS = GIVEN_UP_AFTER
    pace._wait = lambda seconds: hours.sleep(max(0.0, seconds))
    stripe_client._places = SimpleNamespace(acquire=lambda timeout: True, release=lambda: None)  # type: ignore[assignment]


def _fetching(fetch: Callable[..., Any]) -> Callable[..., Any]:
    """``fetch(session, sync, subject, hints)``. A subject that brings a fault out does so each time; and whoever has
    all of Stripe's answers, and has yet to write them, is a good one to be stopped."""

    def perhaps(*args: Any) -> Any:
        poisoned = doors.world.weather.poisoned if doors.world else set()
        if args[2] not in poisoned and doors.strikes("event that brings out a fault"):
            poisoned.add(args[2])
        if args[2] in poisoned:
            raise Poisoned
        found = fetch(*args)
        doors.stops()
        return found

    return perhaps


def _at_once(_seconds: float, work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def _alone(_seconds: float, engine: Any, arrived: Any) -> Any:
    """A delivery shares its insert with nobody, and none of it is done in a thread that has no doors."""
    return webhooks._store(engine, [arrived])[0]


def _database() -> None:
    execute, commit = default.DefaultDialect.do_execute, default.DefaultDialect.do_commit
    rollback = default.DefaultDialect.do_rollback

    def statement(self: Any, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        connection = cursor.connection
        if doors.here("the database"):
            if doors.strikes("database: connection lost"):
                connection.rollback()
                connection.close()
            elif doors.strikes("database: deadlock"):
                cursor.execute(DEADLOCK)
        execute(self, cursor, statement, parameters, context)
        if connection.autocommit and doors.here("the database") and doors.world:
            if doors.strikes("database: lost after the commit"):
                connection.close()
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            doors.world.perhaps_wait()

    def committing(self: Any, connection: Any) -> None:
        ours, own = doors.here("the database"), connection.dbapi_connection
        if ours and doors.strikes("database: lost before the commit"):
            own.rollback()
            own.close()
        commit(self, connection)
        if ours and doors.strikes("database: lost after the commit"):
            own.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        if ours and doors.here("the database") and doors.world:
            doors.world.perhaps_wait()

    def rolling_back(self: Any, connection: Any) -> None:
        if connection.dbapi_connection is not None and not connection.dbapi_connection.closed:
            rollback(self, connection)

    for name, method in {
        "do_execute": statement,
        "do_commit": committing,
        "do_rollback": rolling_back,
    }.items():
        setattr(default.DefaultDialect, name, method)

    @event.listens_for(Pool, "checkout")
    def out(connection: Any, record: Any, _: Any) -> None:
        process = doors.world.crowd.current if doors.world else None
        if process is not None:
            if process.killed:
                raise Gone
            process.connections.append((connection, record))

    @event.listens_for(Pool, "checkin")
    def back(connection: Any, record: Any) -> None:
        for process in doors.world.crowd.alive if doors.world else ():
            process.connections = [one for one in process.connections if one[1] is not record]


class Bell:
    """Redis: how many bells wait."""

    def __init__(self) -> None:
        self.waiting = 0

    @property
    def count(self) -> int:
        self._passed()
        return self.waiting

    def enqueue(self, *_: Any, **__: Any) -> None:
        self._passed()
        self.waiting += 1

    def _passed(self) -> None:
        if not doors.here("Redis") or doors.world is None:
            return
        if "redis" in doors.world.weather.away or doors.strikes("redis: away"):
            raise redis.ConnectionError("Connection refused")
        if doors.strikes("redis: slow"):
            raise TimeoutError
        if doors.strikes("redis: flushed"):
            self.waiting = 0
        doors.world.perhaps_wait()


class Smtp(smtplib.SMTP):
    """Speaks as smtplib does, to a server that is a few lines below."""

    def __init__(self, host: str, port: int, timeout: float = 10) -> None:
        super().__init__(local_hostname="portal.example.com", timeout=timeout)
        self._replies: list[tuple[int, bytes]] = []
        self._data: bytes | None = None
        if self._passed("smtp: refused"):
            raise ConnectionRefusedError
        self.sock = SimpleNamespace(close=lambda: None, setsockopt=lambda *_: None)

    def _passed(self, site: str) -> bool:
        world = doors.world
        if not doors.here("SMTP") or world is None:
            return False
        return "smtp" in world.weather.away or doors.strikes(site)

    def send(self, s: bytes | str) -> None:
        line = s if isinstance(s, bytes) else s.encode()
        if self._data is not None:
            self._take(line)
        elif line.upper().startswith(b"DATA"):
            if self._passed("smtp: cut before the data"):
                raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
            self._data = b""
            self._replies.append((354, b"go on"))
        elif line.upper().startswith(b"RCPT") and self._passed("smtp: temporary no"):
            self._replies.append((450, b"4.2.0 try later"))
        else:
            self._replies.append((250, b"fine"))

    def _take(self, line: bytes) -> None:
        self._data = (self._data or b"") + line
        if not self._data.endswith(b"\r\n.\r\n"):
            self._passed("")
            return
        if doors.world is not None:
            doors.here("SMTP")
            doors.world.taken(self._data)
        self._data = None
        self._replies.append((250, b"taken"))

    def getreply(self) -> tuple[int, bytes]:
        code, said = self._replies.pop(0)
        if said == b"taken" and self._passed("smtp: cut after the data"):
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        if doors.world is not None and said == b"taken":
            doors.world.perhaps_wait()
        return code, said

    def close(self) -> None:
        self.sock = None

"""Processes of one simulated house, each a greenlet: one runs until it comes to a door, and then another may.

A process that is killed loses its database connections at once, what was not committed with them, and runs no more:
``Gone`` is a BaseException, and every door raises it again, so that neither an ``except`` nor a ``finally`` of ours can
do what a dead process could not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

from tests.simulation.hours import hours


class Gone(BaseException):
    """This process was killed."""


@dataclass(eq=False)
class Process:
    """``skew``: how wrong its clock is. ``wake``: it sleeps until then. ``end``: what it raised. ``connections``: those
    that it has of the database, each with its place in the pool."""

    name: str
    work: Callable[[], object]
    born: float
    skew: float = 0.0
    wake: float = 0.0
    killed: bool = False
    done: bool = False
    end: Exception | None = None
    connections: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = greenlet(self._live)

    def _live(self) -> None:
        try:
            self.work()
        except Gone:
            pass
        except Exception as problem:  # noqa: BLE001 whoever looks at the process is told
            self.end = problem
        self.done = True

    def die(self) -> None:
        """What it held of the database is rolled back first, so that nobody has to wait for the server to notice."""
        self.killed = True
        for connection, record in self.connections:
            if not connection.closed:
                connection.rollback()
                record.invalidate()


class Crowd:
    """Whoever is alive, in the order in which they began."""

    def __init__(self) -> None:
        self.alive: list[Process] = []
        self._hub = getcurrent()
        hours.sleep = self.sleep

    @property
    def current(self) -> Process | None:
        """Who is running; None while the world itself is."""
        here = getcurrent()
        return next((one for one in self.alive if one.thread is here), None)

    def begin(self, name: str, work: Callable[[], object]) -> Process:
        process = Process(name, work, hours.now)
        self.alive.append(process)
        return process

    def awake(self) -> list[Process]:
        return [one for one in self.alive if one.wake <= hours.now]

    def go_on(self, process: Process) -> None:
        """Let it run until it comes to a door where it waits, or to its end."""
        hours.skew = process.skew
        process.thread.switch()
        hours.skew = 0.0
        if process.done:
            self.alive.remove(process)

    def kill(self, process: Process) -> None:
        process.die()
        if process.thread:
            process.thread.throw(Gone())
        process.done = True
        self.alive.remove(process)

    def wait(self) -> None:
        """Let others go on; at a door, with no lock held that they could wait for."""
        if self.current is not None:
            self._hub.switch()

    def sleep(self, seconds: float) -> None:
        process = self.current
        if process is None:
            hours.move(seconds)
            return
        process.wake = hours.now + max(0.0, seconds)
        self._hub.switch()
        if process.killed:
            raise Gone

"""How long each part was away: looked at from outside, four times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg

from tests.chaos.stack import Stack, answers

EVERY = 0.25  # seconds
SEEN = (
    "select extract(epoch from clock_timestamp() - worker_seen_at),"
    " extract(epoch from clock_timestamp() - clock_seen_at) from installation"
)


class Watch(threading.Thread):
    """``longest``: seconds without an answer, at most; of worker and clock, without a sign of life in the database."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(name="watch", daemon=True)
        self.longest = dict.fromkeys(("web", "worker", "clock", "postgres", "redis"), 0.0)
        self._stack, self._over = stack, threading.Event()
        self._answered = dict.fromkeys(self.longest, time.monotonic())

    def run(self) -> None:
        while not self._over.wait(EVERY):
            self._look("web", lambda: answers(self._stack.web_port))
            self._look("redis", self._stack._redis_answers)
            self._look("postgres", self._database)

    def end(self) -> None:
        self._over.set()
        self.join(timeout=30)

    def _look(self, part: str, answers: Callable[[], bool]) -> None:
        there, now = answers(), time.monotonic()
        self.longest[part] = max(self.longest[part], now - self._answered[part])
        if there:
            self._answered[part] = now

    def _database(self) -> bool:
        try:
            with self._stack.connected(seconds=2) as rows:
                seen = rows.execute(SEEN).fetchone() or (None, None)
        except psycopg.Error:
            return False
        for part, ago in zip(("worker", "clock"), seen, strict=True):
            self.longest[part] = max(self.longest[part], float(ago or 0.0))
        return True

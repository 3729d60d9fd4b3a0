"""One time for all: this process, the sandbox's wall and the database read the same clock, which we alone move."""

from __future__ import annotations

import sys
import time as real_time
from collections.abc import Callable
from datetime import datetime, tzinfo
from types import SimpleNamespace
from typing import Any

# A Monday at nine, UTC. Every history begins then, whatever day it is here.
BEGIN = 1793610000.0
TICK = 0.000_001
# Whoever looks twenty times a second whether somebody else is done looks twice a second here.
SHORTEST_SLEEP = 0.5
# Modules that read a clock as ``time.time()`` and their like; those named so far are ours or Stripe's.
READERS = ("billing.", "sandbox.", "stripe.")


class Hours:
    """Unix seconds. Each reading moves them a little, so that no two readings are the same."""

    def __init__(self) -> None:
        self.now = BEGIN
        # How wrong the clock of whoever is running is, in seconds; Stripe's and the database's are right.
        self.skew = 0.0
        self.sleep: Callable[[float], None] = self.move

    def begin(self) -> None:
        self.now, self.skew = BEGIN, 0.0

    def read(self) -> float:
        self.now += TICK
        return self.now + self.skew

    def steady(self) -> float:
        """The clock of a process that nobody sets: no skew, and it never goes back."""
        self.now += TICK
        return self.now

    def move(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


hours = Hours()


class Today(datetime):
    """A datetime that takes the present from ``hours``."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(hours.read(), tz)


def _fake_time() -> Any:
    same = {name: getattr(real_time, name) for name in ("strftime", "gmtime", "localtime", "perf_counter")}
    return SimpleNamespace(
        time=hours.read,
        monotonic=hours.steady,
        sleep=lambda seconds: hours.sleep(max(SHORTEST_SLEEP, seconds)),
        **same,
    )


def take_over() -> None:
    """From now on whoever asks for the time is told ours; once for a process, after everything was imported."""
    fake = _fake_time()
    for name, module in list(sys.modules.items()):
        if not name.startswith(READERS):
            continue
        for attribute, value in list(vars(module).items()):
            if value is real_time:
                setattr(module, attribute, fake)
            elif value is real_time.monotonic:
                setattr(module, attribute, hours.steady)
            elif value is datetime and name in ("billing.clock", "sandbox.engine.methods"):
                setattr(module, attribute, Today)

"""How long a piece of work may talk with Stripe in all: each call that it makes gets what is left.

By the monotonic clock, and for this thread only. Work inside other work never gets more than the outer one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The work in this block has so many seconds, or what is left of an outer deadline."""
    token = _end.set(min(_end.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(token)


def begin(seconds: float) -> None:
    """From now on, until ``forget``: for a web request, whose beginning and end are two functions."""
    _end.set(time.monotonic() + seconds)


def forget() -> None:
    _end.set(math.inf)


def left() -> float:
    """Seconds, negative once they are over; infinite where nobody set a deadline."""
    return _end.get() - time.monotonic()

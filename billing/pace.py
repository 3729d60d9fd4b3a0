"""Asking Stripe in no hurry: what may take minutes keeps far below Stripe's limits, and waits where it is told to.

Stripe takes 100 requests a second of an account, 25 of each kind, and answers 429 beyond (docs.stripe.com/rate-limits).
Whatever a page or a webhook needs is asked at once; only what runs inside ``unhurried`` is slowed down.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from billing import deadline
from billing.errors import PassStopped, StripeUnavailable

A_SECOND = 10
# Half a minute in all, and well within a lease; a limit that lasts longer stops the pass, and the next one goes on.
PATIENCE = (1.0, 2.0, 4.0, 8.0, 15.0)
TOO_MANY = 429
_stop: ContextVar[threading.Event | None] = ContextVar("when to stop asking", default=None)
_left: ContextVar[deque[float] | None] = ContextVar("when the last calls left", default=None)

Ask = Callable[[Callable[[Any], Any]], dict[str, Any]]


@contextmanager
def unhurried() -> Iterator[None]:
    """Inside, in this thread, at most A_SECOND calls leave in a second, and a 429 is waited out."""
    token = _left.set(deque(maxlen=A_SECOND))
    try:
        yield
    finally:
        _left.reset(token)


@contextmanager
def until(stop: threading.Event) -> Iterator[None]:
    """Inside, in this thread, what is asked in no hurry ends with PassStopped once ``stop`` is set."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def kept(ask: Ask) -> Ask:
    """Make a function that asks Stripe heed ``unhurried``. Raises what it raises, 429 only after PATIENCE."""

    def slowly(send: Callable[[Any], Any]) -> dict[str, Any]:
        left = _left.get()
        if left is None:
            return ask(send)
        for wait in PATIENCE:
            _take_a_turn(left)
            try:
                return ask(send)
            except StripeUnavailable as problem:
                if problem.status != TOO_MANY or wait >= deadline.left():
                    raise
            _wait(wait)
        return ask(send)

    return slowly


def _take_a_turn(left: deque[float]) -> None:
    _wait(left[0] + 1 - time.monotonic() if len(left) == A_SECOND else 0)
    left.append(time.monotonic())


def _wait(seconds: float) -> None:
    stop = _stop.get() or threading.Event()
    if stop.wait(max(0.0, seconds)):
        raise PassStopped("the process was told to end")

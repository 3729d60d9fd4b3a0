"""Threads that do something for somebody who will not wait for ever; a forked process gets its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Hands:
    """So many threads. What is given up after its time goes on in its thread, and its end is told to nobody."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._begin()
        # Of the threads of the process before, a forked one has none.
        os.register_at_fork(after_in_child=self._begin)

    def within(self, seconds: float, work: Callable[..., T], *args: Any) -> T:
        """What ``work`` returns or raises. Raises TimeoutError where it has not ended after so many seconds."""
        future = self._threads.submit(work, *args)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def _begin(self) -> None:
        self._threads = ThreadPoolExecutor(self._count, self._name)

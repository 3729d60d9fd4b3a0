"""Threads that do something for somebody who will not wait for ever; a forked process gets its own."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

T = TypeVar("T")
One = TypeVar("One")
Said = TypeVar("Said")
Key = TypeVar("Key", bound=Hashable)
# A group that takes longer is held up by something: what waits behind it is taken by another thread.
HELD_UP = 0.1


class Hands:
    """So many threads. What is given up after its time goes on in its thread, and its end is told to nobody."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._begin()
        # Of the threads of the process before, a forked one has none.
        os.register_at_fork(after_in_child=self._begin)

    def within(self, seconds: float, work: Callable[..., T], *args: Any) -> T:
        """What ``work`` returns or raises. Raises TimeoutError where it has not ended after so many seconds."""
        future = self.begin(work, *args)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def begin(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Do it as soon as a thread is free."""
        return self._threads.submit(work, *args)

    def _begin(self) -> None:
        self._threads = ThreadPoolExecutor(self._count, self._name)


class _Waiting(Generic[One, Said, Key]):
    """What somebody waits for, until they give up."""

    def __init__(self, key: Key, one: One) -> None:
        self.key, self.one = key, one
        self.future: Future[Said] = Future()
        self.alone = self.given_up = False


class Groups(Generic[One, Said, Key]):
    """What many want at once is done together: what came while a group was under way is the next one.

    ``work(key, those)`` says in one go what became of each, in their order. Where it raises for several, each is
    tried once more alone, so that none suffers for another.
    """

    def __init__(self, hands: Hands, work: Callable[[Key, Sequence[One]], Sequence[Said]], most: int) -> None:
        self._hands, self._work, self._most = hands, work, most
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def within(self, seconds: float, key: Key, one: One) -> Said:
        """What ``work`` says of this one, done with others of the same key. Raises TimeoutError after so many seconds,
        or what ``work`` raises; what was given up may still be done."""
        mine = _Waiting[One, Said, Key](key, one)
        with self._lock:
            self._queue.append(mine)
            self._call(at_work=0)
        try:
            return mine.future.result(HELD_UP)
        except TimeoutError:
            if mine.future.done():  # it is what the work raised
                raise
        with self._lock:
            self._call(at_work=1)
        try:
            return mine.future.result(seconds - HELD_UP)
        except TimeoutError:
            mine.given_up = True
            raise

    def _begin(self) -> None:
        self._lock, self._at_work = threading.Lock(), 0
        self._queue: deque[_Waiting[One, Said, Key]] = deque()

    def _call(self, *, at_work: int) -> None:
        """Have another thread see to it, if no more than so many do. Under the lock."""
        if self._queue and self._at_work <= at_work:
            self._at_work += 1
            self._hands.begin(self._work_off)

    def _work_off(self) -> None:
        while group := self._next():
            self._do(group)

    def _next(self) -> list[_Waiting[One, Said, Key]]:
        """The next group; an empty one is the end of this thread's work."""
        with self._lock:
            group: list[_Waiting[One, Said, Key]] = []
            while self._queue and len(group) < self._most:
                first = self._queue[0]
                if group and (first.alone or group[0].alone or first.key != group[0].key):
                    break
                self._queue.popleft()
                if not first.given_up:
                    group.append(first)
            self._at_work -= not group
            return group

    def _do(self, group: list[_Waiting[One, Said, Key]]) -> None:
        try:
            said = self._work(group[0].key, [each.one for each in group])
            answers = list(zip(group, said, strict=True))
        except Exception as problem:  # noqa: BLE001 whoever waits for it is told
            self._failed(group, problem)
            return
        for each, found in answers:
            each.future.set_result(found)

    def _failed(self, group: list[_Waiting[One, Said, Key]], problem: Exception) -> None:
        if len(group) == 1:
            group[0].future.set_exception(problem)
            return
        with self._lock:
            for each in group:
                each.alone = True
            self._queue.extend(group)
            self._call(at_work=1)

"""What many want at once is done together, and none of them suffers for another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from billing import hands
from billing.hands import Groups, Hands
from tests.support import wait_until


class Work:
    """Notes each group, doubles its numbers, stands still where a group holds ``still`` and fails for ``bad``."""

    def __init__(self, *, still: int = -1, bad: int = -1) -> None:
        self.groups: list[list[int]] = []
        self.there, self.go = threading.Event(), threading.Event()
        self._still, self._bad = still, bad

    def __call__(self, key: Any, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        if self._still in numbers:
            self.there.set()
            assert self.go.wait(30)
        if self._bad in numbers:
            raise ValueError("a number that can't be doubled")
        return [2 * number for number in numbers]


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(20) as found:
        yield found


def behind(
    pool: ThreadPoolExecutor, groups: Groups[int, int, str], work: Work, *numbers: int, key: str = "one"
) -> list[Future[int]]:
    """Ask for 0, and once it stands still for the others, which then wait."""
    asked = [pool.submit(groups.within, 30, "one", 0)]
    assert work.there.wait(30)
    asked += [pool.submit(groups.within, 30, key, number) for number in numbers]
    wait_until(lambda: len(groups._queue) == len(numbers), "all of them to wait")
    return asked


def test_what_came_while_one_was_under_way_is_done_together(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "HELD_UP", 25)  # nobody else takes over
    work = Work(still=0)
    asked = behind(pool, Groups(Hands(2, "tests"), work, most=3), work, 1, 2, 3, 4)
    work.go.set()
    assert [one.result(30) for one in asked] == [0, 2, 4, 6, 8]
    assert [len(group) for group in work.groups] == [1, 3, 1]


def test_groups_of_two_kinds_are_never_mixed(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "HELD_UP", 25)
    work = Work(still=0)
    groups = Groups(Hands(1, "tests"), work, most=9)
    asked = behind(pool, groups, work, 1, 2, key="one")
    asked.append(pool.submit(groups.within, 30, "two", 3))
    wait_until(lambda: len(groups._queue) == 3, "it to wait")
    work.go.set()
    assert [one.result(30) for one in asked] == [0, 2, 4, 6]
    assert [sorted(group) for group in work.groups] == [[0], [1, 2], [3]]


def test_what_fails_together_is_tried_alone(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "HELD_UP", 25)
    work = Work(still=0, bad=2)
    asked = behind(pool, Groups(Hands(2, "tests"), work, most=9), work, 1, 2, 3)
    work.go.set()
    assert [one.result(30) for one in (asked[0], asked[1], asked[3])] == [0, 2, 6]
    with pytest.raises(ValueError, match="doubled"):
        asked[2].result(30)


def test_a_group_that_is_held_up_holds_up_nobody_else(pool: ThreadPoolExecutor) -> None:
    work = Work(still=0)
    groups = Groups(Hands(2, "tests"), work, most=9)
    first = pool.submit(groups.within, 30, "one", 0)
    assert work.there.wait(30)
    assert groups.within(30, "one", 1) == 2
    assert not first.done()
    work.go.set()
    assert first.result(30) == 0


def test_what_was_given_up_before_it_was_begun_is_not_done(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "HELD_UP", 0.01)
    work = Work(still=0)
    groups = Groups(Hands(1, "tests"), work, most=9)
    first = pool.submit(groups.within, 30, "one", 0)
    assert work.there.wait(30)
    with pytest.raises(TimeoutError):
        groups.within(0.02, "one", 1)
    work.go.set()
    assert (first.result(30), groups.within(30, "one", 2)) == (0, 4)
    assert work.groups == [[0], [2]]

"""Every demand on the pages names the tests that keep it in docs/pages.md, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_reliability import NAME, names_of_tests

PAGE = (Path(__file__).parent.parent / "docs" / "pages.md").read_text(encoding="utf-8")
COUNTS = {"A": 25, "B": 16, "C": 14, "D": 7, "E": 6, "F": 2, "G": 5}
WANTED = [f"{letter}{number}" for letter, most in COUNTS.items() for number in range(1, most + 1)]
ROWS = [
    (found[1], found[2]) for found in re.finditer(r"^\| ([A-G]\d+) \|[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)
]
REASON = re.compile(r"(?:measured|not yet|by hand): \S.{15,}")


def problem(cell: str) -> str | None:
    """What is wrong with what a row says of its tests."""
    names = NAME.findall(cell)
    if not names:
        return None if REASON.fullmatch(cell) else "names no test and no reason why there is none"
    gone = [name for name in names if name not in names_of_tests()]
    return f"names tests that are not there: {gone}" if gone else None


def test_each_demand_has_its_row_once_and_in_order() -> None:
    assert [name for name, _ in ROWS] == WANTED


@pytest.mark.parametrize(("name", "cell"), ROWS, ids=[name for name, _ in ROWS])
def test_a_demand_names_tests_that_are_there_or_says_why_there_is_none(name: str, cell: str) -> None:
    assert problem(cell) is None


@pytest.mark.parametrize("cell", ["", "not yet", "measured: x", "`test_that_nobody_ever_wrote`"])
def test_a_row_that_proves_nothing_is_noticed(cell: str) -> None:
    assert problem(cell) is not None

"""Every promise and every fault of docs/reliability.md names the tests that keep it, and they are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
WANTED = [*(f"I{number}" for number in range(1, 47)), *(f"F{number}" for number in range(1, 73))]
ROW = re.compile(r"^\| ([IF]\d+) \|(.*)\| ([^|]*) \|$", re.M)
NAME = re.compile(r"`(test_\w+)`")
NOT_HERE = re.compile(r"not testable here: \S.{20,}")


@cache
def names_of_tests() -> set[str]:
    """The names of all test functions. Asked for when it is needed: to parse all of them takes a second."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    return {name for name in found if name.startswith("test_")}


ROWS = [(found[1], found[3]) for found in ROW.finditer(PAGE)]


def problem(cell: str) -> str | None:
    """What is wrong with the tests that a row names."""
    names = NAME.findall(cell)
    if not names:
        return None if NOT_HERE.fullmatch(cell) else "names no test and no reason why there is none"
    gone = [name for name in names if name not in names_of_tests()]
    return f"names tests that are not there: {gone}" if gone else None


def test_each_promise_and_fault_has_its_row_once_and_in_order() -> None:
    assert [name for name, _ in ROWS] == WANTED


@pytest.mark.parametrize(("name", "cell"), ROWS, ids=[name for name, _ in ROWS])
def test_a_promise_or_fault_names_tests_that_are_there_or_says_why_there_is_none(
    name: str, cell: str
) -> None:
    assert problem(cell) is None


@pytest.mark.parametrize(
    "cell", ["", "not testable here", "not testable here: no", "`test_that_nobody_ever_wrote`", "test_look"]
)
def test_a_row_that_names_nothing_that_is_there_is_noticed(cell: str) -> None:
    assert problem(cell) is not None


def test_each_test_that_stands_for_a_defect_is_there() -> None:
    named = NAME.findall((ROOT / "docs" / "defects.md").read_text(encoding="utf-8"))
    assert named
    assert set(named) <= names_of_tests()

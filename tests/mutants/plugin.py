"""A run of pytest in which each test meets the bug that it must notice: ``pytest -p tests.mutants.plugin``.

What became of each bug is printed, and written to the file that ``--fates`` names: ``killed``, or what went otherwise.
With ``--without-bugs`` the same tests run as ever, to see that they pass here.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import call_and_report

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.swap import OutOfDate, put_in

KILLED = "killed"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fates", type=Path, help="where to write what became of each bug")
    parser.addoption("--without-bugs", action="store_true", help="run the tests without them")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    by_test = {mutant.killed_by: mutant for mutant in MUTANTS}
    items = [item for item in session.items if item.nodeid in by_test]
    fates = {}
    for item, following in zip(items, [*items[1:], None], strict=True):
        mutant = by_test[item.nodeid]
        fates[mutant.name] = _fate(
            mutant, item, following, armed=not session.config.getoption("without_bugs")
        )
        session.config.get_terminal_writer().line(f"{mutant.name}: {fates[mutant.name]}")
    if session.config.getoption("fates"):
        session.config.getoption("fates").write_text(json.dumps(fates), encoding="utf-8")
    return True


def _fate(mutant: Mutant, item: pytest.Item, following: pytest.Item | None, *, armed: bool) -> str:
    """One run of the test. The bug is gone before anything is cleared up."""
    with ExitStack() as bug:
        try:
            if armed and mutant.early:
                bug.enter_context(put_in(mutant.edits))
            trouble = _report(item, "setup")
            if armed and not mutant.early:
                bug.enter_context(put_in(mutant.edits))
        except OutOfDate as problem:
            trouble = f"out of date: {problem}"
        said = _report(item, "call") if trouble is None else None
    left = _report(item, "teardown", nextitem=following)
    if trouble or left:
        return f"its test could not be tried: {trouble or left}"
    return judged(mutant, said) if armed else said or "passed"


def judged(mutant: Mutant, said: str | None) -> str:
    """What became of the bug, by what its test said: None where it passed."""
    if said is None:
        return f"SURVIVED: {mutant.killed_by} passes with it"
    return KILLED if mutant.says in said else f"something else failed, not {mutant.says!r}: {said}"


def _report(item: pytest.Item, when: Any, **more: Any) -> str | None:
    """What went wrong in this part of the test: the lines that failed, and what they say; None where nothing did."""
    report = call_and_report(item, when, log=False, **more)
    if report.passed:
        return None
    telling = [line for line in report.longreprtext.splitlines() if line.startswith((">", "E "))]
    return "\n".join(telling) or report.longreprtext

"""Thirty bugs that others had: put into our code, each of them fails the test that is there against it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from billing import accounts, invoices
from tests.conftest import ROOT
from tests.mutants.catalogue import MUTANTS, Edit, Mutant
from tests.mutants.plugin import KILLED, judged
from tests.mutants.swap import OutOfDate, put_in
from tests.support import Databases
from tests.test_reliability import ROWS, names_of_tests

PAGE = (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+) \| (.+) \| `(.+)` \| `(test_\w+)` \| (.+) \|$", re.M)
NAMES = [mutant.name for mutant in MUTANTS]


@pytest.fixture(scope="module")
def fates(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each: one process, in which each test meets its bug."""
    told = tmp_path_factory.mktemp("mutants") / "fates.json"
    words = [
        sys.executable,
        *"-m pytest -p no:cacheprovider -p tests.mutants.plugin --fates".split(),
        str(told),
    ]
    environ = {**os.environ, "TEST_DATABASE_URL": databases.server}
    words += [mutant.killed_by for mutant in MUTANTS]
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600)
    assert told.exists(), done.stdout[-5000:] + done.stderr[-3000:]
    found: dict[str, str] = json.loads(told.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_bug_is_noticed(fates: dict[str, str], name: str) -> None:
    assert fates.get(name, "its test was not found") == KILLED


def test_there_are_thirty_and_each_has_a_test_of_its_own() -> None:
    """A test would not meet two of them in one process."""
    assert len({mutant.killed_by for mutant in MUTANTS}) == len(set(NAMES)) == len(MUTANTS) == 30


def test_each_names_a_promise_and_a_test_that_are_there() -> None:
    known = {name for name, _ in ROWS}
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"), re.M)
    assert {mutant.breaks for mutant in MUTANTS} <= known | set(headings)
    assert {killer(mutant) for mutant in MUTANTS} <= names_of_tests()


def test_the_page_tells_of_the_same_bugs_as_the_catalogue() -> None:
    told = [
        (mutant.name, mutant.bug, ", ".join(mutant.files), killer(mutant), promise(mutant))
        for mutant in MUTANTS
    ]
    assert ROW.findall(PAGE) == told


def killer(mutant: Mutant) -> str:
    return mutant.killed_by.rpartition("::")[2].partition("[")[0]


def promise(mutant: Mutant) -> str:
    if any(mutant.breaks == name for name, _ in ROWS):
        return mutant.breaks
    return f"[{mutant.breaks}](security.md#{mutant.breaks.lower().replace(' ', '-')})"


UNFIT: dict[str, Edit] = {
    "lines that are not there": Edit("billing/clock.py", "no such line\n", ""),
    "lines that are there twice": Edit("billing/clock.py", "    return ", "    return not "),
    "a function that is new": Edit("billing/clock.py", "def now()", "def then(): ...\n\n\ndef now()"),
    "other parameters": Edit("billing/clock.py", "def now()", "def now(zone=UTC)"),
    "a name that nobody knows": Edit("billing/clock.py", "datetime.now(UTC)", "datetime.now(ZONE)"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_bug_that_does_not_fit_the_code_any_more_is_named(what: str) -> None:
    with pytest.raises(OutOfDate), put_in([UNFIT[what]]):
        raise AssertionError("it was put in")


def test_a_bug_is_everywhere_while_it_is_in_and_nowhere_afterwards() -> None:
    an_hour = accounts.LINK_LIFE
    edits = [
        Edit("billing/clock.py", "else datetime.fromtimestamp(seconds, UTC)", "else None"),
        Edit("billing/accounts.py", "LINK_LIFE = timedelta(minutes=60)", "LINK_LIFE = timedelta(days=60)"),
    ]
    with put_in(edits):
        assert invoices.from_stripe(1) is None
        assert accounts.LINK_LIFE / an_hour == 60 * 24
    assert invoices.from_stripe(1) is not None
    assert accounts.LINK_LIFE / an_hour == 1


def test_what_survives_or_fails_for_another_reason_is_not_called_killed() -> None:
    mutant = MUTANTS[0]
    assert judged(mutant, None) == f"SURVIVED: {mutant.killed_by} passes with it"
    assert judged(mutant, f"assert [{mutant.says}]") == KILLED
    assert judged(mutant, "KeyError: 'x'").startswith("something else failed")

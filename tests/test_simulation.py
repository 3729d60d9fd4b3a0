"""A seed of the simulation is one history, whatever was lived before it; and one that goes wrong ends the run."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.simulation import __main__ as simulation
from tests.simulation.report import Run
from tests.simulation.told import Told

if TYPE_CHECKING:  # the processes that these tests start read this file too, and need none of the house
    from tests.support import Databases

ROOT = Path(__file__).parent.parent
SEEDS = (2, 3, 2)


def test_a_seed_is_the_same_history_whenever_it_is_lived(databases: Databases) -> None:
    words = [sys.executable, "-m", "tests.simulation", "--steps=30", *(f"--seed={seed}" for seed in SEEDS)]
    environ = {**os.environ, "TEST_DATABASE_URL": databases.server}
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    first, other, again = done.stdout.split("seed ")[1:]
    assert first == again
    assert first != other
    assert first.count("\n") > 60


def one_goes_wrong(seeds: Iterable[int]) -> Iterator[Told]:
    """The third; and the fourth, which another process lives, never ends."""
    for seed in seeds:
        if seed == 4:
            threading.Event().wait()
        yield Told(seed, ["two mails instead of one"] if seed == 3 else [], [])


def one_falls(seeds: Iterable[int]) -> Iterator[Told]:
    for seed in seeds:
        if seed == 1:
            raise MemoryError
        threading.Event().wait()
        yield Told(seed, [], [])


def test_a_history_that_goes_wrong_ends_every_process_and_is_printed_as_its_replay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert simulation.main(["--seeds=9", "--jobs=2"], one_goes_wrong) == 1
    said = capsys.readouterr().out
    assert "python -m tests.simulation --seed 3\n  two mails instead of one\n" in said
    assert multiprocessing.active_children() == []


def test_a_process_that_falls_ends_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="ended before its time"):
        simulation.main(["--seeds=4", "--jobs=2"], one_falls)
    assert multiprocessing.active_children() == []
    assert "MemoryError" in capfd.readouterr().err


def each_is_fine(seeds: Iterable[int]) -> Iterator[Told]:
    yield from (Told(seed, [], [], {"a mail was lost": 2}) for seed in seeds)


def test_what_came_of_it_is_kept_and_no_seed_is_lived_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five thousand take hours: whoever is stopped goes on another day."""
    kept, asked = tmp_path / "kept.json", []

    def fine(seeds: Iterable[int]) -> Iterator[Told]:
        asked.append(list(seeds))
        return each_is_fine(asked[-1])

    simulation.main(["--seeds=25", f"--keep={kept}"], fine)
    simulation.main(["--seeds=60", f"--keep={kept}"], fine)
    assert asked == [list(range(1, 26)), list(range(26, 61))]
    run = Run.begun(kept, 1)
    assert (run.lived, run.hits["a mail was lost"], run.wrong) == (list(range(1, 61)), 120, {})
    assert "60 seeds, " in capsys.readouterr().out

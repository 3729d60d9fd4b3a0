"""A seed of the simulation is one history, whatever was lived before it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import ROOT
from tests.support import Databases

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

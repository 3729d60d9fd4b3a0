"""Two thousand random orders of whole lives' events, with repetitions, delays and losses: each ends as Stripe's objects
say, and every oracle of the simulation is asked. One that ends otherwise is printed as the command that walks it alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.conftest import ROOT
from tests.support import Databases

WALKS = 2000
SUMMARY = re.compile(r"(\d+) orders of .*: (\d+) with something lost, (\d+) with something twice")


def test_two_thousand_random_orders_of_whole_lives_end_as_stripe_says_and_do_each_thing_once(
    databases: Databases,
) -> None:
    words = [sys.executable, "-m", "tests.simulation.orders", f"--walks={WALKS}"]
    environ = {**os.environ, "TEST_DATABASE_URL": databases.server}
    done = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    walked = [tuple(map(int, found)) for found in SUMMARY.findall(done.stdout)]
    assert sum(orders for orders, _, _ in walked) >= WALKS
    assert all(lost > orders / 10 and twice > orders / 10 for orders, lost, twice in walked)

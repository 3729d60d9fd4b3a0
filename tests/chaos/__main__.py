"""``python -m tests.chaos``: one storm from one seed, printed, and written into a page where that is asked for."""

from __future__ import annotations

import argparse
import gc
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from local.processes import clean_leftovers
from tests.chaos import plan, report
from tests.chaos.report import Asked
from tests.chaos.run import live
from tests.conftest import ROOT

FOLDER = ROOT / ".data" / "chaos"


def main() -> int:
    given = _given()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    asked = Asked(seed, given.kills, given.deliveries, given.pace)
    sys.stdout.write(f"SEED={seed} KILLS={asked.kills} DELIVERIES={asked.deliveries}\n")
    blows = plan.drawn(seed, asked.kills, asked.deliveries)
    if given.plan:
        sys.stdout.writelines(f"{one.at:6} {one.name} {one.seconds}\n" for one in blows)
        return 0
    signal.signal(signal.SIGTERM, _interrupted)
    gc.enable()  # the tests begin without
    clean_leftovers(given.folder)
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    began = time.monotonic()

    def say(what: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.0f} s  {what}\n")
        sys.stdout.flush()

    done = live(given.folder, blows, seed=seed, deliveries=asked.deliveries, pace=asked.pace, say=say)
    sys.stdout.write(report.text(asked, done))
    if given.report:
        report.write(given.report, asked, done)
    return int(bool(done.wrong))


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that everything is ended on the way out


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the plan's; else it is drawn by lot and printed")
    parser.add_argument("--kills", type=int, default=200, help="how many (200)")
    parser.add_argument("--deliveries", type=int, default=20_000, help="how many (20,000)")
    parser.add_argument("--pace", type=float, default=20.0, help="deliveries a second, at most (20)")
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the run's data and logs")
    parser.add_argument("--report", type=Path, help="write the run into the table of this page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.simulation``: so many histories; each that went wrong is printed as the command that replays it."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.simulation import report
from tests.simulation.report import Run
from tests.simulation.shares import Work, lived, work
from tests.simulation.told import Told

COMMAND = "python -m tests.simulation --seed {}"
EVERY = 20  # seeds between two words of how far it has come
SHOWN = 8  # of what is wrong with one history


def main(words: list[str] | None = None, how: Work = work) -> int:
    """The exit status: 1 where a history went wrong, or a probe was never hit."""
    asked = _asked(words)
    if asked.seed:
        return _replay(asked.seed, asked.steps)
    run, left = Run.begun(asked.keep, asked.jobs), 60 * asked.minutes if asked.minutes else float("inf")
    known, last = set(run.lived), time.perf_counter()
    wanted = [seed for seed in range(asked.first, asked.first + asked.seeds) if seed not in known]
    histories = lived(wanted, asked.jobs, how)
    for told in _until_stopped(histories):
        last, took = time.perf_counter(), time.perf_counter() - last
        _add(run, told, took)
        left -= took
        if run.seeds % EVERY == 0 or told.wrong:
            sys.stdout.write(f"{run.seeds} seeds, {run.pace:.0f} a minute, {len(run.wrong)} went wrong\n")
            sys.stdout.flush()
            if asked.keep:
                run.keep(asked.keep)
        if left < 0 or (told.wrong and not asked.go_on):
            break
    histories.close()  # every process ends before what they found is said
    if asked.keep:
        run.keep(asked.keep)
    sys.stdout.write(report.text(run))
    if asked.report:
        report.write(asked.report, run)
    return int(bool(run.wrong or run.missed))


def _add(run: Run, told: Told, took: float) -> None:
    run.lived.append(told.seed)
    run.seconds += took
    run.hits.update(told.hits)
    if told.wrong:
        run.wrong[told.seed] = told.wrong
        sys.stdout.write(
            f"{COMMAND.format(told.seed)}\n" + "".join(f"  {one}\n" for one in told.wrong[:SHOWN])
        )


def _until_stopped(histories: Iterator[Told]) -> Iterator[Told]:
    """By hand too: what was found until then is said."""
    try:
        yield from histories
    except KeyboardInterrupt:
        sys.stdout.write("stopped by hand\n")


def _replay(seeds: list[int], steps: int | None) -> int:
    """These histories again, with their traces."""
    failed = False
    for told in work(seeds, steps):
        lines = [f"seed {told.seed}", *told.trace, *(f"WRONG {one}" for one in told.wrong)]
        sys.stdout.write("\n".join(lines) + "\n")
        failed |= bool(told.wrong)
    return int(failed)


def _asked(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share them (1)")
    parser.add_argument("--seed", type=int, action="append", help="replay this one, with its trace")
    parser.add_argument(
        "--steps", type=int, help="of the storm of a replay, where it should be another history"
    )
    parser.add_argument("--minutes", type=float, help="end after so many, whatever is left")
    parser.add_argument("--go-on", action="store_true", help="do not end with the first that goes wrong")
    parser.add_argument("--keep", type=Path, help="write what came of it here, and go on with what is there")
    parser.add_argument("--report", type=Path, help="write the run into the table of this page")
    return parser.parse_args(words)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end, it ends the others first
    sys.exit(main())

"""Histories shared among processes, each on a server of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

from tests.simulation import history
from tests.simulation.ground import ground
from tests.simulation.world import Ear


def lived(first: int, seeds: int, jobs: int) -> Iterator[history.Told]:
    """As they come: each process lives its share, on a server of its own."""
    if jobs == 1:
        yield from work(range(first, first + seeds))
        return
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    shares = [range(first + number, first + seeds, jobs) for number in range(jobs)]
    processes = [context.Process(target=_share, args=(share, answers)) for share in shares]
    for process in processes:
        process.start()
    try:
        for _ in range(seeds):
            told = answers.get()
            if told is None:
                raise SystemExit("a process of the simulation ended before its time")
            yield told
    finally:  # whoever has seen enough ends it here
        for process in processes:
            process.terminate()
            process.join()


def _share(seeds: Iterable[int], answers: Queue[history.Told | None]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its server ends with it
    try:
        for told in work(seeds):
            told.trace.clear()  # whoever wants it replays it
            answers.put(told)
    except KeyboardInterrupt:
        return
    except BaseException:
        answers.put(None)
        raise


def work(seeds: Iterable[int], steps: int | None = None) -> Iterator[history.Told]:
    ear = Ear()
    with (
        tempfile.TemporaryDirectory(prefix="dunlin-simulation-") as folder,
        ground(Path(folder), os.environ.get("TEST_DATABASE_URL"), ear) as found,
    ):
        for seed in seeds:
            yield history.live(found, seed, ear, steps)

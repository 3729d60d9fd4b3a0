"""Histories shared among processes, each on a server of its own. Whoever has seen enough ends them all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.simulation.told import Told

Work = Callable[[Iterable[int]], Iterator[Told]]


def work(seeds: Iterable[int], steps: int | None = None) -> Iterator[Told]:
    """Live these in this process, one after the other."""
    # Only who lives them needs all of the house.
    from tests.simulation import history
    from tests.simulation.ground import ground
    from tests.simulation.world import Ear

    ear = Ear()
    with (
        tempfile.TemporaryDirectory(prefix="dunlin-simulation-") as folder,
        ground(Path(folder), os.environ.get("TEST_DATABASE_URL"), ear) as found,
    ):
        for seed in seeds:
            yield history.live(found, seed, ear, steps)


def lived(seeds: Sequence[int], jobs: int, how: Work = work) -> Generator[Told, None, None]:
    """As they come. Where the caller stops asking, every process is ended; where one ends before its time, so are the
    others, and SystemExit is raised."""
    if jobs == 1:
        yield from how(seeds)
        return
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    shares = [seeds[number::jobs] for number in range(jobs)]
    processes = [context.Process(target=_share, args=(how, share, answers)) for share in shares]
    for process in processes:
        process.start()
    try:
        for _ in seeds:
            told = answers.get()
            if told is None:
                raise SystemExit("a process of the simulation ended before its time")
            yield told
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _share(how: Work, seeds: Iterable[int], answers: Any) -> None:
    """One process. Told to end, it first ends the server that it has."""
    ending = []

    def end(*_: Any) -> None:
        ending.append(True)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        for told in how(seeds):
            told.trace.clear()  # whoever wants it replays it
            answers.put(told)
            if ending:  # where it came at a moment that swallows what is raised
                break
    except KeyboardInterrupt:
        pass
    except BaseException:
        answers.put(None)
        raise
    if ending:
        answers.cancel_join_thread()  # nobody reads what is left

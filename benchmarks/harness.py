"""What every benchmark shares: turns that take each other's place, medians with their spread, and tables of ratios.

On a shared machine a figure drifts by a factor of two from hour to hour. So whatever is compared takes its turns in
one run, one after the other, and what counts is the ratio of two turns of one round: the median of all rounds, with
the least and the most of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ROUNDS = 5
Turn = Mapping[str, float]


@dataclass(frozen=True)
class Spread:
    """The middle, the least and the most of some numbers."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises ``statistics.StatisticsError`` where there are none."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{short(self.middle)} ({short(self.least)}–{short(self.most)})"


class Results:
    """What each kind measured in each round: ``results["naive", "rate"]``."""

    def __init__(self, turns: Mapping[str, Sequence[Turn]]) -> None:
        self._turns = turns

    @property
    def kinds(self) -> list[str]:
        return list(self._turns)

    def __getitem__(self, wanted: tuple[str, str]) -> Spread:
        return Spread.of(self._of(*wanted))

    def ratio(self, kind: str, base: str, figure: str) -> Spread:
        """How many times the baseline, round by round."""
        pairs = zip(self._of(kind, figure), self._of(base, figure), strict=True)
        return Spread.of([ours / theirs if theirs else 0.0 for ours, theirs in pairs])

    def _of(self, kind: str, figure: str) -> list[float]:
        return [turn[figure] for turn in self._turns[kind]]


def interleaved(kinds: Mapping[str, Callable[[], Turn]], rounds: int) -> Results:
    """Let every kind take one turn in each round. Each round begins with another kind: none is always the first."""
    names = list(kinds)
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            turns[name].append(kinds[name]())
    return Results(turns)


def short(value: float) -> str:
    """Three figures that count: 1,234, 45.6, 1.23, 0.012."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value == 0 or abs(value) >= 0.001 else f"{value:.1e}"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as Markdown writes it."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def machine() -> str:
    """Cores, memory, load and versions; no names."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}; "
        f"load {load}"
    )


def options(about: str) -> argparse.Namespace:
    """``--quick``: everything small, to see that it works. ``--rounds``: how often each takes its turn."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="small and few: to see that it works")
    parser.add_argument("--rounds", type=int, default=None)
    found = parser.parse_args()
    found.rounds = found.rounds or (2 if found.quick else ROUNDS)
    return found

"""What a run came to, for a terminal and for ``docs/simulation.md``."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.simulation import probes

BEGIN, END = "<!-- the newest run -->", "<!-- its end -->"


@dataclass
class Run:
    """``pace``: seeds a minute. ``wrong``: what went wrong, by seed. ``hits``: of each probe."""

    seeds: int = 0
    pace: float = 0.0
    jobs: int = 1
    wrong: dict[int, list[str]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)

    @property
    def missed(self) -> list[str]:
        return [name for name in probes.names() if not self.hits[name]]


def text(run: Run) -> str:
    lines = [f"{run.hits[name]:8} {name}" for name in probes.names()]
    lines.append(
        f"{run.seeds} seeds, {run.pace:.0f} a minute in {run.jobs} processes,"
        f" {len(probes.names()) - len(run.missed)} of {len(probes.names())} probes hit, {len(run.wrong)} went wrong"
    )
    if run.missed:
        lines.append(f"never hit: {', '.join(run.missed)}")
    return "\n".join(lines) + "\n"


def write(page: Path, run: Run) -> None:
    """Put the run between the page's two marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{_table(run)}\n{END}{after}")


def _table(run: Run) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    ).stdout.strip()
    rows = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit,
        "seeds": f"{run.seeds:,}",
        "seeds a minute": f"{run.pace:.0f}, in {run.jobs} processes",
        "probes hit": f"{len(probes.names()) - len(run.missed)} of {len(probes.names())}",
        "histories that went wrong": str(len(run.wrong)),
    }
    head = "| of the run | |\n| --- | --- |\n" + "".join(
        f"| {name} | {value} |\n" for name, value in rows.items()
    )
    hits = "".join(f"| {name} | {run.hits[name]:,} |\n" for name in probes.names())
    return f"{head}\n| probe | hits |\n| --- | --- |\n{hits}"

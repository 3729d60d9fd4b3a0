"""What a run came to, for a terminal and for ``docs/simulation.md``."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.simulation import probes

BEGIN, END = "<!-- the newest run -->", "<!-- its end -->"


@dataclass
class Run:
    """``lived``: the seeds. ``seconds``: how long it took. ``wrong``: what went wrong, by seed. ``hits``: of each
    probe. ``commits``: of the code that lived them, in parts over some days maybe."""

    jobs: int = 1
    lived: list[int] = field(default_factory=list)
    seconds: float = 0.0
    wrong: dict[int, list[str]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    commits: list[str] = field(default_factory=list)

    @classmethod
    def begun(cls, kept: Path | None, jobs: int) -> Run:
        """What was kept, to go on with; else nothing yet."""
        run = cls(jobs)
        if kept is not None and kept.exists():
            said = json.loads(kept.read_text())
            run.lived, run.seconds, run.commits = said["lived"], said["seconds"], said["commits"]
            run.wrong = {int(seed): wrong for seed, wrong in said["wrong"].items()}
            run.hits = Counter(said["hits"])
        if (commit := _commit()) not in run.commits:
            run.commits.append(commit)
        return run

    def keep(self, path: Path) -> None:
        said = {name: getattr(self, name) for name in ("lived", "seconds", "wrong", "hits", "commits")}
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(json.dumps(said))
        beside.replace(path)  # whoever is killed meanwhile leaves what was there

    @property
    def seeds(self) -> int:
        return len(self.lived)

    @property
    def pace(self) -> float:
        """Seeds a minute."""
        return 60 * self.seeds / self.seconds if self.seconds else 0.0

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


def _commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    return done.stdout.strip()


def _table(run: Run) -> str:
    rows = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": ", ".join(run.commits),
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

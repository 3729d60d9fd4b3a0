"""What a run came to, for a terminal and for ``docs/chaos.md``."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.run import Outcome

BEGIN, END = "<!-- the newest run -->", "<!-- its end -->"
SHOWN = 40


@dataclass(frozen=True)
class Asked:
    """With what a run was asked for."""

    seed: int
    kills: int
    deliveries: int
    pace: float


def rows(asked: Asked, done: Outcome) -> dict[str, str]:
    killed = {name: n for name, n in done.felt.hits.items() if name.startswith("kill ") and n}
    others = {name: n for name, n in done.felt.hits.items() if not name.startswith("kill ") and n}
    lost = [one for one in done.wrong if "is not in the inbox" in one]
    double = [one for one in done.wrong if " times" in one and "logged" not in one]
    return {
        "seed": str(asked.seed),
        "kills": f"{sum(killed.values())}: {_list(killed, 'kill ')}",
        "other blows": _list(others),
        "ended by itself": _list(done.felt.ended) or "nothing",
        "deliveries": f"{done.deliveries:,}, {done.pace:.0f} a second",
        "of them from the sandbox": f"{done.theirs:,}, tried {done.their_tries:,} times",
        "of them repeated": f"{done.sent.done - done.sent.forged:,}",
        "of them forged": f"{done.sent.forged:,}",
        "answers to what was repeated or forged": _list(done.sent.answers),
        "events acknowledged": f"{done.acknowledged:,}",
        "acts of people": f"{sum(done.seen.acts.values()):,}: {_list(done.seen.acts)}",
        "what people were answered": _list(done.seen.answers),
        "events lost": str(len(lost)),
        "done twice": str(len(double)),
        "mails": _list(done.mails),
        "mails of unknown fate": f"{done.mails['unknown']}, of which {done.unknown_taken} had arrived",
        "rows healed by the clock's pass afterwards": str(done.healed),
        "seconds of storm": f"{done.felt.seconds:.0f}",
        "seconds to calm": ", ".join(f"{name} {took:.0f}" for name, took in done.calm.seconds.items()),
        "longest away, in seconds": ", ".join(f"{name} {took:.1f}" for name, took in done.away.items()),
        "wrong": str(len(done.wrong)),
    }


def text(asked: Asked, done: Outcome) -> str:
    lines = [f"{name}: {value}" for name, value in rows(asked, done).items()]
    return "\n".join([*lines, *(f"WRONG {one}" for one in done.wrong[:SHOWN])]) + "\n"


def write(page: Path, asked: Asked, done: Outcome) -> None:
    """Put the run between the page's two marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    head = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": _commit(), **rows(asked, done)}
    table = "| of the run | |\n| --- | --- |\n" + "".join(
        f"| {name} | {is_} |\n" for name, is_ in head.items()
    )
    page.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{after}")


def _list(numbers: dict[str, int], without: str = "") -> str:
    return ", ".join(f"{name.removeprefix(without)} {n:,}" for name, n in sorted(numbers.items()))


def _commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    ).stdout.strip()

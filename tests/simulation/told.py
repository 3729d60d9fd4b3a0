"""What a history came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Told:
    """``wrong``: what must not have been. ``trace``: what happened, line by line. ``hits``: of each probe."""

    seed: int
    wrong: list[str]
    trace: list[str]
    hits: dict[str, int] = field(default_factory=dict)

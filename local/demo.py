"""`make demo`: the whole story without a browser, told step by step, checked in the database and the inbox.

It starts a Dunlin of its own on free ports and ends it. The exit code is 0 only if every step was seen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from local.demo_story import Story, StoryFailed
from local.errors import CannotStart
from local.stack import Stack


@dataclass
class Step:
    """One line of the closing table."""

    title: str
    seen: bool
    seconds: float
    why: str = ""


@dataclass
class Telling:
    """Runs the steps, prints what happened in each, and remembers which were seen."""

    steps: list[Step] = field(default_factory=list)

    def tell(self, title: str, act: Callable[[], None]) -> None:
        print(f"\n{len(self.steps) + 1}. {title}", flush=True)
        start = time.monotonic()
        try:
            act()
        except (StoryFailed, LookupError, OSError) as problem:
            self.steps.append(Step(title, False, time.monotonic() - start, str(problem)))
            print(f"   NOT SEEN: {problem}", flush=True)
        else:
            self.steps.append(Step(title, True, time.monotonic() - start))

    @property
    def complete(self) -> bool:
        return all(step.seen for step in self.steps)

    def table(self) -> str:
        width = max(len(step.title) for step in self.steps)
        lines = [f"{'Step':<{width}}  Seen  Seconds", "-" * (width + 15)]
        lines += [
            f"{step.title:<{width}}  {'yes' if step.seen else 'NO':<4}  {step.seconds:7.1f}"
            for step in self.steps
        ]
        seen = sum(step.seen for step in self.steps)
        return "\n".join([*lines, "", f"{seen} of {len(self.steps)} steps seen."])


def main() -> int:
    print("Starting a Dunlin of its own for the demo…", flush=True)
    telling = Telling()
    try:
        with Stack() as stack:
            story = Story(stack)
            for title, act in story.chapters():
                telling.tell(title, act)
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"\n{telling.table()}")
    return 0 if telling.complete else 1


if __name__ == "__main__":
    sys.exit(main())

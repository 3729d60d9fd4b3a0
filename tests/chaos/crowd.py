"""People who act at the same time, and nothing of the house that would stop them."""

from __future__ import annotations

import random
import threading
import time

from tests.chaos.load import Load
from tests.chaos.people import Person, Seen

TICK = 0.05


class Crowd:
    """People in so many threads. Each act begins when its turn in the load has come."""

    def __init__(self, people: list[Person], load: Load, acts: int, seed: int, threads: int) -> None:
        self._load, self._people = load, people
        each = [people[number::threads] for number in range(threads)]
        turns = [load.deliveries * 95 // 100 * number // max(1, acts) for number in range(acts)]
        self._threads = [
            threading.Thread(
                target=self._act,
                args=(number, some, turns[number::threads], random.Random(f"people {seed} {number}")),
                daemon=True,
            )
            for number, some in enumerate(each)
        ]
        self.problems: list[Exception] = []
        self._acts, self._done = max(1, acts), [0] * threads
        load.acted = self.share

    def share(self) -> float:
        """The share of the acts that are done; whoever can't act holds up nobody."""
        return 1.0 if self.problems else sum(self._done) / self._acts

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> Seen:
        """Wait until everybody has done what they began; what they were answered."""
        seen = Seen()
        for thread in self._threads:
            thread.join(timeout=120)
        for person in self._people:
            seen.add(person.seen)
        return seen

    def _act(self, thread: int, people: list[Person], turns: list[int], chance: random.Random) -> None:
        try:
            for number, turn in enumerate(turns):
                while self._load.position < turn and not self._load.enough:
                    time.sleep(TICK)
                if self._load.enough:
                    return
                people[number % len(people)].acts(chance)
                self._done[thread] += 1
        except Exception as problem:  # noqa: BLE001 whoever waits for the thread is told
            self.problems.append(problem)

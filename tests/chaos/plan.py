"""Which blow falls after how many deliveries: all of it from one seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

# What is killed by ``kill -9``, and how often beside the others. A child is one process of its part; of PostgreSQL,
# a part without "child" is all of it, as when a platform ends a container.
KILLED = {
    "web child": 4,
    "web": 2,
    "worker child": 4,
    "worker": 3,
    "clock": 3,
    "postgres": 2,
    "postgres child": 2,
    "redis": 3,
}
OTHERS = {"flushall": 5, "stop": 5, "long stop": 1, "mail away": 3, "stripe slow": 2}
STOPPED = ("web", "web child", "worker", "clock", "postgres", "redis")
# Seconds. A dead process is started again after so long, a stopped one goes on after so long.
AWAY, STOPS, SPELL = (0.0, 3.0), (0.3, 6.0), (2.0, 12.0)
# Longer than every lease of an event and of a customer (``claims.CLAIM``, ``leases.SECONDS``).
LONG_STOP = 50.0
KILLS_FOR_EACH_OTHER = 3


@dataclass(frozen=True)
class Blow:
    """``at``: after so many deliveries. ``seconds``: how long it lasts, or until the dead is started again."""

    at: int
    kind: str
    part: str
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.kind} {self.part}".strip()


def drawn(seed: int, kills: int, deliveries: int) -> list[Blow]:
    """The blows in the order in which they fall. Every kind is among them where there are enough of them."""
    chance = random.Random(seed)
    blows = [("kill", part) for part in _shares(chance, KILLED, kills)]
    others = max(len(OTHERS), kills // KILLS_FOR_EACH_OTHER) if kills else 0
    kinds = _shares(chance, OTHERS, others)
    blows += [(kind, chance.choice(STOPPED) if kind.endswith("stop") else "") for kind in kinds]
    chance.shuffle(blows)
    moments = sorted(chance.randrange(deliveries // 50, max(1, deliveries * 49 // 50)) for _ in blows)
    return [
        Blow(at, kind, part, _seconds(chance, kind)) for at, (kind, part) in zip(moments, blows, strict=True)
    ]


def counted(blows: list[Blow]) -> Counter[str]:
    return Counter(blow.name for blow in blows)


def _shares(chance: random.Random, weights: dict[str, int], number: int) -> list[str]:
    """Each of them once first, as far as it goes, and the rest by weight."""
    names = list(weights)
    first = names if number >= len(names) else chance.sample(names, number)
    return [*first, *chance.choices(names, list(weights.values()), k=number - len(first))]


def _seconds(chance: random.Random, kind: str) -> float:
    if kind == "long stop":
        return LONG_STOP
    low, high = {"kill": AWAY, "stop": STOPS}.get(kind, SPELL)
    return round(chance.uniform(low, high), 1)

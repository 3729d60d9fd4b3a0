"""The storm: each blow of the plan falls when its turn has come, and whoever died is started again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

from tests.chaos.ageing import age
from tests.chaos.load import Load
from tests.chaos.people import rouse
from tests.chaos.plan import Blow
from tests.chaos.stack import Stack

TICK = 0.05
# Reading what Stripe holds costs something; whoever sends needs to know it no sooner.
LOOK = 0.3
# How long a blow waits for somebody whom it could hit, before it hits the whole part.
PATIENCE = 12.0
SLOW = 1.0
# A platform starts what ended by itself after so many seconds.
RESTART = 1.0
LONGEST = 3600.0

Blowing = Generator[None, None, None]


@dataclass
class Felt:
    """What the storm did. ``ended``: what ended though nobody had killed it."""

    hits: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Storm:
    """``hurried``: nobody waits until a lease is over; the database's rows are made older instead."""

    def __init__(
        self, stack: Stack, load: Load, plan: list[Blow], seed: int, *, hurried: bool = False
    ) -> None:
        self.felt = Felt()
        self._stack, self._load, self._plan, self._hurried = stack, load, list(plan), hurried
        self._chance = random.Random(f"storm {seed}")
        self._blowing: list[Blowing] = []
        self._restarts: dict[str, float] = {}
        self._slow = 0

    def rages(self) -> None:
        """Until every blow has fallen, nobody is away any more, and the load is over."""
        began = looked = time.monotonic()
        while self._plan or self._blowing or self._restarts or not self._load.enough:
            now = time.monotonic()
            if now - began > LONGEST:
                raise TimeoutError("the storm does not end")
            if now - looked > LOOK:
                self._load.look()
                self._stack.memory.listen()
                looked = now
            while self._plan and self._plan[0].at <= self._load.position:
                self._blowing.append(self._begin(self._plan.pop(0)))
            for blowing in list(self._blowing):
                if next(blowing, "over") == "over":
                    self._blowing.remove(blowing)
            self._platform(now)
            time.sleep(TICK)
        self.felt.seconds = time.monotonic() - began

    def watches(self) -> None:
        """A calm moment's share of a platform's work."""
        self._stack.memory.listen()
        self._platform(time.monotonic())

    def _platform(self, now: float) -> None:
        """Start again what died, when its time has come."""
        for name, child in list(self._stack.running.items()):
            if child.running:
                continue
            if name not in self._restarts:
                self.felt.ended[name] += 1
                self._restarts[name] = now + RESTART
            elif self._restarts[name] <= now:
                self._stack.start(name)
                del self._restarts[name]

    def _begin(self, blow: Blow) -> Blowing:
        self.felt.hits[blow.name] += 1
        if blow.kind == "kill":
            return self._kill(blow)
        if blow.kind.endswith("stop"):
            return self._stop(blow)
        return {"flushall": self._flush, "mail away": self._no_mail, "stripe slow": self._slows}[blow.kind](
            blow
        )

    # killing

    def _kill(self, blow: Blow) -> Blowing:
        """``kill -9`` of a part or of one process in it; of the worker while it is at work."""
        if not blow.part.startswith("worker"):
            yield from self._strike(blow, [])
            return
        self._stripe(slow=True)
        try:
            horse = yield from self._horse()
            yield from self._strike(blow, horse)
        finally:
            self._stripe(slow=False)

    def _strike(self, blow: Blow, known: list[int]) -> Blowing:
        name, _, child = blow.part.partition(" ")
        if child:
            until = time.monotonic() + PATIENCE
            while not (kids := known or self._stack.pids(blow.part)) and time.monotonic() < until:
                yield
            if kids:
                self._stack.kill([self._chance.choice(kids)])
                return
            self.felt.hits[blow.name] -= 1
            self.felt.hits[f"{blow.kind} {name}"] += 1
        while not self._stack.running[name].running:  # it is dead already
            yield
        self._restarts[name] = time.monotonic() + blow.seconds
        self._stack.kill(self._stack.pids(name))
        self._stack.running[name].process.wait(timeout=10)

    def _horse(self) -> Generator[None, None, list[int]]:
        """The worker's child in the middle of its work, for which there is some; nobody, where none comes."""
        until, roused = time.monotonic() + PATIENCE, 0.0
        while time.monotonic() < until:
            if time.monotonic() - roused > PATIENCE / 4:
                rouse(self._stack.sandbox.url, self._stack.memory, self._chance)
                roused = time.monotonic()
            kids = self._stack.pids("worker child")
            if kids:
                yield from self._wait(self._chance.uniform(0.1, SLOW))
                if kids == self._stack.pids("worker child"):
                    return kids
            yield
        return []

    # the rest

    def _stop(self, blow: Blow) -> Blowing:
        """SIGSTOP, and later SIGCONT for those that are still the same processes."""
        pids = self._stack.pids(blow.part)
        if blow.part == "worker":
            pids += self._stack.pids("worker child")
        if blow.part == "web child":
            pids = pids[:1]
        since = self._stack.stop(pids)
        if blow.kind == "long stop" and self._hurried:
            yield from self._wait(1)
            if blow.part != "postgres":
                age(self._stack, blow.seconds)
            yield from self._wait(1)
        else:
            yield from self._wait(blow.seconds)
        self._stack.resume(pids, since)

    def _flush(self, blow: Blow) -> Blowing:
        self._stack.flush_redis()
        yield

    def _no_mail(self, blow: Blow) -> Blowing:
        self._stack.post.close()
        yield from self._wait(blow.seconds)
        self._stack.post.open()

    def _slows(self, blow: Blow) -> Blowing:
        self._stripe(slow=True)
        yield from self._wait(blow.seconds)
        self._stripe(slow=False)

    def _stripe(self, *, slow: bool) -> None:
        self._slow += 1 if slow else -1
        if self._slow == int(slow):  # the first one, or the last
            api = "slow" if slow else "normal"
            self._stack.sandbox.control("trouble", api=api, api_path="/v1/", slow_seconds=SLOW)

    def _wait(self, seconds: float) -> Blowing:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield

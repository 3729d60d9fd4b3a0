"""One run: the house is set up, the storm passes, the calm comes, and every oracle is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import calm, oracles
from tests.chaos.calm import Calm
from tests.chaos.crowd import Crowd
from tests.chaos.load import Load, Sent
from tests.chaos.people import Person, Seen
from tests.chaos.plan import Blow
from tests.chaos.stack import Stack
from tests.chaos.storm import Felt, Storm
from tests.chaos.watch import Watch

# The sandbox tries again after so many seconds; after the last one it would give up.
DELAYS = [0.5, 1, 1, 2, 2, 3, 3, *[5] * 60]
DUPLICATES = 0.05
DELIVERIES_FOR_EACH_ACT = 20
THREADS = 6


@dataclass
class Outcome:
    """What a run came to. ``theirs``: deliveries of the sandbox itself; ``away``: seconds, the longest of each part."""

    felt: Felt
    sent: Sent
    seen: Seen
    calm: Calm
    away: dict[str, float]
    theirs: int
    their_tries: int
    acknowledged: int
    mails: Counter[str]
    healed: int
    unknown_taken: int
    wrong: list[str]

    @property
    def deliveries(self) -> int:
        return self.theirs + self.sent.done

    @property
    def pace(self) -> float:
        return self.deliveries / max(1.0, self.felt.seconds)


def live(
    folder: Path,
    plan: list[Blow],
    *,
    seed: int,
    deliveries: int,
    pace: float,
    people: int = 16,
    acts: int | None = None,
    hurried: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Outcome:
    """``pace``: deliveries a second, at most. ``hurried``: leases are made older where one would have to wait for them.

    Everything that was started has ended when this returns or raises.
    """
    with ExitStack() as stack:
        house = Stack(folder)
        house.open(stack)
        house.sandbox.control("settings", delivery_delays=DELAYS, duplicates=DUPLICATES)
        load = Load(house.web_port, house.secret, house.memory, deliveries, pace)
        crowd = Crowd(
            _people(house, people),
            load,
            deliveries // DELIVERIES_FOR_EACH_ACT if acts is None else acts,
            seed,
            threads=min(THREADS, people),
        )
        watch, storm = Watch(house), Storm(house, load, plan, seed, hurried=hurried)
        say("the storm begins")
        for begin in (watch.start, crowd.start):
            begin()
        load.start(seed)
        storm.rages()
        load.end()
        seen = crowd.end()
        say("the calm begins")
        away = dict(watch.longest)
        rest = calm.comes(house, storm, hurried=hurried)
        watch.end()
        say("the oracles are asked")
        return _outcome(house, load.sent(), seen, storm.felt, rest, away, crowd.problems)


def _people(house: Stack, number: int) -> list[Person]:
    with house.app.app_context():
        return [Person(house, each) for each in range(number)]


def _outcome(
    house: Stack,
    sent: Sent,
    seen: Seen,
    felt: Felt,
    rest: Calm,
    away: dict[str, float],
    problems: list[Exception],
) -> Outcome:
    found = oracles.ask(house, sent, seen, felt)
    wrong = found.wrong
    wrong += [f"after the calm {number} {name} are left" for name, number in rest.left.items() if number]
    wrong += [f"somebody could not act: {problem!r}" for problem in problems]
    theirs, tries, _ = house.memory.delivered()
    acknowledged = sent.acknowledged | house.memory.acknowledged()
    with house.connected() as rows:
        unknown = rows.execute("select message_id from notices where state = 'unknown'").fetchall()
    taken = sum(house.post.taken[message] > 0 for (message,) in unknown)
    return Outcome(
        felt,
        sent,
        seen,
        rest,
        away,
        theirs,
        tries,
        len(acknowledged),
        found.mails,
        found.healed,
        taken,
        wrong,
    )

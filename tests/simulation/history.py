"""One seed, one history: a storm of so many steps, then the calm, then every oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests import oracles
from tests.simulation import calm, probes
from tests.simulation.doors import doors
from tests.simulation.ground import ADMIN, PEOPLE, STRANGERS, Ground
from tests.simulation.hours import hours
from tests.simulation.leavers import whoever_left_is_nobody
from tests.simulation.newcomers import Admin, Stranger
from tests.simulation.people import Person
from tests.simulation.staff import Clock, Dashboard, Deliverer, Worker
from tests.simulation.told import Told
from tests.simulation.world import MOST, Ear, World

LEAST_STEPS, MOST_STEPS = 50, 140
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86400
# While somebody is at work, be it stopped in the middle of it; and while nobody is.
MEANWHILE = (SECOND, 5 * SECOND, 20 * SECOND, 50 * SECOND, 200 * SECOND)
WAITS = (20 * SECOND, MINUTE, MINUTE, 15 * MINUTE, 2 * HOUR, 2 * HOUR, DAY, 3 * DAY, 10 * DAY, 30 * DAY)
# Where cards fail, they must get to be charged again.
LONG = (MINUTE, 2 * HOUR, DAY, 10 * DAY, 30 * DAY, 30 * DAY, 30 * DAY)
# While a payment fails, or Stripe is away for a day: what is told of it comes step by step.
SLOWLY = (MINUTE, 2 * HOUR, 6 * HOUR, DAY, DAY, 2 * DAY)


@dataclass
class Cast:
    """Whoever acts in a world."""

    world: World
    people: list[Person]
    deliverer: Deliverer
    worker: Worker
    clocks: list[Clock]
    dashboard: Dashboard
    admin: Admin
    strangers: list[Stranger]


def live(ground: Ground, seed: int, ear: Ear, steps: int | None = None) -> Told:
    """``steps``: of its storm; else as many as the seed says."""
    ground.anew(seed)
    world = World(ground, seed)
    doors.world = ear.world = world
    try:
        cast = Cast(
            world,
            [Person(world, address) for address in PEOPLE],
            Deliverer(world),
            Worker(world),
            [Clock(world, "clock"), Clock(world, "second clock")],
            Dashboard(world),
            Admin(world, ADMIN),
            [Stranger(world, address) for address in STRANGERS],
        )
        _prologue(cast)
        for _ in range(steps or world.chance.randint(LEAST_STEPS, MOST_STEPS)):
            _step(cast)
        calm.comes(cast)
        for oracle in oracles.ALL:
            oracle(world)
        whoever_left_is_nobody(world)
        probes.look(world)
    finally:
        doors.world = ear.world = None
    return Told(seed, world.wrong, world.trace, dict(world.hits))


def _prologue(cast: Cast) -> None:
    """Some have ordered before the storm, and some of those have paid."""
    world = cast.world
    world.weather.fine = True
    for person in cast.people:
        if world.chance.random() < 0.9:
            world.chance.choice((person.orders, person.orders, person.orders, person.buys))()
            calm.finish(cast)
            while person.stripe.pages and world.chance.random() < 0.95:
                person.stripe.goes_on()
            if person.customer and world.chance.random() < 0.4:
                person.takes_a_card()
    if world.chance.random() < 0.4:
        calm.rest(cast)
    world.weather.fine = False
    world.note("the storm begins")


def _step(cast: Cast) -> None:
    """Something that can happen now happens: who goes on is likelier than who begins."""
    world, chance = cast.world, cast.world.chance
    ways: list[tuple[Callable[[], object], float]] = [
        (lambda: _time(world, MEANWHILE), 2 if world.crowd.alive else 0.5),
        (lambda: _lull(cast), 0 if hours.now < world.stopped_until else 1.2),
        (lambda: _weather(world), 0.3),
    ]
    awake = world.crowd.awake()
    sleeping = [one for one in world.crowd.alive if one not in awake]
    if sleeping and world.weather.strikes("killed while asleep"):
        world.note(f"{sleeping[0].name} is killed while asleep")
        world.crowd.kill(sleeping[0])
    if awake:
        ways.append((lambda: world.go_on(chance.choice(awake)), 8))
    if len(world.crowd.alive) < MOST:
        ways += [(chance.choice(cast.people).acts, 3), (cast.dashboard.acts, 0.7), (cast.admin.acts, 0.3)]
        if cast.strangers:
            ways.append((lambda: _stranger(cast), 0.8))
        # Whoever is stopped should find that somebody else has come by.
        often = 8 if hours.now < world.stopped_until else 1
        ways += [(one.acts, often) for one in cast.clocks if one.idle()]
        if cast.deliverer.owed():
            ways.append((cast.deliverer.acts, 5))
        if cast.worker.is_called():
            ways.append((cast.worker.acts, 3))
    steps, weights = zip(*ways, strict=True)
    chance.choices(steps, weights)[0]()


def _stranger(cast: Cast) -> None:
    """Whoever has an account by now is one of the people."""
    stranger = cast.strangers[0]
    if stranger.has_an_account:
        cast.world.hit("account made")
        cast.world.had_accounts.add(stranger.address)
        cast.people.append(Person(cast.world, cast.strangers.pop(0).address))
    else:
        stranger.acts()


def _lull(cast: Cast) -> None:
    """Whoever is at work comes to an end, then nobody does anything for a while."""
    calm.finish(cast)
    world = cast.world
    waits = LONG if world.later.count("fails later") > 1 else WAITS
    _time(world, SLOWLY if world.is_late or hours.now < world.weather.long_away else waits)


def _time(world: World, choices: Sequence[int]) -> None:
    seconds = world.chance.choice(choices) * world.chance.uniform(0.5, 1)
    world.note(f"{seconds:.0f} s pass")
    world.passes(seconds)


def _weather(world: World) -> None:
    world.note(world.weather.turns())

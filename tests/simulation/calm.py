"""The faults are over. Within bounded time everything must come to rest, by our own duties alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from billing import claims, jobs
from billing.extensions import db
from tests.mirrors import rows_equal_what_stripe_holds
from tests.simulation.hours import hours

if TYPE_CHECKING:
    from tests.simulation.history import Cast
    from tests.simulation.staff import Clock

# What the clock, the worker and Stripe get: until every lease is over, then a day, in which whatever waits for hours
# has its turn and the reconciler makes a whole pass, and two turns for what that brings.
TICKS = [31.0, 31.0, 120.0, 25 * 3600.0, 31.0, 31.0]
# Seconds: promise I10.
APPLIED_BY = 60.0
ROUNDS = 200


def comes(cast: Cast) -> None:
    world = cast.world
    world.note("the calm begins")
    world.weather.calms()
    finish(cast)
    began = hours.now
    for seconds in TICKS:
        rest(cast, [world.chance.choice(cast.clocks)] if seconds < 3600 else cast.clocks)
        _kept_in_time(cast, hours.now - began)
        if seconds > 3600:
            _replay_what_was_parked(cast)
            _right_without_the_reconciler(cast)
        world.passes(seconds)
    rest(cast, cast.clocks)
    _replay_what_was_parked(cast)


def _replay_what_was_parked(cast: Cast) -> None:
    """An operator, once the fault is mended: ``flask events replay``."""
    world = cast.world
    with world.ground.app.app_context():
        parked = claims.parked(db.session())
        for event in parked:
            world.hit("event parked")
            jobs.run_again(db.session(), event)
        db.session.remove()
    if parked:
        rest(cast, cast.clocks)


def _right_without_the_reconciler(cast: Cast) -> None:
    """Where nothing was lost, the events alone have brought our rows to what Stripe holds."""
    if not cast.deliverer.lost:
        rows_equal_what_stripe_holds(cast.world)
        cast.world.hit("nothing was lost")


def _kept_in_time(cast: Cast, since: float) -> None:
    """No event waits for longer than a minute once everybody who was stopped is back, however it was left."""
    sql = (
        "select event_id, type from stripe_events where state = 'pending'"
        " and next_attempt_at < sim.clock_timestamp() - interval '60 seconds'"
    )
    if since > APPLIED_BY:
        for event, kind in cast.world.rows(sql):
            cast.world.fails(f"{kind} {event} is due and not applied after a minute of calm")


def rest(cast: Cast, clocks: Sequence[Clock] = ()) -> None:
    """Everybody does what there is to do at this moment, until there is nothing."""
    world = cast.world
    ticking = list(clocks)
    for _ in range(ROUNDS):
        finish(cast)
        owed = cast.deliverer.owed(all_=True)
        if owed:
            cast.deliverer.acts(owed[0])
        elif cast.worker.is_called():
            cast.worker.acts()
        elif ticking:
            ticking.pop(0).acts()
        else:
            return
    world.fails("there is no end of work in the calm")


def finish(cast: Cast) -> None:
    """Whoever began comes to an end; where all sleep, time passes until the first of them wakes."""
    world = cast.world
    for _ in range(20_000):
        if not world.crowd.alive:
            return
        awake = world.crowd.awake()
        if awake:
            world.go_on(awake[0])
        else:
            world.passes(min(one.wake for one in world.crowd.alive) - hours.now)
    world.fails(f"{world.crowd.alive[0].name} never ends")
    world.crowd.alive.clear()

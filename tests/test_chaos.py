"""A small storm of ``make chaos``: everything is killed while deliveries come, and every oracle is asked afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.chaos import plan
from tests.chaos.run import live

SEED = 7
# Six acts cause half as many at most; the rest is repeated or forged, which costs next to nothing.
KILLS, DELIVERIES = len(plan.KILLED), 200


def test_whatever_is_killed_all_that_was_taken_is_applied_once_and_is_what_stripe_holds(
    tmp_path: Path,
) -> None:
    blows = plan.drawn(SEED, KILLS, DELIVERIES)
    done = live(tmp_path, blows, seed=SEED, deliveries=DELIVERIES, pace=16, people=3, acts=6, hurried=True)
    assert done.wrong == []
    assert sum(times for name, times in done.felt.hits.items() if name.startswith("kill ")) == KILLS
    assert done.deliveries >= DELIVERIES
    assert done.sent.forged > 0
    assert done.mails["sent"] > 0


def test_a_seed_is_the_same_plan_each_time_and_has_every_kind_of_blow() -> None:
    blows = plan.drawn(SEED, 200, 20_000)
    assert blows == plan.drawn(SEED, 200, 20_000) != plan.drawn(SEED + 1, 200, 20_000)
    assert sum(blow.kind == "kill" for blow in blows) == 200
    assert {blow.part for blow in blows if blow.kind == "kill"} == set(plan.KILLED)
    assert {blow.kind for blow in blows} == {"kill", *plan.OTHERS}

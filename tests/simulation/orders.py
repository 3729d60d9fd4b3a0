"""``python -m tests.simulation.orders``: so many random orders of the lives' events; one that ends wrong is printed as
the command that walks it alone."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from pathlib import Path

from tests.simulation.doors import doors
from tests.simulation.ground import Ground, ground
from tests.simulation.lives import LIVES, Life, live
from tests.simulation.walks import Map, Walk, walk, without_mails
from tests.simulation.world import Ear, World

COMMAND = "python -m tests.simulation.orders --life '{}' --first {} --walks 1"
# So many of those that lost something may read what it was in Stripe's list of events.
WITH_LIST = 10


def main() -> int:
    asked = _asked()
    names = [asked.life] if asked.life else list(LIVES)
    share = -(-asked.walks // len(names))
    ear = Ear()
    with (
        tempfile.TemporaryDirectory(prefix="dunlin-orders-") as folder,
        ground(Path(folder), os.environ.get("TEST_DATABASE_URL"), ear) as found,
    ):
        bad = [_walks(found, ear, name, asked.first, share, Path(folder) / name) for name in names]
    return int(any(bad))


def _walks(ground: Ground, ear: Ear, name: str, first: int, count: int, folder: Path) -> bool:
    """Walk through one life so often; whether something was wrong."""
    ground.anew(name)
    world = World(ground, 0)
    doors.world = ear.world = world
    try:
        life = live(name, world, folder)
        found = Map(life, world)
        walks = [walk(life, seed) for seed in range(first, first + count)]
        for seed, one in enumerate(walks, start=first):
            try:
                found.go(one, with_list=seed % WITH_LIST == 0)
                _same_end(found)
            except AssertionError:
                sys.stdout.write(COMMAND.format(name, seed) + "\n")
                sys.stdout.write(_told(life, one) + traceback.format_exc())
                return True
        sys.stdout.write(_summary(name, found, walks))
        return False
    finally:
        doors.world = ear.world = None


def _same_end(found: Map) -> None:
    ends = {without_mails(rows) for rows in found.ends}
    assert len(ends) == 1, "it ended in other rows than before:\n" + "\n".join(sorted(ends))


def _told(life: Life, walk: Walk) -> str:
    lines = [f"  step {step}: {life.types[event]} {event}\n" for step, event in walk.told]
    return "".join(lines) + f"  lost: {[life.types[event] for event in walk.lost]}\n"


def _summary(name: str, found: Map, walks: list[Walk]) -> str:
    number = sum(len(step.news) for step in found.life.steps)
    lost = sum(bool(one.lost) for one in walks)
    twice = sum(len(one.told) > len({event for _, event in one.told}) for one in walks)
    return (
        f"{name}: {len(walks)} orders of {number} events in {len(found.life.steps)} steps: {lost} with something lost,"
        f" {twice} with something twice; {len(found.applied)} applied for real, {len(found.healed)} passes,"
        f" {len(found.ends)} ends\n"
    )


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.orders", description=__doc__)
    parser.add_argument("--walks", type=int, default=2000, help="how many, of all lives together (2000)")
    parser.add_argument("--first", type=int, default=1, help="the first seed of each life (1)")
    parser.add_argument("--life", choices=LIVES, help="of this life alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""The threads of this process: webhook delivery and the wall clock."""

from __future__ import annotations

from sandbox.delivery import Deliverer
from sandbox.engine.time import WallClock
from sandbox.house import house

_deliverer: Deliverer | None = None
_wall_clock: WallClock | None = None


def start() -> None:
    """Start both for the house that is open."""
    global _deliverer, _wall_clock
    _deliverer, _wall_clock = Deliverer(house()), WallClock()
    _deliverer.start()
    _wall_clock.start()


def stop() -> None:
    """Stop both, then close the store."""
    if _wall_clock is not None:
        _wall_clock.stop()
    if _deliverer is not None:
        _deliverer.stop()
    house().store.close()


def deliverer() -> Deliverer:
    if _deliverer is None:
        raise RuntimeError("The sandbox is not running: call start first.")
    return _deliverer

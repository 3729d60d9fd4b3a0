"""Which time it is for whom: a customer's test clock, or the wall.

The wall of the sandbox is real time and an offset, which the control panel can only make larger: it moves
everybody who has no test clock.
"""

from __future__ import annotations

import time

from sandbox.house import db

OFFSET = "clock_offset"


def wall() -> int:
    """UTC seconds on the wall of the sandbox."""
    return int(exact())


def exact() -> float:
    """The same with its fraction, for what is planned within seconds: deliveries, idempotency keys."""
    offset: float = db().fact(OFFSET, 0.0)
    return time.time() + offset


def move_wall(to: float) -> None:
    """Let it be `to` now; not back, because what has happened has happened."""
    db().set_fact(OFFSET, max(db().fact(OFFSET, 0.0), to - time.time()))


def now(customer_id: str | None) -> int:
    """UTC seconds as that customer's objects see them; inside due work, the moment that it was due at."""
    moment = db().moment
    if moment is not None:
        return moment
    return own(customer_id)


def own(customer_id: str | None) -> int:
    """What that customer's own clock says, whatever is due at the moment; the wall where the clock was deleted."""
    test_clock = db().find("test_helpers.test_clock", clock_of(customer_id))
    return int(test_clock["frozen_time"]) if test_clock is not None else wall()


def clock_of(customer_id: str | None) -> str | None:
    """The id of the customer's test clock, or None."""
    customer = db().find("customer", customer_id)
    return customer.get("test_clock") if customer else None

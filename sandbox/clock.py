"""Which time it is for whom: a customer's test clock, or the wall."""

from __future__ import annotations

import time

from sandbox.house import db


def wall() -> int:
    return int(time.time())


def now(customer_id: str | None) -> int:
    """UTC seconds as that customer's objects see them; inside due work, the moment that it was due at."""
    moment = db().moment
    if moment is not None:
        return moment
    return own(customer_id)


def own(customer_id: str | None) -> int:
    """What that customer's own clock says, whatever is due at the moment."""
    clock_id = clock_of(customer_id)
    frozen: int = db().get("test_helpers.test_clock", clock_id)["frozen_time"] if clock_id else wall()
    return frozen


def clock_of(customer_id: str | None) -> str | None:
    """The id of the customer's test clock, or None."""
    customer = db().find("customer", customer_id)
    return customer.get("test_clock") if customer else None

"""Deliveries that were refused, counted so that an operator sees them.

Whoever has no signing secret leaves nothing in the database: those are counted in this process's memory.
An event that Stripe signed and that is not ours (the other mode, another account) is a mistake in
somebody's settings; those are counted in PostgreSQL.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import timedelta
from time import monotonic

from flask import current_app
from sqlalchemy.orm import Session

from billing import throttle

log = logging.getLogger(__name__)
MANY, SECONDS = 10, 60.0
FOREIGN = throttle.bucket("foreign event")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def note() -> None:
    """Count one delivery whose signature was not right. Tells the log once when they become many."""
    before = many()
    _times().append(monotonic())
    if many() and not before:
        log.error("many deliveries refused", extra={"reason": "signature", "more_than": MANY})


def many() -> bool:
    """Whether this process refused more than 10 deliveries for their signature in the last 60 seconds."""
    times = _times()
    return len(times) > MANY and monotonic() - times[0] <= SECONDS


def note_foreign(session: Session) -> None:
    """Count one event that was signed for us and is not ours, and commit."""
    throttle.hit(session, FOREIGN, 0, window=MINUTE)


def foreign(session: Session) -> bool:
    """Whether there was such an event in the last hour (to the minute)."""
    return throttle.any_within(session, FOREIGN, HOUR + MINUTE)


def _times() -> deque[float]:
    """When the last refusals were, by the monotonic clock; no more of them than the question needs."""
    found: deque[float] = current_app.extensions.setdefault("refusals", deque(maxlen=MANY + 1))
    return found

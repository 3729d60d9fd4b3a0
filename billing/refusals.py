"""Deliveries that were refused, counted so that an operator sees them, and why.

Whoever has no signing secret leaves nothing in the database: those are counted in this process's memory, and so is
a delivery that is only too old, which somebody may have listened to. What else a secret of ours has signed (an event
of the other mode or of another account, with a secret that has ended, with a body that was changed on its way) is a
mistake in somebody's settings; those are counted in PostgreSQL.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import timedelta
from time import monotonic

from flask import current_app
from sqlalchemy.orm import Session

from billing import throttle
from billing.diagnosis import ALTERED, OLD

log = logging.getLogger(__name__)
MANY, SECONDS = 10, 60.0
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FOREIGN = ("livemode", "account")
PROVEN = (*FOREIGN, OLD, ALTERED)


def note(case: str) -> None:
    """Count one delivery whose signature was not right. Tells the log once when they become many."""
    before = many()
    _times().append(monotonic())
    _seen()[case] = monotonic()
    if many() and not before:
        log.error("many deliveries refused", extra={"reason": case, "more_than": MANY})


def many() -> bool:
    """Whether this process refused more than 10 deliveries for their signature in the last 60 seconds."""
    times = _times()
    return len(times) > MANY and monotonic() - times[0] <= SECONDS


def note_proven(session: Session, case: str) -> None:
    """Count one delivery that a secret of ours has signed and that was refused all the same, and commit."""
    throttle.hit(session, _bucket(case), 0, window=MINUTE)


def foreign(session: Session) -> bool:
    """Whether there was an event of the other mode or account in the last hour (to the minute)."""
    return bool(_proven(session, FOREIGN))


def lately(session: Session) -> list[str]:
    """The cases of the last hour: those that every process counts, and those that this one has seen."""
    here = [case for case, when in _seen().items() if monotonic() - when <= HOUR.total_seconds()]
    return [*_proven(session, PROVEN), *(case for case in here if case not in PROVEN)]


def _proven(session: Session, cases: tuple[str, ...]) -> list[str]:
    found = throttle.within(session, map(_bucket, cases), HOUR + MINUTE)
    return [case for case in cases if _bucket(case) in found]


def _bucket(case: str) -> str:
    return throttle.bucket("refused delivery", case)


def _times() -> deque[float]:
    """When the last refusals were, by the monotonic clock; no more of them than the question needs."""
    found: deque[float] = current_app.extensions.setdefault("refusals", deque(maxlen=MANY + 1))
    return found


def _seen() -> dict[str, float]:
    """When this process saw each case last."""
    found: dict[str, float] = current_app.extensions.setdefault("refused_cases", {})
    return found

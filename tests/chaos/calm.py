"""The storm is over. Everything must come to rest by our own duties alone, and soon."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psycopg

from tests.chaos.ageing import age
from tests.chaos.stack import Stack
from tests.chaos.storm import Storm

# Seconds. The longest are a mail whose sender died (``outbox.LEASE``), and one that was refused several times.
LIMIT = 1200.0
QUIET = 3.0
AGES, AGES_EVERY = 200.0, 6.0
LEFT = {
    "events": "select count(*) from stripe_events where state = 'pending'",
    "mails": "select count(*) from notices where state in ('queued', 'sending')",
    "writes": "select count(*) from stripe_writes where state not in ('done', 'declined', 'failed')",
}


@dataclass
class Calm:
    """Seconds of calm until the last of each kind was done, and what is left of it."""

    seconds: dict[str, float] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)


def comes(stack: Stack, storm: Storm, *, hurried: bool = False) -> Calm:
    """Look on until nothing is left, or until the time for it is over. ``hurried``: what waits becomes older."""
    calm, began = Calm(dict.fromkeys(("deliveries", *LEFT), 0.0)), time.monotonic()
    busy = aged = began
    while time.monotonic() - busy < QUIET and time.monotonic() - began < LIMIT:
        storm.watches()
        calm.left = _left(stack)
        now = time.monotonic()
        for name, number in calm.left.items():
            if number:
                calm.seconds[name], busy = now - began, now
        if hurried and any(calm.left.values()) and now - aged > AGES_EVERY:
            age(stack, AGES)
            aged = now
        time.sleep(0.5)
    return calm


def _left(stack: Stack) -> dict[str, int]:
    owed = {"deliveries": stack.memory.delivered()[2]}
    try:
        with stack.connected(seconds=10) as rows:
            found = [rows.execute(sql).fetchone() for sql in LEFT.values()]
    except psycopg.Error:
        return {**owed, **dict.fromkeys(LEFT, -1)}
    return {**owed, **{name: row[0] if row else 0 for name, row in zip(LEFT, found, strict=True)}}

"""Which faults there are in a history, and when they strike.

A site is active in a quarter of the histories. Where it is, it strikes with its rate: a quarter of the times at a door
that is passed seldom, less where one piece of work passes it dozens of times, since else no work would ever end.
Besides, whole parts go away and come back, in any order.
"""

from __future__ import annotations

import random

ACTIVE = 0.25
SITES = {
    # the database: at a statement or a commit
    "database: connection lost": 0.01,
    "database: deadlock": 0.01,
    "database: lost before the commit": 0.03,
    "database: lost after the commit": 0.03,
    # Stripe
    "stripe: refused": 0.25,
    "stripe: 500, nothing done": 0.1,
    "stripe: 429": 0.25,
    "stripe: done, then 500": 0.15,
    "stripe: done, answer lost": 0.15,
    "stripe: timed out, nothing done": 0.1,
    "stripe: timed out, done": 0.1,
    "stripe: slow": 0.1,
    "stripe: truncated": 0.1,
    "stripe: done, then away for a day": 0.2,
    # its deliveries
    "delivery: twice": 0.25,
    "delivery: lost": 0.15,
    "delivery: answer lost": 0.25,
    "delivery: forged": 0.25,
    "delivery: of live mode": 0.1,
    # Redis
    "redis: away": 0.25,
    "redis: slow": 0.25,
    "redis: flushed": 0.25,
    # SMTP
    "smtp: refused": 0.4,
    "smtp: temporary no": 0.4,
    "smtp: cut before the data": 0.4,
    "smtp: cut after the data": 0.4,
    # our processes
    "killed at the database": 0.015,
    "killed at Stripe": 0.1,
    "killed at SMTP": 0.15,
    "killed at Redis": 0.2,
    "killed while asleep": 0.1,
    "stopped with Stripe's answer in hand": 0.25,
    "job timeout": 0.2,
    "skewed clock": 0.25,
    "event that brings out a fault": 0.04,
}
PARTS = ("stripe", "smtp", "redis")


class Weather:
    """``fine``: nothing strikes any more. ``struck``: how often each site did."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.active = {site for site in SITES if chance.random() < ACTIVE}
        self.away: set[str] = set()
        # Stripe stays away until then, whatever else turns.
        self.long_away = 0.0
        # What brings out a fault of ours, once it was met: it does so until the calm.
        self.poisoned: set[str] = set()
        self.fine = False
        self.struck: dict[str, int] = {}

    def strikes(self, site: str) -> bool:
        if self.fine or site not in self.active or self._chance.random() >= SITES[site]:
            return False
        self.struck[site] = self.struck.get(site, 0) + 1
        return True

    def is_away(self, part: str, moment: float) -> bool:
        return part in self.away or (part == "stripe" and moment < self.long_away)

    def turns(self) -> str:
        """A part goes away, or one that is away comes back."""
        part = self._chance.choice(PARTS)
        self.away ^= {part}
        return f"{part} is {'away' if part in self.away else 'back'}"

    def calms(self) -> None:
        self.fine, self.long_away = True, 0.0
        self.away.clear()
        self.poisoned.clear()

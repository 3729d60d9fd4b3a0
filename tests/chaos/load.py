"""Deliveries: the sandbox's own, as people's acts cause them, and beside them repeated and forged ones.

The sandbox delivers and repeats by itself. What is sent here is signed by the sandbox's code and sent as it sends:
newly signed at each try, until it is answered 2xx; what is forged, until it is answered at all.
"""

from __future__ import annotations

import heapq
import http.client
import itertools
import json
import random
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox import signing
from tests.chaos.memory import Memory

SENDERS = 3
# Of what is sent here. The rest is repeated: mostly what is new, and may not have been delivered yet.
FORGED, OLD = 0.08, 0.2
NEWEST, OLDEST = 200, 2000
# Seconds until a delivery is tried again, once for each try; the last one for all that follow.
AGAIN = (0.5, 1.0, 2.0, 4.0)
MOST_WAITING = 40
AHEAD = 0.1
TIMEOUT = 10.0
STALE_SECONDS = 3600


@dataclass
class Sent:
    """What came of the deliveries that were sent here. ``answers``: of each try, its status or "none"."""

    done: int = 0
    forged: int = 0
    acknowledged: set[str] = field(default_factory=set)
    counterfeits: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Sent) -> None:
        self.done, self.forged = self.done + other.done, self.forged + other.forged
        self.acknowledged |= other.acknowledged
        self.counterfeits |= other.counterfeits
        self.answers += other.answers
        self.wrong += other.wrong


@dataclass(order=True)
class Delivery:
    """One event on its way. ``forgery``: how it is not genuine, "" where it is."""

    due: float
    number: int
    event: dict[str, Any] = field(compare=False)
    forgery: str = field(default="", compare=False)
    tries: int = field(default=0, compare=False)


class Load:
    """``position``: deliveries that came to an end, the sandbox's own among them. It keeps the pace and then ends."""

    def __init__(self, port: int, secret: str, memory: Memory, deliveries: int, pace: float) -> None:
        self._port, self._secret, self._memory = port, secret, memory
        self.deliveries, self._pace = deliveries, pace
        self._events: list[str] = []
        # The share of the people's acts that are done.
        self.acted: Callable[[], float] = lambda: 1.0
        self._theirs, self._began = 0, time.monotonic()
        self._senders: list[Sender] = []

    def start(self, seed: int) -> None:
        self._began = time.monotonic()
        self._senders = [Sender(self, number, random.Random(f"{seed} {number}")) for number in range(SENDERS)]
        for sender in self._senders:
            sender.start()

    @property
    def position(self) -> int:
        return self._theirs + sum(sender.sent.done for sender in self._senders)

    @property
    def over(self) -> bool:
        return not any(sender.is_alive() for sender in self._senders)

    @property
    def enough(self) -> bool:
        return self.position >= self.deliveries

    def look(self) -> None:
        """Learn what there is to repeat, and how many the sandbox has delivered."""
        self._theirs = self._memory.delivered()[0]
        known = self._memory.events(OLDEST if random.random() < OLD else NEWEST)
        self._events = [body for event, body in known.items() if is_repeated(event)]

    def is_behind(self) -> bool:
        """Whether it is time for another delivery: by the pace, and by how far the people are, who matter more."""
        reached = self.position
        in_time = reached < self._pace * (time.monotonic() - self._began)
        return in_time and reached < self.deliveries * (self.acted() + AHEAD)

    def sent(self) -> Sent:
        found = Sent()
        for sender in self._senders:
            found.add(sender.sent)
        return found

    def end(self) -> None:
        """Nothing new is sent; what waits is sent until it is taken, for so long as there is somebody to take it."""
        self.deliveries = 0
        for sender in self._senders:
            sender.join(timeout=120)


def is_repeated(event: str) -> bool:
    """Every second event is sent by the sandbox alone: a repetition would bring back what was lost after its 2xx."""
    return zlib.crc32(event.encode()) % 2 == 0


class Sender(threading.Thread):
    """One connection that is kept, and what waits to be sent again on it."""

    def __init__(self, load: Load, number: int, chance: random.Random) -> None:
        super().__init__(name=f"sender {number}", daemon=True)
        self.sent = Sent()
        self._load, self._chance = load, chance
        self._waiting: list[Delivery] = []
        self._numbers = itertools.count(number * 1_000_000)
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        while not self._load.enough or self._waiting:
            now = time.monotonic()
            if self._waiting and self._waiting[0].due <= now:
                self._try(heapq.heappop(self._waiting))
            elif self._load.enough or len(self._waiting) >= MOST_WAITING or not self._load.is_behind():
                time.sleep(0.02)
            elif self._load._events:
                self._try(self._new())
            else:
                time.sleep(0.1)
        if self._connection is not None:
            self._connection.close()

    def _new(self) -> Delivery:
        number, event = next(self._numbers), json.loads(self._chance.choice(self._load._events))
        if (
            self.sent.counterfeits and self._chance.random() >= FORGED
        ):  # the first one is forged, however few there are
            return Delivery(0, number, event)
        counterfeit = f"evt_forged{number:010}"
        self.sent.counterfeits.add(counterfeit)
        way = self._chance.choice(("another secret", "changed", "stale", "live mode", "no signature"))
        return Delivery(0, number, event | {"id": counterfeit}, way)

    def _try(self, one: Delivery) -> None:
        status = self._post(*self._letter(one))
        self.sent.answers[str(status or "none")] += 1
        if one.forgery and status is not None:
            self.sent.done, self.sent.forged = self.sent.done + 1, self.sent.forged + 1
            if status != 400:
                self.sent.wrong.append(f"a delivery with {one.forgery} was answered {status}")
        elif status is not None and 200 <= status < 300:
            self.sent.done += 1
            self.sent.acknowledged.add(one.event["id"])
        else:
            if status not in (None, 503):
                self.sent.wrong.append(f"{one.event['type']} was answered {status}")
            one.due = time.monotonic() + AGAIN[min(one.tries, len(AGAIN) - 1)]
            one.tries += 1
            heapq.heappush(self._waiting, one)

    def _letter(self, one: Delivery) -> tuple[bytes, str]:
        event = one.event | {"pending_webhooks": 1}
        if one.forgery == "live mode":
            event["livemode"] = True
        body = json.dumps(event, indent=2).encode()
        secret = "whsec_of_somebody_else" if one.forgery == "another secret" else self._load._secret
        late = STALE_SECONDS if one.forgery == "stale" else 0
        header = signing.header(body, [secret], int(time.time()) - late)
        if one.forgery == "changed":
            body = body.replace(b'"created"', b'"Created"', 1)
        return body, "" if one.forgery == "no signature" else header

    def _post(self, body: bytes, signature: str) -> int | None:
        """The status; None where there was no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._load._port, timeout=TIMEOUT)
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
        try:
            self._connection.request("POST", "/webhooks/stripe", body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return None
        return answer.status

"""What Stripe holds: the sandbox's own memory, read from its file by none of our code and at no cost to it."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any


class Memory:
    """Reads only. Its list of requests is limited, so ``listen`` must be called while it grows.

    ``refusals``: an event, how often it was tried by then, and the status that it was answered."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._file = sqlite3.connect(f"file:{file}?mode=ro", uri=True, check_same_thread=False)
        self._heard = self._last_request()
        self.requests: list[dict[str, Any]] = []
        self.refusals: set[tuple[str, int, int]] = set()

    def rows(self, sql: str, *args: Any) -> list[Any]:
        with self._lock:
            return self._file.execute(sql, args).fetchall()

    def all(self, kind: str, **where: Any) -> list[dict[str, Any]]:
        """Objects of a kind, oldest first. ``where``: values that they have."""
        found = self.rows("select body from objects where type = ? order by seq", kind)
        objects = [json.loads(body) for (body,) in found]
        return [one for one in objects if all(one.get(name) == value for name, value in where.items())]

    def listen(self) -> None:
        """Keep the requests that came since, and the deliveries that were answered otherwise than 2xx."""
        for seq, body in self.rows("select seq, body from requests where seq > ? order by seq", self._heard):
            self._heard = seq
            self.requests.append(json.loads(body))
        sql = "select event, attempts, status from deliveries where state = 'pending' and status is not null"
        self.refusals.update(self.rows(sql))

    def events(self, most: int) -> dict[str, str]:
        """The newest events by their ids, as JSON, in the shape that they are delivered in."""
        return dict(
            self.rows("select id, body from objects where type = 'event' order by seq desc limit ?", most)
        )

    def delivered(self) -> tuple[int, int, int]:
        """How many deliveries the sandbox has ended well, how often it has tried in all, how many it still owes."""
        sql = (
            "select count(*) filter (where state = 'delivered'), coalesce(sum(attempts), 0),"
            " count(*) filter (where state = 'pending') from deliveries"
        )
        [(done, tries, owed)] = self.rows(sql)
        return done, tries, owed

    def acknowledged(self) -> set[str]:
        """The ids of the events that we answered the sandbox with 2xx."""
        sql = "select event from deliveries where state = 'delivered' and status between 200 and 299"
        return {event for (event,) in self.rows(sql)}

    def now_of(self, customer: str) -> int | None:
        """The time of the customer's test clock; None: they live by the wall."""
        [(body,)] = self.rows("select body from objects where type = 'customer' and id = ?", customer)
        clock = json.loads(body)["test_clock"]
        if clock is None:
            return None
        [(body,)] = self.rows("select body from objects where id = ?", clock)
        return int(json.loads(body)["frozen_time"])

    def close(self) -> None:
        self._file.close()

    def _last_request(self) -> int:
        [(last,)] = self.rows("select coalesce(max(seq), 0) from requests")
        return int(last)

"""Delivers owed events: at most eight at once, in no promised order, again when they fail.

An owed delivery is a row, written with its event; this thread only carries rows out, so a killed sandbox
delivers the rest when it comes back (and now and then one twice, as Stripe does). When a row is due is told
in the sandbox's time: retries go out when the control panel moves the clock.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sandbox import clock, sending, signing
from sandbox.house import House

SENDERS = 8
AT_ONCE = 500  # rows read at a time
IDLE_SECONDS = 30.0
BURST_WINDOW = 0.4  # how long the newest event must be old before a reversed or shuffled batch goes out
MINUTE, HOUR = 60, 3600
# Stripe publishes no intervals, only the ends (facts 2.2): three days live, three retries in test mode.
SCHEDULES: dict[str, list[float]] = {
    "live": [
        5 * MINUTE, 10 * MINUTE, 45 * MINUTE, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 12 * HOUR, 12 * HOUR,
        12 * HOUR, 12 * HOUR,
    ],
    "test": [10 * MINUTE, HOUR, 3 * HOUR],
}  # fmt: skip


class Deliverer:
    def __init__(self, house: House) -> None:
        self._house = house
        self._store = house.store
        self._bell = threading.Event()
        self._stopping = False
        self._busy: set[int] = set()
        self._guard = threading.Condition()
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="delivery")
        self._thread = threading.Thread(target=self._run, name="deliverer", daemon=True)

    def start(self) -> None:
        self._store.on_commit = self._bell.set
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._store.on_commit = None
        self._bell.set()
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def flush(self) -> None:
        """Try everything that is owed now once, whatever its time and even while held; returns when done."""
        self._try("state='pending'", ())

    def repeat(self) -> None:
        """Try what failed before and is due again; returns when done. Held deliveries stay held."""
        if self._mode() != "hold":
            self._try("state='pending' AND attempts>0 AND next_at<=?", (clock.exact(),))

    def next_repeat(self) -> float | None:
        """When the next failed delivery is due again, in the sandbox's time; None while all is held."""
        if self._mode() == "hold":
            return None
        row = self._store.one(
            "SELECT next_at FROM deliveries WHERE state='pending' AND attempts>0 ORDER BY next_at LIMIT 1"
        )
        return row["next_at"] if row else None

    def _try(self, which: str, args: tuple[Any, ...]) -> None:
        rows = self._store.rows(f"SELECT id FROM deliveries WHERE {which} ORDER BY id", args)  # noqa: S608 our words
        wanted = [row["id"] for row in rows]
        if self._in_turn():
            self._one_by_one(wanted)
        else:
            futures = [self._submit(id_) for id_ in wanted]
            for future in futures:
                if future is not None:
                    future.result()
        with self._guard:
            self._guard.wait_for(lambda: not self._busy.intersection(wanted), timeout=2 * signing.TIMEOUT)

    def _run(self) -> None:
        while not self._stopping:
            self._bell.wait(self._pause())
            self._bell.clear()
            if not self._stopping:
                self._dispatch()

    def _mode(self) -> str:
        return str(self._house.trouble()["delivery"])

    def _shuffled(self) -> bool:
        return self._mode() == "shuffle" or bool(self._house.settings()["shuffle"])

    def _in_turn(self) -> bool:
        """Whether deliveries go out one after the other, in an order that is asked for."""
        return self._mode() == "reverse" or self._shuffled()

    def _turns(self, ids: list[int]) -> list[int]:
        return random.sample(ids, len(ids)) if self._shuffled() else ids[::-1]

    def _pause(self) -> float:
        """Seconds until something may be due."""
        if self._mode() == "hold":
            return IDLE_SECONDS
        with self._guard:
            busy = set(self._busy)
        rows = self._store.rows(
            "SELECT id, next_at FROM deliveries WHERE state='pending' ORDER BY next_at LIMIT ?",
            (len(busy) + 1,),
        )
        waiting = [row["next_at"] for row in rows if row["id"] not in busy]
        return min(max(min(waiting) - clock.exact(), 0.02), IDLE_SECONDS) if waiting else IDLE_SECONDS

    def _dispatch(self) -> None:
        if self._mode() == "hold":
            return
        now = clock.exact()
        rows = self._store.rows(
            "SELECT id, next_at FROM deliveries WHERE state='pending' AND next_at<=? ORDER BY next_at LIMIT ?",
            (now, AT_ONCE),
        )
        if not self._in_turn():
            for row in rows:
                self._submit(row["id"])
        elif rows and now - rows[-1]["next_at"] > BURST_WINDOW:
            self._one_by_one(sorted(row["id"] for row in rows))
        elif rows:
            time.sleep(BURST_WINDOW / 4)  # more of the same burst may be on its way
            self._bell.set()

    def _claim(self, id_: int) -> bool:
        with self._guard:
            if id_ in self._busy:
                return False
            self._busy.add(id_)
            return True

    def _submit(self, id_: int) -> Future[None] | None:
        return self._pool.submit(self._attempt, id_) if self._claim(id_) else None

    def _one_by_one(self, ids: list[int]) -> None:
        """Attempt them in the order of the moment; nobody else's turns come in between."""
        with self._turn:
            for id_ in self._turns(ids):
                if self._claim(id_):
                    self._attempt(id_)

    def _attempt(self, id_: int) -> None:
        try:
            if not self._stopping:
                self._deliver(id_)
        except sqlite3.ProgrammingError:
            if not self._stopping:  # the store was closed under us: only while stopping
                raise
        finally:
            with self._guard:
                self._busy.discard(id_)
                self._guard.notify_all()
            self._bell.set()

    def _deliver(self, id_: int) -> None:
        row = self._store.one("SELECT * FROM deliveries WHERE id=? AND state='pending'", (id_,))
        if row is None:
            return
        mode = self._mode()
        endpoint = self._store.find("webhook_endpoint", row["endpoint"])
        if endpoint is None or endpoint["status"] != "enabled":
            self._settle(row, "stopped", sending.Answer(None, "The endpoint is gone or disabled."))
        elif mode == "drop":
            self._settle(row, "dropped", sending.Answer(None, "Dropped on request."))
        else:
            self._send(row, endpoint, mode)

    def _send(self, row: sqlite3.Row, endpoint: dict[str, Any], mode: str) -> None:
        twice = mode == "twice" or random.random() < self._house.settings()["duplicates"]
        answer = sending.Answer(None, None)
        for _ in range(2 if twice else 1):
            answer = sending.send(row["event"], endpoint, mode)
        if answer.fine:
            self._settle(row, "delivered", answer)
        else:
            self._again(row, answer)

    def _again(self, row: sqlite3.Row, answer: sending.Answer) -> None:
        delays, tried = self._delays(), row["attempts"] + 1
        if tried > len(delays):
            self._settle(row, "failed", answer)
            return
        with self._store.transaction():
            self._store.write(
                "UPDATE deliveries SET attempts=?, next_at=?, status=?, error=? WHERE id=?",
                (tried, clock.exact() + delays[tried - 1], answer.status, answer.error, row["id"]),
            )

    def _delays(self) -> list[float]:
        """Seconds before each repetition."""
        settings = self._house.settings()
        delays = SCHEDULES.get(settings["delivery_schedule"]) or settings["delivery_delays"]
        return [delay / (settings["delivery_speed"] or 1) for delay in delays]

    def _settle(self, row: sqlite3.Row, state: str, answer: sending.Answer) -> None:
        with self._store.transaction():
            self._store.write(
                "UPDATE deliveries SET state=?, attempts=attempts+1, status=?, error=? WHERE id=?",
                (state, answer.status, answer.error, row["id"]),
            )

"""Delivers owed events: at most eight at once, in no promised order, again when they fail.

An owed delivery is a row, written with its event; this thread only carries rows out, so a killed sandbox
delivers the rest when it comes back (and now and then one twice, as Stripe does).
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sandbox import record, signing
from sandbox.house import House

SENDERS = 8
IDLE_SECONDS = 30.0
REVERSE_WINDOW = 0.4  # how long the newest event must be old before a reversed batch goes out
FINAL = ("delivered", "failed", "dropped", "stopped")


class Deliverer:
    def __init__(self, house: House) -> None:
        self._house = house
        self._store = house.store
        self._bell = threading.Event()
        self._stopping = False
        self._busy: set[int] = set()
        self._guard = threading.Condition()
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
        rows = self._store.rows("SELECT id FROM deliveries WHERE state='pending' ORDER BY id")
        wanted = [row["id"] for row in rows]
        if self._mode() == "reverse":
            for id_ in reversed(wanted):
                self._claim_and_attempt(id_)
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
        return min(max(min(waiting) - time.time(), 0.02), IDLE_SECONDS) if waiting else IDLE_SECONDS

    def _dispatch(self) -> None:
        mode = self._mode()
        if mode == "hold":
            return
        rows = self._store.rows(
            "SELECT id, next_at, attempts FROM deliveries WHERE state='pending' AND next_at<=? ORDER BY id",
            (time.time(),),
        )
        if mode != "reverse":
            for row in rows:
                self._submit(row["id"])
        elif rows and time.time() - max(row["next_at"] for row in rows) > REVERSE_WINDOW:
            for row in reversed(rows):
                self._claim_and_attempt(row["id"])
        elif rows:
            time.sleep(REVERSE_WINDOW / 4)  # more of the same burst may be on its way
            self._bell.set()

    def _claim(self, id_: int) -> bool:
        with self._guard:
            if id_ in self._busy:
                return False
            self._busy.add(id_)
            return True

    def _submit(self, id_: int) -> Future[None] | None:
        return self._pool.submit(self._attempt, id_) if self._claim(id_) else None

    def _claim_and_attempt(self, id_: int) -> None:
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
            self._settle(row, "stopped", None, "The endpoint is gone or disabled.")
        elif mode == "drop":
            self._settle(row, "dropped", None, "Dropped on request.")
        else:
            self._send(row, endpoint, mode)

    def _send(self, row: sqlite3.Row, endpoint: dict[str, Any], mode: str) -> None:
        body = self.body_of(row["event"])
        secret = "whsec_of_somebody_else" if mode == "wrong_secret" else endpoint["_secret"]
        status, error = None, ""
        for _ in range(2 if mode == "twice" else 1):
            try:
                status = signing.post(endpoint["url"], body, signing.header(body, [secret]))
            except (OSError, http.client.HTTPException) as problem:
                status, error = None, f"{type(problem).__name__}: {problem}"
            event = json.loads(body)
            record.line("webhook", event["api_version"], endpoint["url"], status, event)
        if status is not None and 200 <= status < 300:
            self._settle(row, "delivered", status, None)
        else:
            self._again(row, status, error or f"HTTP {status}")

    def body_of(self, event_id: str) -> bytes:
        """The bytes that are delivered: the event with the number of endpoints still owed it."""
        event = self._store.get("event", event_id)
        owed = self._store.one(
            "SELECT count(*) AS n FROM deliveries WHERE event=? AND state='pending'", (event_id,)
        )
        event["pending_webhooks"] = owed["n"] if owed else 0
        return json.dumps(event, indent=2).encode()

    def _again(self, row: sqlite3.Row, status: int | None, error: str) -> None:
        delays = self._house.settings()["delivery_delays"]
        tried = row["attempts"] + 1
        if tried > len(delays):
            self._settle(row, "failed", status, error)
            return
        with self._store.transaction():
            self._store.write(
                "UPDATE deliveries SET attempts=?, next_at=?, status=?, error=? WHERE id=?",
                (tried, time.time() + delays[tried - 1], status, error, row["id"]),
            )

    def _settle(self, row: sqlite3.Row, state: str, status: int | None, error: str | None) -> None:
        with self._store.transaction():
            self._store.write(
                "UPDATE deliveries SET state=?, attempts=attempts+1, status=?, error=? WHERE id=?",
                (state, status, error, row["id"]),
            )

"""The memory of the sandbox: one SQLite file, one lock, every object a row of JSON.

Keys of a body that begin with `_` are the sandbox's own and never leave it (see `public`). Everything that
belongs together (objects, events, owed deliveries, the idempotency record) is written in one `transaction()`,
so a killed process leaves either all of it or none.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import agenda

Json = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
  created INTEGER NOT NULL, customer TEXT, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_type ON objects (type, seq);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (customer, type, seq);
CREATE INDEX IF NOT EXISTS events_type ON objects (json_extract(body, '$.type'), seq) WHERE type = 'event';
CREATE INDEX IF NOT EXISTS prices_lookup ON objects (json_extract(body, '$.lookup_key')) WHERE type = 'price';
CREATE INDEX IF NOT EXISTS events_created ON objects (created) WHERE type = 'event';
CREATE INDEX IF NOT EXISTS customers_email ON objects (json_extract(body, '$.email')) WHERE type = 'customer';
CREATE INDEX IF NOT EXISTS by_payment_intent ON objects (json_extract(body, '$.payment_intent'))
  WHERE json_extract(body, '$.payment_intent') IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_invoice ON objects (json_extract(body, '$.invoice'))
  WHERE json_extract(body, '$.invoice') IS NOT NULL;
CREATE INDEX IF NOT EXISTS invoice_payments_intent ON objects
  (json_extract(body, '$.payment.payment_intent')) WHERE type = 'invoice_payment';
CREATE INDEX IF NOT EXISTS by_receipt ON objects (json_extract(body, '$.receipt_url')) WHERE type = 'charge';
CREATE INDEX IF NOT EXISTS by_subscription ON objects
  (json_extract(body, '$.parent.subscription_details.subscription')) WHERE type = 'invoice';
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, type TEXT NOT NULL, endpoint TEXT NOT NULL,
  state TEXT NOT NULL, attempts INTEGER NOT NULL, next_at REAL NOT NULL, status INTEGER, error TEXT);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, next_at);
CREATE INDEX IF NOT EXISTS deliveries_event ON deliveries (event);
CREATE INDEX IF NOT EXISTS deliveries_undelivered ON deliveries (event) WHERE state != 'delivered';
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  request TEXT NOT NULL, created REAL NOT NULL);
CREATE INDEX IF NOT EXISTS idempotency_created ON idempotency (created);
CREATE TABLE IF NOT EXISTS requests (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS agenda (
  subject TEXT NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL, customer TEXT, clock TEXT,
  PRIMARY KEY (subject, kind));
CREATE INDEX IF NOT EXISTS agenda_at ON agenda (clock, at);
CREATE INDEX IF NOT EXISTS agenda_customer ON agenda (customer, at);
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
TABLES = ("objects", "deliveries", "idempotency", "requests", "agenda", "tokens", "facts")


@dataclass(frozen=True)
class Cause:
    """Which API request an event is due to; both null when Stripe itself acted."""

    request: str | None = None
    idempotency_key: str | None = None


class Store:
    """All access goes through `transaction()` or the reading methods; the lock is re-entrant."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.cause = Cause()
        self.moment: int | None = None
        # Called after a commit that wrote a delivery or a fact: of those, some are settings of the deliveries.
        self.on_commit: Callable[[], object] | None = None
        self._news = False
        self._depth = 0
        # Facts as they are read, for every request asks for some; nobody else writes into the file.
        self._facts: dict[str, str | None] = {}
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self, cause: Cause | None = None, moment: int | None = None) -> Iterator[None]:
        """One unit of effects; nested calls join the outer one. `moment` is when its effects happen."""
        with self.lock:
            saved = (self.cause, self.moment)
            outermost = self._depth == 0
            if outermost:
                self._db.execute("BEGIN IMMEDIATE")
                self.cause = Cause()
            self.cause = cause if cause is not None else self.cause
            self.moment = moment if moment is not None else self.moment
            self._depth += 1
            done = news = False
            try:
                yield
                done = True
            finally:
                self._depth -= 1
                self.cause, self.moment = saved
                if outermost:
                    self._db.execute("COMMIT" if done else "ROLLBACK")
                    if not done:
                        self._facts.clear()
                    news, self._news = self._news, False
        if outermost and news and self.on_commit is not None:
            self.on_commit()

    # objects

    def put(self, obj: Json) -> Json:
        """Insert or replace an object, and what is due because of it."""
        customer = obj["id"] if obj["object"] == "customer" else obj.get("customer") or obj.get("_customer")
        self.write(
            "INSERT INTO objects (id, type, created, customer, body) VALUES (?,?,?,?,?)"
            " ON CONFLICT (id) DO UPDATE SET customer=excluded.customer, body=excluded.body",
            (obj["id"], obj["object"], obj.get("created", obj.get("date", 0)), customer, json.dumps(obj)),
        )
        self._plan(obj, customer)
        return obj

    def _plan(self, obj: Json, customer: str | None) -> None:
        if obj["object"] not in agenda.MOMENTS:
            return
        self.write("DELETE FROM agenda WHERE subject=?", (obj["id"],))
        owner = self.find("customer", customer)
        clock = owner["test_clock"] if owner else None
        for kind, at in agenda.moments(obj):
            whose = None if kind in agenda.BY_WALL else clock
            self.write("INSERT INTO agenda VALUES (?,?,?,?,?)", (obj["id"], kind, at, customer, whose))

    def find(self, kind: str, id_: str | None) -> Json | None:
        """The object of that type and id, or None."""
        if not id_:
            return None
        row = self.one("SELECT body FROM objects WHERE id=? AND type=?", (id_, kind))
        return json.loads(row["body"]) if row else None

    def get(self, kind: str, id_: str) -> Json:
        """The object of that type and id; KeyError when it is not there."""
        found = self.find(kind, id_)
        if found is None:
            raise KeyError(f"{kind} {id_}")
        return found

    def delete(self, id_: str) -> None:
        self.write("DELETE FROM objects WHERE id=?", (id_,))
        self.write("DELETE FROM agenda WHERE subject=?", (id_,))

    def all(self, kind: str, **where: Any) -> list[Json]:
        """Oldest first. `where` names paths of the body with `__` for a dot."""
        # the type is written out, not bound: only so are the indexes of one type used
        sql, args = f"SELECT body FROM objects WHERE type='{kind}'", list[Any]()  # noqa: S608 our own words
        for path, value in where.items():
            if path == "customer":
                sql += " AND customer=?"
            else:
                sql += f" AND json_extract(body, '$.{path.replace('__', '.')}')=?"
            args.append(value)
        return [json.loads(row["body"]) for row in self.rows(sql + " ORDER BY seq", tuple(args))]

    # small facts and one-time tokens

    def fact(self, name: str, default: Any = None) -> Any:
        with self.lock:
            if name not in self._facts:
                row = self.one("SELECT body FROM facts WHERE name=?", (name,))
                self._facts[name] = row["body"] if row else None
            known = self._facts[name]
        return default if known is None else json.loads(known)

    def set_fact(self, name: str, value: Any) -> None:
        with self.lock:
            self._facts.pop(name, None)
            self.write("INSERT OR REPLACE INTO facts VALUES (?,?)", (name, json.dumps(value)))

    def token(self, token: str) -> Json | None:
        row = self.one("SELECT body FROM tokens WHERE token=?", (token,))
        return json.loads(row["body"]) if row else None

    def set_token(self, token: str, body: Json) -> None:
        self.write("INSERT OR REPLACE INTO tokens VALUES (?,?)", (token, json.dumps(body)))

    def drop_token(self, token: str) -> None:
        self.write("DELETE FROM tokens WHERE token=?", (token,))

    # the whole of it

    def save(self, path: Path) -> None:
        """Copy everything into the file `path`, as it is between two transactions."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as target, self.lock:
            self._db.backup(target)

    def load(self, path: Path) -> None:
        """Become what was saved there; FileNotFoundError when nothing was."""
        if not path.is_file():
            raise FileNotFoundError(path)
        with closing(sqlite3.connect(path)) as source, self.lock:
            source.backup(self._db)
            self._db.executescript(SCHEMA)
            self._facts.clear()
        if self.on_commit is not None:
            self.on_commit()

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            for table in TABLES:
                self.write(f"DELETE FROM {table}")  # noqa: S608 only our own words
            self.write("DELETE FROM sqlite_sequence")
            self._facts.clear()

    # SQL

    def rows(self, sql: str, args: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self.lock:
            return self._db.execute(sql, args).fetchall()

    def one(self, sql: str, args: tuple[Any, ...] = ()) -> sqlite3.Row | None:
        with self.lock:
            row: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
            return row

    def write(self, sql: str, args: tuple[Any, ...] = ()) -> int:
        """Run one statement; the last inserted row id."""
        with self.lock:
            self._news = self._news or "deliveries" in sql or "facts" in sql
            return self._db.execute(sql, args).lastrowid or 0


EMBEDDED_LINES = 10


def public(obj: Json) -> Json:
    """What may leave the sandbox: the body without the sandbox's own keys; of an invoice's lines the first ten."""
    shown = {key: value for key, value in obj.items() if not key.startswith("_")}
    lines = shown.get("lines") if shown.get("object") == "invoice" else None
    if lines and len(lines["data"]) > EMBEDDED_LINES:
        shown["lines"] = lines | {"data": lines["data"][:EMBEDDED_LINES], "has_more": True}
    return shown

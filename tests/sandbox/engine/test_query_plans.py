"""No list, filter or delivery reads a whole table: what SQLite says that it would do, for each statement used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import house as houses
from sandbox.api import idempotency
from sandbox.api.form import Params, decode
from sandbox.api.operation import Call, Operation
from sandbox.api.table import TABLE
from sandbox.delivery import Deliverer
from sandbox.errors import ApiError
from sandbox.events import emit
from sandbox.house import House, db, house
from sandbox.store import Store

LISTS = [each for each in TABLE if each.method == "GET" and "starting_after" in each.accepted]
VALUES = {
    "limit": "3",
    "starting_after": "",
    "ending_before": "",
    "created": "",
    "status": "",
    "delivery_success": "false",
    "type": "card",
    "active": "true",
}
# A partial index of what is not delivered yet is short: reading it whole is what it is for.
# So is a list inside of one object.
SHORT = ("deliveries_undelivered", "json_each")


class Watched(Store):
    """A store that keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        super().__init__(path)

    def rows(self, sql: str, args: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        self.asked.append((sql, args))
        return super().rows(sql, args)

    def one(self, sql: str, args: tuple[Any, ...] = ()) -> sqlite3.Row | None:
        self.asked.append((sql, args))
        return super().one(sql, args)

    def write(self, sql: str, args: tuple[Any, ...] = ()) -> int:
        self.asked.append((sql, args))
        return super().write(sql, args)

    def plans(self) -> list[tuple[str, str]]:
        """(statement, step of its plan) of everything asked since the last time."""
        asked, self.asked = dict.fromkeys(self.asked), []
        steps = [
            (sql, row["detail"])
            for sql, args in asked
            for row in super(Watched, self).rows(f"EXPLAIN QUERY PLAN {sql}", args)
        ]
        self.asked = []
        return steps

    def whole_tables(self) -> list[tuple[str, str]]:
        return [
            (sql, step)
            for sql, step in self.plans()
            if step.startswith("SCAN ") and not any(each in step for each in SHORT)
        ]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched(tmp_path / "sandbox.db")
    monkeypatch.setattr(houses, "_house", House(watched, "http://127.0.0.1:9", tmp_path))
    house().account_id()
    for number in range(3):
        with db().transaction():
            db().put({"id": f"cus_{number}", "object": "customer", "test_clock": None, "created": number})
            emit("customer.created", db().get("customer", f"cus_{number}"))
    watched.asked = []
    yield watched
    watched.close()


def calls(operation: Operation) -> Iterator[Call]:
    """The list without a filter, with each of its filters alone, and with a cursor each way."""
    ids = ("cus_1",) * operation.path.count("<id>")
    path = operation.path.replace("<id>", "cus_1")
    filters = [each for each in operation.accepted if each not in ("expand.#", "types.#")]
    for name in sorted(filters):
        brackets = name.replace("#", "0").split(".")
        key = brackets[0] + "".join(f"[{each}]" for each in brackets[1:])
        value = VALUES.get(brackets[0], "7") or "7"
        yield Call("GET", path, ids, Params(decode(f"{key}={value}")))
    yield Call("GET", path, ids, Params(decode("starting_after=cus_1")))
    yield Call("GET", path, ids, Params(decode("ending_before=cus_1")))


@pytest.mark.parametrize("operation", LISTS, ids=lambda each: each.path)
def test_no_list_reads_a_whole_table(store: Watched, operation: Operation) -> None:
    answered = 0
    for call in calls(operation):
        try:
            operation.run(call)
            answered += 1
        except ApiError:
            continue  # a filter whose value is none: what it asked before is compared too
    assert store.whole_tables() == []
    assert answered or "<id>" in operation.path or operation.path == "/v1/subscription_items"


def plan_of(store: Watched, query: str) -> str:
    (operation,) = [each for each in LISTS if each.path == "/v1/events"]
    store.asked = []
    operation.run(Call("GET", "/v1/events", (), Params(decode(query))))
    return " / ".join(step for sql, step in store.plans() if "type='event'" in sql)


def test_events_are_found_by_their_type_time_and_place(store: Watched) -> None:
    assert "events_type" in plan_of(store, "type=customer.created")
    assert "events_created" in plan_of(store, "created[gte]=5")
    for query in (
        "limit=3",
        "starting_after=cus_1",
        "created[gte]=5",
        "created[lt]=5",
        "delivery_success=true",
    ):
        assert "USE TEMP B-TREE FOR ORDER BY" not in plan_of(store, query), query


def test_an_event_its_deliveries_and_its_idempotency_key_are_written_without_reading_a_table(
    store: Watched,
) -> None:
    with db().transaction():
        endpoint = {
            "object": "webhook_endpoint",
            "enabled_events": ["*"],
            "status": "enabled",
            "api_version": None,
        }
        db().put(endpoint | {"id": "we_1"})
        emit("customer.updated", db().get("customer", "cus_1"))
        idempotency.recall("key", "mark")
        idempotency.keep("key", "mark", idempotency.Stored(200, {}, "req_1"))
    assert store.whole_tables() == []


def test_what_is_due_for_delivery_is_found_by_its_time(store: Watched) -> None:
    deliverer = Deliverer(house())
    deliverer._pause()
    deliverer._dispatch()
    deliverer.next_repeat()
    deliverer.flush()
    assert any("deliveries_due" in step for _, step in store.plans())
    deliverer._dispatch()
    deliverer.next_repeat()
    assert store.whole_tables() == []

"""The intake while the database is broken: an event that could not be kept is asked for again, never taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import inbox
from billing.config import Config
from billing.extensions import db
from tests.conftest import make_config
from tests.intake import (
    NOT_STORED,
    RECEIVED,
    another_app,
    connect,
    paid,
    stored,
    the_row,
    waiting_for_a_lock,
)
from tests.support import Databases, deliver, wait_until
from tests.watching import Bell, Lines

pytestmark = pytest.mark.usefixtures("bell")

NOBODY_LISTENS = "postgresql://dunlin:canary-password@127.0.0.1:1/dunlin"


def assert_not_stored(app: Flask, event: dict[str, Any]) -> None:
    """Only "send it again": a 2xx would lose the event, a 4xx would say that Stripe is wrong."""
    answer = deliver(app, event)
    assert (answer.status_code, answer.get_json()) == (503, NOT_STORED)


def assert_stored(app: Flask, config: Config, event: dict[str, Any]) -> None:
    answer = deliver(app, event)
    assert (answer.status_code, answer.get_json()) == (200, RECEIVED)
    assert stored(config, event) == 1


@contextmanager
def held_up(
    app: Flask, config: Config, event: dict[str, Any], statement: str
) -> Iterator[tuple[psycopg.Connection[Any], Future[int]]]:
    """A delivery that waits for another transaction, which has done ``statement`` and may go on."""

    def work() -> int:
        with app.app_context():
            return deliver(app, event).status_code

    with ThreadPoolExecutor(1) as pool, connect(config) as other:
        other.execute("begin")
        other.execute(statement)
        answer = pool.submit(work)
        wait_until(lambda: waiting_for_a_lock(config), "the delivery to wait")
        yield other, answer


def test_a_database_that_is_down_makes_stripe_send_the_event_again() -> None:
    with another_app(make_config(NOBODY_LISTENS)) as application, Lines() as log:
        event, bell = paid(), Bell(application)
        assert_not_stored(application, event)
        assert bell.rung == 0
    [line] = [json.loads(line) for line in log.lines]
    assert (line["what"], line["event"], line["reason"]) == (
        "event not stored",
        event["id"],
        "OperationalError",
    )


def test_a_forgery_is_refused_while_the_database_is_down() -> None:
    with another_app(make_config(NOBODY_LISTENS)) as application:
        assert deliver(application, paid(), secret="whsec_of_nobody_0123456789").status_code == 400


def test_a_database_without_tables_is_no_reason_to_lose_an_event(databases: Databases) -> None:
    config = make_config(databases.create("dunlin_unmigrated"))
    try:
        with another_app(config) as application:
            assert_not_stored(application, paid())
    finally:
        databases.drop("dunlin_unmigrated")


FAILURES = {
    "disk full": "53100",
    "out of memory": "53200",
    "deadlock": "40P01",
    "serialization": "40001",
    "server shutting down": "57P01",
    "statement timeout": "57014",
    "a value that does not fit": "22001",
    "a broken rule": "23514",
}


@contextmanager
def failing(config: Config, sqlstate: str, *, at_commit: bool) -> Iterator[None]:
    """Every insert into the inbox fails with this code; ``at_commit``: not before it is committed."""
    before = "create trigger fails before insert on stripe_events"
    deferred = "create constraint trigger fails after insert on stripe_events initially deferred"
    body = f"begin raise exception 'no' using errcode = '{sqlstate}'; end"
    with connect(config) as other:
        other.execute(f"create function fail() returns trigger language plpgsql as $$ {body} $$")
        other.execute(f"{deferred if at_commit else before} for each row execute function fail()")
        try:
            yield
        finally:
            other.execute("drop function fail cascade")


@pytest.mark.parametrize("at_commit", [False, True], ids=["at once", "at the commit"])
@pytest.mark.parametrize("name", FAILURES)
def test_an_insert_that_fails_is_never_answered_as_taken(
    app: Flask, config: Config, bell: Bell, name: str, at_commit: bool
) -> None:
    event = paid()
    with failing(config, FAILURES[name], at_commit=at_commit):
        assert_not_stored(app, event)
    assert (stored(config, event), bell.rung) == (0, 0)
    assert_stored(app, config, event)


def test_a_database_that_became_read_only_and_writable_again_is_used_again(
    app: Flask, config: Config
) -> None:
    event = paid()
    with connect(config) as other:
        name = other.info.dbname
        other.execute(f'alter database "{name}" set default_transaction_read_only = on')
        try:
            with another_app(config) as application:
                assert_not_stored(application, event)
                other.execute(f'alter database "{name}" reset default_transaction_read_only')
                assert_stored(application, config, event)
        finally:
            other.execute(f'alter database "{name}" reset default_transaction_read_only')


def test_a_locked_table_is_not_waited_for_until_stripe_gives_up(
    app: Flask, config: Config, bell: Bell
) -> None:
    event = paid()
    with connect(config) as other, other.transaction():
        other.execute("lock table stripe_events")
        assert_not_stored(app, event)
    assert bell.rung == 0
    assert_stored(app, config, event)


def test_a_connection_that_is_cut_in_the_middle_of_the_insert_has_stored_nothing(
    app: Flask, config: Config
) -> None:
    event = paid()
    with held_up(app, config, event, "lock table stripe_events") as (other, answer):
        [pid] = waiting_for_a_lock(config)
        with connect(config) as third:
            third.execute("select pg_terminate_backend(%s)", [pid])
        assert answer.result(30) == 503
        other.execute("rollback")
    assert stored(config, event) == 0
    assert_stored(app, config, event)


def test_connections_that_died_while_nobody_needed_them_cost_no_delivery(app: Flask, config: Config) -> None:
    assert_stored(app, config, paid())
    idle = "datname = current_database() and pid <> pg_backend_pid()"
    with connect(config) as other:
        ended = other.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where {idle}")
        assert ended.rowcount > 0
    assert_stored(app, config, paid())


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_while_another_process_stores_the_same_event_nothing_is_promised_until_one_of_them_has(
    app: Flask, config: Config, bell: Bell, end: str
) -> None:
    event = paid()
    theirs = f"""
        insert into stripe_events (event_id, type, livemode, stripe_created, payload, source, state)
        values ('{event["id"]}', 'invoice.paid', false, now(), 'theirs', 'webhook', 'pending')
    """
    with held_up(app, config, event, theirs) as (other, answer):
        assert not answer.done()
        other.execute(end)
        assert answer.result(30) == 200
    assert stored(config, event) == 1
    kept = "theirs" if end == "commit" else json.dumps(event)
    assert (the_row(event).payload, bell.rung) == (kept, int(end == "rollback"))


def test_busy_pages_leave_the_intake_its_connections(app: Flask, config: Config, client: FlaskClient) -> None:
    with ExitStack() as busy:
        for _ in range(7):
            busy.enter_context(db.engine.connect())
        assert client.get("/healthz").status_code == 503, "a page still found a connection"
        assert_stored(app, config, paid())


def test_events_that_come_at_once_share_a_commit_and_one_that_fails_spoils_no_other(
    app: Flask, config: Config, bell: Bell
) -> None:
    """They wait behind one that another transaction holds up."""
    bad, good = paid(), [paid() for _ in range(5)]

    def work(event: dict[str, Any]) -> int:
        with app.app_context():
            return deliver(app, event).status_code

    with connect(config) as third:
        third.execute(
            "create function refuse() returns trigger language plpgsql as"
            f" $$ begin if new.event_id = '{bad['id']}' then raise exception 'no'; end if; return new; end $$"
        )
        third.execute(
            "create trigger refuses before insert on stripe_events for each row execute function refuse()"
        )
        with (
            ThreadPoolExecutor(6) as pool,
            held_up(app, config, paid(), "lock table stripe_events in exclusive mode") as (other, first),
        ):
            answers = [pool.submit(work, event) for event in (bad, *good)]
            other.execute("rollback")
            assert first.result(30) == 200
            assert [answer.result(30) for answer in answers] == [503] + [200] * 5
        third.execute("drop function refuse cascade")
    assert [stored(config, event) for event in (bad, *good)] == [0] + [1] * 5


def test_the_same_event_twice_in_one_insert_is_new_once(app: Flask, db_session: Session) -> None:
    event, other = paid(), paid()
    arrived = [inbox.Arrived(one, json.dumps(one), handled=True) for one in (event, other, event)]
    assert inbox.store_all(db_session, arrived, source="webhook") == [True, True, False]
    assert inbox.store_all(db_session, arrived, source="webhook") == [False, False, False]
    db_session.commit()

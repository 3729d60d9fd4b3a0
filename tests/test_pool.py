"""A pooled connection is asked whether it still leads anywhere where there is doubt, and costs no question else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, text

from billing import extensions
from billing.extensions import db
from tests.support import wait_until

pytestmark = pytest.mark.alone  # which connections there are is the question here


@contextmanager
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a connection is asked that nobody of ours asked."""
    found, execute = [], psycopg.Connection.execute

    def note(connection: psycopg.Connection, query: str) -> object:
        found.append(query)
        return execute(connection, query)

    monkeypatch.setattr(psycopg.Connection, "execute", note)
    yield found


def backend(engine: Engine) -> int:
    """The process that answers the pool's next connection."""
    with engine.connect() as connection:
        return pid_of(connection)


def pid_of(connection: Connection) -> int:
    return int(connection.execute(text("select pg_backend_pid()")).scalar_one())


def end(pid: int) -> None:
    with psycopg.connect(psycopg_url(), autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [pid])


def psycopg_url() -> str:
    return db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.mark.parametrize("name", [None, "intake"])
def test_a_connection_that_was_ended_while_nobody_used_it_is_replaced_without_a_fault(
    app: Flask, name: str | None
) -> None:
    engine = db.engines[name]
    first = backend(engine)
    end(first)
    assert backend(engine) != first


def test_with_one_that_was_lost_all_that_waited_beside_it_are_replaced(app: Flask) -> None:
    """Whoever restarted the server ended them all."""
    with db.engine.connect() as one, db.engine.connect() as other:
        pids = {pid_of(one), pid_of(other)}
    end(max(pids))
    end(min(pids))
    with db.engine.connect() as one, db.engine.connect() as other:
        now = {pid_of(one), pid_of(other)}
    assert not pids & now


def test_a_connection_that_was_just_used_is_not_asked(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    first = backend(db.engine)
    with asked(monkeypatch) as questions:
        assert backend(db.engine) == first
    assert questions == []


def test_one_that_was_idle_for_long_is_asked_and_kept(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What vanished without a word is noticed by nothing else."""
    first = backend(db.engine)
    monkeypatch.setattr(extensions, "ASK_AFTER", 0.0)
    with asked(monkeypatch) as questions:
        assert backend(db.engine) == first
    assert questions == ["select 1"]


def test_what_the_server_said_meanwhile_is_reason_to_ask_and_none_to_give_up(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.engine.connect() as connection:
        first = pid_of(connection)
        connection.connection.driver_connection.execute("listen something")  # type: ignore[union-attr]
        connection.commit()
    with psycopg.connect(psycopg_url(), autocommit=True) as other:
        other.execute("notify something")
        wait_until(lambda: _told(), "the word to come")
    with asked(monkeypatch) as questions:
        assert backend(db.engine) == first
    assert questions == ["select 1"]


def _told() -> bool:
    """Whether the word lies on the socket of the pooled connection."""
    [record] = db.engine.pool._pool.queue  # type: ignore[attr-defined]
    return extensions._speaks(record.dbapi_connection)

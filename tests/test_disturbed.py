"""Pages while the database is disturbed: one request may fail, with a page that says so, and none after it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from flask import Flask, request_finished
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing.clock import now
from billing.extensions import db
from billing.models import LoginSession, User
from tests.admin_rows import subscription
from tests.story import config_of, count
from tests.support import PASSWORD, csrf_of


@pytest.fixture
def other(app: Flask) -> psycopg.Connection[tuple[object, ...]]:
    """Somebody else's connection to the same database."""
    return psycopg.connect(config_of(app).database_url.replace("+psycopg", ""), autocommit=True)


@pytest.fixture
def browser(
    client: FlaskClient, db_session: Session, alice: User, sign_in: Callable[[FlaskClient, User], None]
) -> FlaskClient:
    """Somebody who is signed in and has access."""
    subscription(db_session, alice, fetched_at=now())
    sign_in(client, alice)
    db_session.rollback()
    assert client.get("/app").status_code == 200
    db_session.rollback()
    return client


def test_connections_that_died_while_nobody_needed_them_cost_no_page(
    browser: FlaskClient, other: psycopg.Connection[tuple[object, ...]]
) -> None:
    """As after a restart of the server."""
    with other:
        cut = (
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database()"
        )
        assert len(other.execute(f"{cut} and pid <> pg_backend_pid()").fetchall()) > 0
    assert browser.get("/app").status_code == 200


def test_a_page_that_is_made_is_sent_though_its_connection_dies_before_it_is_given_back(
    app: Flask, browser: FlaskClient, other: psycopg.Connection[tuple[object, ...]]
) -> None:
    """What is left to do is to roll back, which needs no server. Nor does the next page suffer from it."""
    cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database()"
    cuts: list[int] = []

    def die(*_: object, **__: object) -> None:
        if not cuts:
            open_ = f"{cut} and pid <> pg_backend_pid() and state = 'idle in transaction'"
            cuts.append(len(other.execute(open_).fetchall()))

    with other, request_finished.connected_to(die, app):
        answers = [browser.get("/app").status_code for _ in range(2)]
    assert cuts == [1]
    assert answers == [200, 200]


def test_access_that_can_not_be_read_is_neither_yes_nor_no(
    browser: FlaskClient, other: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Somebody holds the table, or changes it: the page says so instead of waiting."""
    with other, other.transaction():
        other.execute("lock table subscriptions in access exclusive mode")
        answer = browser.get("/app")
        assert (answer.status_code, "Your plan and access are not affected." in answer.text) == (503, True)
    assert browser.get("/app").status_code == 200


def test_a_connection_that_is_cut_in_the_middle_leaves_nothing_half_done(
    client: FlaskClient, alice: User, other: psycopg.Connection[tuple[object, ...]]
) -> None:
    token, email = csrf_of(client, "/login"), alice.email
    db.session.rollback()
    form = {"csrf_token": token, "email": email, "password": PASSWORD}
    with other:
        other.execute(
            "create function cut() returns trigger language plpgsql as $$ begin"
            " perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1); return new; end $$"
        )
        other.execute("create trigger cut after insert on login_sessions for each row execute function cut()")
        assert client.post("/login", data=form).status_code == 503
        assert count(LoginSession) == 0
        db.session.rollback()
        other.execute("drop function cut cascade")
    assert client.post("/login", data=form).status_code == 303
    assert count(LoginSession) == 1

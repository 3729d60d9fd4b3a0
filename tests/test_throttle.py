"""Counting tries: exact under haste, for each pair and each machine, in PostgreSQL, and never for good."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing import queues, throttle
from billing.config import Config
from billing.extensions import db
from billing.models import RateHit, User
from tests import doors
from tests.conftest import dispose, make_app
from tests.support import PASSWORD, csrf_of

HERE, THERE = "192.0.2.1", "198.51.100.7"
WRONG = "three warm wards"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


def knock(
    app: Flask, email: str, password: str = WRONG, *, machine: str = HERE, forwarded: str | None = None
) -> TestResponse:
    """Try to sign in from a fresh browser on this machine."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = machine
    form = {"csrf_token": csrf_of(client, "/login"), "email": email, "password": password}
    return client.post("/login", data=form, headers={"X-Forwarded-For": forwarded} if forwarded else {})


def fill(session: Session, *bucket: str, hits: int) -> None:
    """As if so many tries had been counted in this window already."""
    for _ in range(hits):
        throttle.hit(session, throttle.bucket(*bucket), 10_000)


def test_tries_that_come_at_once_are_counted_exactly(app: Flask, db_session: Session) -> None:
    start, waits = threading.Barrier(16), []

    def hit() -> None:
        with app.app_context():
            start.wait(30)
            waits.extend([throttle.hit(db.session(), "door", 10) for _ in range(3)])

    threads = [threading.Thread(target=hit) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert throttle.hits(db_session, "door") == 48
    assert waits.count(0) == 10
    assert all(0 <= wait <= 15 for wait in waits)


def test_a_window_that_is_over_is_forgotten_and_other_counters_are_not_touched(db_session: Session) -> None:
    for _ in range(3):
        assert throttle.hit(db_session, "a", 3) == 0
    assert throttle.hit(db_session, "a", 3) > 0
    assert throttle.hit(db_session, "b", 3) == 0
    row = db_session.execute(select(RateHit).where(RateHit.bucket == "a")).scalar_one()
    row.window -= throttle.WINDOW
    db_session.commit()
    assert throttle.hits(db_session, "a") == 0
    assert throttle.hit(db_session, "a", 3) == 0
    row.window -= timedelta(days=1)
    db_session.commit()
    throttle.forget_old(db_session)
    assert {kept.bucket: kept.hits for kept in db_session.execute(select(RateHit)).scalars()} == {
        "a": 1,
        "b": 1,
    }


def test_after_five_wrong_passwords_not_even_the_right_one_is_looked_at(
    app: Flask, alice: User, bob: User
) -> None:
    assert [knock(app, alice.email).status_code for _ in range(5)] == [422] * 5
    refused = knock(app, alice.email.upper(), PASSWORD)
    assert refused.status_code == 429
    minutes, seconds = divmod(int(refused.headers["Retry-After"]), 60)
    assert seconds == 0
    assert 1 <= minutes <= 15
    assert f"Wait {minutes} minute{'' if minutes == 1 else 's'}, then try again." in refused.text
    assert 'href="/login"' in refused.text
    # the person at another machine, and other people at this one, are not kept out
    assert knock(app, alice.email, PASSWORD, machine=THERE).status_code == 303
    assert knock(app, bob.email, PASSWORD).status_code == 303


def test_a_success_begins_the_count_of_the_pair_anew_and_is_not_counted_for_the_machine(
    app: Flask, db_session: Session, alice: User
) -> None:
    fill(db_session, "login", alice.email, HERE, hits=4)
    assert knock(app, alice.email, PASSWORD).status_code == 303
    assert throttle.hits(db_session, throttle.bucket("login", HERE)) == 0
    assert knock(app, alice.email).status_code == 422
    db_session.rollback()
    assert throttle.hits(db_session, throttle.bucket("login", alice.email, HERE)) == 1


def test_a_machine_that_tries_many_addresses_is_stopped_at_twenty(
    app: Flask, db_session: Session, alice: User
) -> None:
    fill(db_session, "login", HERE, hits=19)
    assert knock(app, "person20@example.com").status_code == 422
    assert knock(app, alice.email, PASSWORD).status_code == 429
    assert knock(app, alice.email, PASSWORD, machine=THERE).status_code == 303


@pytest.mark.parametrize(("path", "what"), [("/signup", "signup"), ("/reset", "reset")])
def test_signing_up_and_resetting_are_limited_alike(
    app: Flask, client: FlaskClient, db_session: Session, path: str, what: str
) -> None:
    client.environ_base["REMOTE_ADDR"] = HERE

    def send(email: str) -> TestResponse:
        return doors.submit(client, path, email=email, password="four cold clear words")

    fill(db_session, what, "ana@example.com", HERE, hits=5)
    refused = send("Ana@example.com")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 60
    assert send("bea@example.com").status_code in (200, 303)
    fill(db_session, what, HERE, hits=20)
    assert send("cleo@example.com").status_code == 429


def test_a_claimed_address_moves_no_counter_where_no_proxy_is_in_front(
    app: Flask, db_session: Session
) -> None:
    for number in range(3):
        assert knock(app, "ana@example.com", forwarded=f"203.0.113.{number}").status_code == 422
    assert throttle.hits(db_session, throttle.bucket("login", HERE)) == 3
    assert throttle.hits(db_session, throttle.bucket("login", "ana@example.com", HERE)) == 3


def test_behind_one_proxy_only_what_the_proxy_added_counts(
    config: Config, app: Flask, db_session: Session
) -> None:
    object.__setattr__(config, "proxy_hops", 1)
    behind = make_app(config)
    with behind.app_context():
        knock_with_claims(behind)
        dispose()
    assert throttle.hits(db_session, throttle.bucket("login", HERE)) == 3
    assert throttle.hits(db_session, throttle.bucket("login", THERE)) == 0
    assert throttle.hits(db_session, throttle.bucket("login", "10.0.0.1")) == 0


def knock_with_claims(app: Flask) -> None:
    for number, claimed in enumerate(("203.0.113.1, ", "evil, 203.0.113.9,,", f"{THERE}, ")):
        email, forwarded = f"person{number}@example.com", f"{claimed}{HERE}"
        assert knock(app, email, forwarded=forwarded, machine="10.0.0.1").status_code == 422


def test_losing_redis_changes_no_limit(app: Flask, db_session: Session, alice: User) -> None:
    assert queues.ring() is False  # nobody answers at this test's REDIS_URL
    fill(db_session, "login", alice.email, HERE, hits=5)
    assert knock(app, alice.email, PASSWORD).status_code == 429
    assert knock(app, alice.email, PASSWORD, machine=THERE).status_code == 303


def test_counters_say_nothing_of_whom_they_count(app: Flask, db_session: Session, alice: User) -> None:
    knock(app, alice.email)
    names = db_session.execute(select(RateHit.bucket)).scalars().all()
    assert len(set(names)) == 2
    assert not [name for name in names if "@" in name or "." in name]
    assert throttle.bucket("login", "ab", "c") != throttle.bucket("login", "a", "bc")

"""A forgotten password: a link by mail that works once, tells nobody anything, and ends every other session."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.clock import now
from billing.config import Config
from billing.models import AuthToken, Notice, User
from local.mailsink import MailSink
from tests import doors
from tests.doors import enter, link_in, signed_in, subjects, submit, without_marks
from tests.support import PASSWORD, csrf_of, sign_in

NEW = "five bright brass bells"
CHANGED = "Your Dunlin password was changed"
RESET = "Reset your Dunlin password"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


@pytest.fixture
def link(client: FlaskClient, db_session: Session, config: Config, mails: MailSink, alice: User) -> str:
    """The path of a link that alice has asked for."""
    return ask(client, db_session, config, mails, alice.email)


def ask(client: FlaskClient, session: Session, config: Config, mails: MailSink, email: str) -> str:
    assert submit(client, "/reset", email=email).status_code == 200
    subjects(session, config, mails, email)
    return link_in(mails, email)


def test_asking_answers_alike_and_mails_only_who_has_an_account(
    app: Flask, db_session: Session, config: Config, mails: MailSink, alice: User
) -> None:
    pages = []
    for email in (alice.email, "nobody@example.com"):
        answer = submit(app.test_client(), "/reset", email=email)
        pages.append((answer.status_code, without_marks(answer.text, email), sorted(answer.headers.keys())))
        assert f"If <b>{email}</b> has an account, we’ve sent a link." in answer.text
    assert pages[0] == pages[1]
    assert subjects(db_session, config, mails, "nobody@example.com") == []
    assert subjects(db_session, config, mails, alice.email) == [RESET]
    assert submit(app.test_client(), "/reset", email="nobody").status_code == 422


def test_the_link_sets_a_new_password_and_ends_every_session(
    app: Flask,
    client: FlaskClient,
    db_session: Session,
    config: Config,
    mails: MailSink,
    alice: User,
    link: str,
) -> None:
    elsewhere = app.test_client()
    sign_in(elsewhere, alice)
    answer = submit(client, link, new_password=NEW)
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "Your password was changed. Sign in with the new one." in client.get("/login").text
    assert not signed_in(client)
    assert not signed_in(elsewhere)
    assert enter(client, alice.email, PASSWORD).status_code == 422
    assert enter(client, alice.email, NEW).status_code == 303
    assert subjects(db_session, config, mails, alice.email) == [RESET, CHANGED]


def test_the_link_works_once(client: FlaskClient, link: str, alice: User) -> None:
    token = csrf_of(client, link)
    assert submit(client, link, new_password=NEW).status_code == 303
    for answer in (client.get(link), client.post(link, data={"csrf_token": token, "new_password": PASSWORD})):
        assert answer.status_code == 410
        assert "This link has expired or was used. Ask for a new one." in answer.text
    assert enter(client, alice.email, NEW).status_code == 303


def test_looking_at_the_link_or_choosing_badly_does_not_use_it_up(
    client: FlaskClient, link: str, alice: User
) -> None:
    for _ in range(2):
        assert client.get(link).status_code == 200
        assert client.head(link).status_code == 200
    for bad, problem in (("short", "at least 12"), (alice.email, "too easy to guess"), ("", "at least 12")):
        answer = submit(client, link, new_password=bad)
        assert answer.status_code == 422
        assert problem in answer.text
        assert "There is a problem" in answer.text
        assert not bad or f'name="new_password" type="password" value="{bad}"' not in answer.text
    assert submit(client, link, new_password=NEW).status_code == 303


def test_a_newer_link_ends_the_older_one(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink, alice: User, link: str
) -> None:
    newer = ask(client, db_session, config, mails, alice.email)
    assert newer != link
    assert client.get(link).status_code == 410
    assert submit(client, newer, new_password=NEW).status_code == 303


def test_a_password_that_was_changed_meanwhile_ends_the_link(
    app: Flask, client: FlaskClient, alice: User, link: str
) -> None:
    browser = app.test_client()
    sign_in(browser, alice)
    changed = submit(
        browser, "/account/password", page="/account", current_password=PASSWORD, new_password=NEW
    )
    assert changed.status_code == 303
    assert client.get(link).status_code == 410


def test_the_link_works_for_sixty_minutes(client: FlaskClient, db_session: Session, link: str) -> None:
    token = db_session.execute(select(AuthToken)).scalar_one()
    assert timedelta(minutes=59) < token.expires_at - now() <= timedelta(minutes=60)
    token.expires_at = now() - timedelta(seconds=1)
    db_session.commit()
    assert client.get(link).status_code == 410
    token.expires_at = now() + timedelta(minutes=1)
    db_session.commit()
    assert client.get(link).status_code == 200


def test_nobody_can_read_the_link_in_the_database_or_guess_it(
    client: FlaskClient, db_session: Session, link: str
) -> None:
    secret = link.rpartition("/")[2]
    assert len(secret) >= 43  # 256 bits in base 64
    db_session.rollback()
    for table in (AuthToken.__tablename__, Notice.__tablename__):
        rows = db_session.execute(text(f"select to_jsonb(t)::text from {table} t")).scalars().all()
        assert rows
        assert secret not in "".join(rows)
    stored = db_session.execute(select(AuthToken.secret_hash)).scalar_one()
    for guess in (stored, secret[:-1], secret.lower(), "%00", "x" * 2000, "é"):
        assert client.get(f"/reset/{guess}").status_code == 410, guess


def test_two_browsers_with_one_link_set_one_password(app: Flask, alice: User, link: str) -> None:
    browsers = [app.test_client() for _ in range(4)]
    tokens = [csrf_of(browser, link) for browser in browsers]
    chosen = [f"{NEW} {number}" for number in range(4)]
    start, statuses = threading.Barrier(4), [0] * 4

    def press(number: int) -> None:
        start.wait(30)
        form = {"csrf_token": tokens[number], "new_password": chosen[number]}
        statuses[number] = browsers[number].post(link, data=form).status_code

    threads = [threading.Thread(target=press, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303, 410, 410, 410]
    assert enter(app.test_client(), alice.email, chosen[statuses.index(303)]).status_code == 303


def test_a_code_is_no_link_and_a_link_is_no_code(client: FlaskClient, db_session: Session, link: str) -> None:
    secret = link.rpartition("/")[2]
    doors.sign_up(client, "ana@example.com")
    assert submit(client, "/signup/confirm", code=secret).status_code == 422
    code = db_session.execute(select(Notice.secret).where(Notice.kind == "code")).scalar_one()
    assert client.get(f"/reset/{code}").status_code == 410

"""The code of a sign-up: six digits that work once, for a while, in one browser, and are not to be guessed."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import accounts
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import AuthToken, Notice, User
from local.mailsink import MailSink
from tests import doors
from tests.doors import mailed_code, sign_up, signed_in, submit

ANA = "ana@example.com"
CHOSEN = "four cold clear words"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


def users(session: Session) -> list[str]:
    session.rollback()
    return list(session.execute(select(User.email).order_by(User.id)).scalars())


def last_token(session: Session) -> AuthToken:
    session.rollback()
    return session.execute(select(AuthToken).order_by(AuthToken.id.desc()).limit(1)).scalar_one()


def another(code: str) -> str:
    """A wrong code."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_a_code_works_once(
    app: Flask, client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    sign_up(client, ANA)
    second = doors.browser_with(app, doors.cookie_of(client))
    code = mailed_code(db_session, config, mails, ANA)
    token = last_token(db_session).id
    assert submit(client, "/signup/confirm", code=code).status_code == 303
    answer = submit(second, "/signup/confirm", code=code)
    assert answer.status_code == 422
    assert not signed_in(second)
    assert accounts.finish_sign_up(db_session, token, code, config.secret_key) is None
    assert users(db_session) == [ANA]


def test_a_code_works_only_in_the_browser_that_asked_for_it(
    app: Flask, client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    sign_up(client, ANA)
    code = mailed_code(db_session, config, mails, ANA)
    stranger = app.test_client()
    assert stranger.get("/signup/confirm?next=/shop").location == "/signup?next=/shop"
    sign_up(stranger, "mallory@example.com")
    assert submit(stranger, "/signup/confirm", code=code).status_code == 422
    assert users(db_session) == []


def test_a_new_code_ends_the_one_before(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    sign_up(client, ANA)
    old = mailed_code(db_session, config, mails, ANA)
    answer = submit(client, "/signup/confirm", again="1")
    assert (answer.status_code, answer.location) == (303, "/signup/confirm")
    assert "We sent a new code." in client.get("/signup/confirm").text
    new = mailed_code(db_session, config, mails, ANA)
    first = db_session.execute(select(AuthToken.id).order_by(AuthToken.id).limit(1)).scalar_one()
    assert accounts.finish_sign_up(db_session, first, old, config.secret_key) is None
    assert submit(client, "/signup/confirm", code=old if old != new else another(new)).status_code == 422
    assert submit(client, "/signup/confirm", code=new).status_code == 303


def test_a_code_works_for_thirty_minutes(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    sign_up(client, ANA)
    code, token = mailed_code(db_session, config, mails, ANA), last_token(db_session)
    assert timedelta(minutes=29) < token.expires_at - now() <= timedelta(minutes=30)
    token.expires_at = now() - timedelta(seconds=1)
    db_session.commit()
    answer = submit(client, "/signup/confirm", code=code)
    assert answer.status_code == 422
    assert "This code doesn’t match or has expired." in answer.text
    last_token(db_session).expires_at = now() + timedelta(minutes=1)
    db_session.commit()
    assert submit(client, "/signup/confirm", code=code).status_code == 303


def test_after_five_wrong_entries_not_even_the_right_code_works(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    sign_up(client, ANA)
    code = mailed_code(db_session, config, mails, ANA)
    for _ in range(5):
        assert submit(client, "/signup/confirm", code=another(code)).status_code == 422
    assert submit(client, "/signup/confirm", code=code).status_code == 422
    assert users(db_session) == []
    submit(client, "/signup/confirm", again="1")
    assert (
        submit(client, "/signup/confirm", code=mailed_code(db_session, config, mails, ANA)).status_code == 303
    )


def test_guesses_that_come_at_once_are_counted_one_by_one(app: Flask, db_session: Session) -> None:
    key = app.extensions["config"].secret_key
    token = accounts.start_sign_up(db_session, ANA, CHOSEN, None, key)
    code = db_session.execute(select(Notice.secret)).scalar_one()
    token_id, start = token.id, threading.Barrier(8)
    db_session.commit()

    def guess() -> None:
        with app.app_context():
            start.wait(30)
            accounts.finish_sign_up(db.session(), token_id, another(code or ""), key)
            db.session.commit()

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert last_token(db_session).misses == accounts.MOST_MISSES == 5
    assert accounts.finish_sign_up(db_session, token_id, code or "", key) is None


def test_new_codes_can_be_asked_for_five_times_at_most(client: FlaskClient) -> None:
    sign_up(client, ANA)
    answers = [submit(client, "/signup/confirm", again="1") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [303] * 4 + [429]
    assert "Retry-After" in answers[-1].headers


def test_a_code_is_kept_only_as_a_keyed_hash_once_its_mail_has_left(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    sign_up(client, ANA)
    code = mailed_code(db_session, config, mails, ANA)
    rows = db_session.execute(select(func.to_jsonb(AuthToken.__table__.table_valued()))).scalars().all()
    rows += db_session.execute(select(func.to_jsonb(Notice.__table__.table_valued()))).scalars().all()
    assert len(rows) == 2
    assert code not in str([{k: v for k, v in row.items() if not k.endswith("_at")} for row in rows])
    assert CHOSEN not in str(rows)
    assert accounts.mac("another key", code) != last_token(db_session).secret_hash

"""Signing up: a code by mail makes the account, and no answer tells who has one already."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.config import Config
from billing.models import User
from local.mailsink import MailSink
from tests import doors
from tests.doors import mailed_code, sign_up, signed_in, subjects, submit, without_marks

ANA = "ana@example.com"
CHOSEN = "four cold clear words"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


def users(session: Session) -> list[str]:
    session.rollback()
    return list(session.execute(select(User.email).order_by(User.id)).scalars())


def test_signing_up_answers_alike_for_a_known_and_an_unknown_address(app: Flask, alice: User) -> None:
    answers = []
    for email in (alice.email, "newcomer@example.com"):
        client = app.test_client()
        steps = [sign_up(client, email), client.get("/signup/confirm")]
        steps += [
            submit(client, "/signup/confirm", code="123456"),
            submit(client, "/signup/confirm", again="1"),
        ]
        steps += [client.get("/signup/confirm"), submit(client, "/signup/confirm", code="123456")]
        answers.append(
            [
                (one.status_code, one.location, without_marks(one.text, email), len(one.headers))
                for one in steps
            ]
        )
    known, unknown = answers
    assert [status for status, *_ in known] == [303, 200, 422, 303, 200, 422]
    assert known == unknown


def test_the_mail_tells_the_owner_of_a_known_address_and_changes_nothing(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink, alice: User
) -> None:
    before = alice.password_hash
    sign_up(client, "Alice@Example.com")
    submit(client, "/signup/confirm", again="1")
    told = subjects(db_session, config, mails, "Alice@example.com")
    assert told == ["You already have a Dunlin account"] * 2
    assert not any(word.isdecimal() for word in mails.messages[-1].text.split())
    assert users(db_session) == [alice.email]
    assert db_session.get_one(User, alice.id).password_hash == before


def test_the_mailed_code_makes_the_account_and_signs_in(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    answer = sign_up(client, f"  {ANA} ")
    assert (answer.status_code, answer.location) == (303, "/signup/confirm")
    assert f"<b>{ANA}</b>" in client.get("/signup/confirm").text
    code = mailed_code(db_session, config, mails, ANA)
    assert subjects(db_session, config, mails, ANA) == [f"{code} is your Dunlin code"]
    assert users(db_session) == []
    answer = submit(client, "/signup/confirm", code=f" {code[:3]} {code[3:]} ")
    assert (answer.status_code, answer.location) == (303, "/plans")
    assert signed_in(client)
    assert users(db_session) == [ANA]
    assert subjects(db_session, config, mails, ANA)[1:] == ["Welcome to Dunlin"]
    client.post("/logout", data={"csrf_token": doors.csrf_of(client)})
    assert doors.enter(client, ANA, CHOSEN).status_code == 303


BAD_FORMS = [
    ("", "three warm words", "Enter an email address like name@example.com."),
    ("nobody", "three warm words", "Enter an email address like name@example.com."),
    ("a@b@example.com", "three warm words", "Enter an email address like name@example.com."),
    ("ana\x00@example.com", "three warm words", "Enter an email address like name@example.com."),
    ("ana@example.com\nBcc: eve@example.com", "three warm words", "Enter an email address"),
    (ANA, "", "Use at least 12 characters."),
    (ANA, "short", "Use at least 12 characters."),
    (ANA, "canary word " * 11, "Use at most 128 characters."),
    (ANA, "aaaaaaaaaaaa", "This password is too easy to guess."),
]


def test_a_form_with_mistakes_comes_back_filled_in_but_for_the_password(client: FlaskClient) -> None:
    for email, password, problem in BAD_FORMS:
        answer = sign_up(client, email, password)
        assert answer.status_code == 422, email
        assert "There is a problem" in answer.text
        assert problem in answer.text, email
        assert "<title>Error: " in answer.text
        assert not email or 'name="email" type="email"' in answer.text
        assert not password or password not in answer.text
    assert f'value="{ANA}"' in sign_up(client, ANA, "short").text


def test_a_referral_code_is_kept_from_the_first_link_that_had_one(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    for address in ("/signup", "/signup?ref=%00", "/signup?ref=friend-7", "/signup?ref=other"):
        assert client.get(address).status_code == 200
    assert sign_up(client, ANA).status_code == 303
    submit(client, "/signup/confirm", code=mailed_code(db_session, config, mails, ANA))
    assert db_session.execute(select(User.referral_code)).scalar_one() == "friend-7"


def test_what_somebody_wanted_before_signing_up_is_where_they_come_out(
    client: FlaskClient, db_session: Session, config: Config, mails: MailSink
) -> None:
    answer = client.post(
        "/signup?next=/subscribe/pro?interval=year",
        data={"csrf_token": doors.csrf_of(client, "/signup"), "email": ANA, "password": CHOSEN},
    )
    there = answer.location
    answer = submit(client, there, code=mailed_code(db_session, config, mails, ANA))
    assert (answer.status_code, answer.location) == (303, "/subscribe/pro?interval=year")


def test_two_sign_ups_with_one_address_make_one_account(
    app: Flask, db_session: Session, config: Config, mails: MailSink
) -> None:
    first, second = app.test_client(), app.test_client()
    codes = []
    for client in (first, second):
        sign_up(client, ANA)
        codes.append(mailed_code(db_session, config, mails, ANA))
    assert submit(first, "/signup/confirm", code=codes[0]).status_code == 303
    assert submit(second, "/signup/confirm", code=codes[1]).status_code == 422
    assert not signed_in(second)
    assert users(db_session) == [ANA]

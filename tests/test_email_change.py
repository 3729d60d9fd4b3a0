"""Another address: by its own code, told to both, taken back by the old one. No answer tells who has an account."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing import accounts, bounces, notices
from billing.clock import now
from billing.config import Config
from billing.models import AuditEntry, AuthToken, LoginSession, User
from local.mailsink import MailSink
from tests import doors
from tests.doors import enter, mailed_code, signed_in, subjects, submit, without_marks
from tests.support import PASSWORD, make_user, sign_in

NEW = "alice@elsewhere.example.com"
PAGE = "/account/email"
CHOSEN = "four cold clear words"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


@dataclass
class Post:
    """What the post office does: send what is owed, and read it."""

    session: Session
    config: Config
    mails: MailSink

    def code(self, to: str = NEW) -> str:
        return mailed_code(self.session, self.config, self.mails, to)

    def subjects(self, to: str) -> list[str]:
        return subjects(self.session, self.config, self.mails, to)

    def way_back(self, to: str) -> str:
        self.subjects(to)
        found = re.search(rf"{PAGE}/undo/[\w-]+", self.mails.to(to)[-1].text)
        assert found, self.mails.to(to)[-1].text
        return found[0]


@pytest.fixture
def post(db_session: Session, config: Config, mails: MailSink) -> Post:
    return Post(db_session, config, mails)


@pytest.fixture
def browser(client: FlaskClient, alice: User) -> FlaskClient:
    sign_in(client, alice)
    return client


def ask(client: FlaskClient, email: str = NEW, password: str = PASSWORD) -> TestResponse:
    return submit(client, PAGE, email=email, current_password=password)


def confirm(client: FlaskClient, code: str) -> TestResponse:
    return submit(client, f"{PAGE}/code", page=PAGE, code=code)


def another(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def address(session: Session, user: User) -> str:
    session.rollback()
    session.refresh(user)
    return user.email


def test_the_new_address_proves_itself_by_its_code_and_both_are_told(
    app: Flask, browser: FlaskClient, db_session: Session, post: Post, alice: User
) -> None:
    old, other, reader = alice.email, app.test_client(), app.test_client()
    sign_in(other, alice)
    bounces.refused(db_session, old)
    accounts.start_reset(db_session, old)
    db_session.commit()
    reset = doors.link_in(post.mails, old) if post.subjects(old) else ""
    assert (ask(browser, f" {NEW.upper()} ").status_code, address(db_session, alice)) == (303, old)
    asked = NEW.partition("@")[0].upper() + "@" + NEW.partition("@")[2]
    assert f"<b>{asked}</b>" in browser.get(PAGE).text
    assert f"<b>{asked}</b> is to be your new email" in browser.get("/account").text
    code = post.code(asked)
    notices.owe(db_session, "welcome", "welcome:late", old, {}, user_id=alice.id)
    db_session.commit()
    answer = confirm(browser, f" {code[:3]} {code[3:]}")
    assert (answer.status_code, answer.location) == (303, "/account")
    assert f"Your email is now {asked}. Other browsers were signed out." in browser.get("/account").text
    assert address(db_session, alice) == asked
    assert alice.mail_refused_at is None
    assert [signed_in(one) for one in (browser, other)] == [True, False]
    assert reader.get(reset).status_code == 410
    waited = "Welcome to Dunlin"
    assert set(post.subjects(asked)[1:]) == {waited, "Your Dunlin email was changed"}, (
        "to the present address"
    )
    assert post.subjects(old)[-1] == "Your Dunlin email was changed"
    assert NEW.lower() not in post.mails.to(old)[-1].text.lower(), (
        "an old mailbox may be somebody else's by now"
    )
    assert "Test browser" not in post.mails.to(old)[-1].text
    assert enter(reader, old).status_code == 422
    assert enter(reader, asked).status_code == 303
    [entry] = db_session.execute(select(AuditEntry).where(AuditEntry.kind == "user.email")).scalars()
    assert (entry.user_id, entry.actor, entry.before, entry.after) == (alice.id, "user", None, None)


def test_an_address_with_an_account_and_one_without_are_answered_alike(
    app: Flask, db_session: Session, post: Post, alice: User, bob: User
) -> None:
    make_user(db_session, "carol@example.com")
    told = []
    for user, email in ((alice, "carol@example.com"), (bob, "nobody@example.com")):
        client = app.test_client()
        sign_in(client, user)
        steps = [ask(client, email), client.get(PAGE), confirm(client, "123456")]
        steps += [submit(client, f"{PAGE}/again", page=PAGE), client.get(PAGE), confirm(client, "123456")]
        steps += [client.get("/account"), submit(client, f"{PAGE}/keep", page=PAGE)]
        pages = [re.sub(r'datetime="[^"]*"', "", one.text.replace(user.email, "me")) for one in steps]
        told.append(
            [
                (one.status_code, one.location, without_marks(page, email), len(one.headers))
                for one, page in zip(steps, pages, strict=True)
            ]
        )
    known, unknown = told
    assert [status for status, *_ in known] == [303, 200, 422, 303, 200, 422, 200, 303]
    assert known == unknown


def test_the_owner_of_a_taken_address_is_told_and_no_code_takes_it(
    browser: FlaskClient, db_session: Session, post: Post, alice: User, bob: User
) -> None:
    assert ask(browser, "Bob@Example.com").status_code == 303
    assert post.subjects("Bob@example.com") == ["This address has an account at Dunlin already"]
    assert not any(word.isdecimal() for word in post.mails.messages[-1].text.split())
    assert confirm(browser, "000000").status_code == 422
    assert address(db_session, alice) == "alice@example.com"


MISTAKES: list[tuple[str, str, str]] = [
    ("alice@", PASSWORD, "Enter an email address like name@example.com."),
    (NEW, "", "Enter your current password."),
    (NEW, CHOSEN, "This is not your current password."),
    ("ALICE@example.com", PASSWORD, "This is your email address already."),
]


def test_who_does_not_know_the_password_changes_nothing_and_is_stopped_after_five_guesses(
    browser: FlaskClient, db_session: Session, post: Post
) -> None:
    for email, password, problem in MISTAKES:
        answer = ask(browser, email, password)
        assert (answer.status_code, problem in answer.text) == (422, True), problem
        assert f'value="{email}"' in answer.text
        assert not password or password not in answer.text
    for _ in range(4):
        ask(browser, NEW, CHOSEN)
    assert ask(browser).status_code == 429
    assert db_session.query(AuthToken).count() == 0


def test_wrong_codes_are_counted_in_every_browser_and_a_newer_code_ends_the_older(
    app: Flask, browser: FlaskClient, db_session: Session, post: Post, alice: User
) -> None:
    second = app.test_client()
    sign_in(second, alice)
    ask(browser)
    first = post.code()
    for client in (browser, second, browser, second, browser):
        assert confirm(client, another(first)).status_code == 422
    assert confirm(second, first).status_code == 422, "used up by five misses"
    assert submit(browser, f"{PAGE}/again", page=PAGE).status_code == 303
    assert "We sent a new code." in browser.get(PAGE).text
    code = post.code()
    if first != code:
        assert confirm(browser, first).status_code == 422
    db_session.execute(text("update auth_tokens set expires_at = now() - interval '1 second'"))
    db_session.commit()
    assert confirm(browser, code).status_code == 422, "too late"
    submit(browser, f"{PAGE}/again", page=PAGE)
    code = post.code()
    assert confirm(browser, code).status_code == 303
    assert submit(browser, f"{PAGE}/code", page=PAGE, code=code).location == "/account", (
        "a replay does nothing"
    )
    assert address(db_session, alice) == NEW
    assert not signed_in(second)
    for _ in range(2):
        ask(browser, "next@example.com")
    assert ask(browser, "next@example.com").status_code == 429, "five mails in an hour"


def test_a_code_is_of_its_own_person_and_ends_with_a_change_of_mind_or_of_the_password(
    app: Flask, browser: FlaskClient, db_session: Session, post: Post, alice: User, bob: User
) -> None:
    bobs = app.test_client()
    sign_in(bobs, bob)
    ask(browser)
    code = post.code()
    assert submit(bobs, f"{PAGE}/code", page=PAGE, code=code).location == "/account"
    assert submit(browser, f"{PAGE}/keep", page=PAGE).location == "/account"
    assert f"Your email stays {alice.email}." in browser.get("/account").text
    assert confirm(browser, code).location == "/account"
    ask(browser)
    code = post.code()
    form = {"current_password": PASSWORD, "new_password": CHOSEN}
    assert submit(browser, "/account/password", page="/account", **form).status_code == 303
    assert confirm(browser, code).location == "/account"
    assert [address(db_session, one) for one in (alice, bob)] == ["alice@example.com", "bob@example.com"]


def in_the_last_moment(app: Flask, what: str) -> Callable[..., None]:
    """Another process makes an account for the address between our look and our write."""

    def insert(*_: Any) -> None:
        with psycopg.connect(app.extensions["config"].database_url.replace("+psycopg", "")) as other:
            other.execute(
                "insert into users (email, password_hash, email_confirmed_at, is_admin)"
                " values (%s, 'x', now(), false) on conflict do nothing",
                (what,),
            )

    return insert


def test_of_two_who_come_to_one_address_at_once_the_second_is_told_and_loses_nothing(
    app: Flask, browser: FlaskClient, db_session: Session, post: Post, alice: User
) -> None:
    ask(browser)
    code = post.code()
    race = in_the_last_moment(app, NEW)
    event.listen(User, "before_update", race)
    try:
        answer = confirm(browser, code)
    finally:
        event.remove(User, "before_update", race)
    assert answer.status_code == 409
    assert "That address has an account of its own by now." in answer.text
    assert address(db_session, alice) == "alice@example.com"
    assert signed_in(browser)
    assert db_session.query(AuditEntry).filter_by(kind="user.email").count() == 0
    stranger = app.test_client()
    doors.sign_up(stranger, "ana@example.com")
    code = post.code("ana@example.com")
    race = in_the_last_moment(app, "ana@example.com")
    event.listen(User, "before_insert", race)
    try:
        assert submit(stranger, "/signup/confirm", code=code).status_code == 422
    finally:
        event.remove(User, "before_insert", race)
    assert not signed_in(stranger)


def test_whoever_took_the_account_loses_it_to_the_link_in_the_old_mailbox(
    app: Flask, browser: FlaskClient, db_session: Session, post: Post, alice: User
) -> None:
    """The thief has a signed-in browser and the password, moves twice, and tries their own way back."""
    thief, owner = browser, app.test_client()
    ask(thief)
    confirm(thief, post.code())
    ways = [post.way_back("alice@example.com")]
    ask(thief, "thief@example.com")
    confirm(thief, post.code("thief@example.com"))
    ways.append(post.way_back(NEW))
    ask(thief, "third@example.com")
    code = post.code("third@example.com")
    before = owner.get(ways[0])
    assert before.status_code == 200
    assert "Your email will be <b>alice@example.com</b> again." in before.text
    assert owner.head(ways[0]).status_code == 200
    assert address(db_session, alice) == "thief@example.com", "to look changes nothing: mail scanners do"
    answer = submit(owner, ways[0])
    assert answer.status_code == 303
    assert re.fullmatch(r"/reset/[\w-]{43}", answer.location)
    assert address(db_session, alice) == "alice@example.com"
    assert not signed_in(thief)
    assert db_session.query(LoginSession).count() == 0
    for stranger, email in ((thief, "alice@example.com"), (thief, "thief@example.com")):
        assert enter(stranger, email, PASSWORD).status_code == 422, "the password that the thief knows"
    for used in ways:
        assert submit_blind(app, used).status_code == 410
    assert db_session.query(AuthToken).filter_by(kind="email", used_at=None).count() == 0
    assert code
    told = [post.subjects(one)[-1] for one in ("alice@example.com", "thief@example.com")]
    assert told == ["Your Dunlin email was put back"] * 2
    assert "Your email is alice@example.com again" in owner.get(answer.location).text
    assert submit(owner, answer.location, new_password=CHOSEN).status_code == 303
    assert enter(owner, "alice@example.com", CHOSEN).status_code == 303


def submit_blind(app: Flask, path: str) -> TestResponse:
    """A form sent to an address whose page may have none."""
    client = app.test_client()
    return client.post(path, data={"csrf_token": doors.csrf_of(client)})


def test_a_way_back_ends_after_seven_days_and_never_takes_an_address_from_somebody_else(
    app: Flask, browser: FlaskClient, db_session: Session, post: Post, alice: User
) -> None:
    ask(browser)
    confirm(browser, post.code())
    way = post.way_back("alice@example.com")
    [token] = db_session.query(AuthToken).filter_by(kind="undo")
    assert abs((token.expires_at - now()) - timedelta(days=7)) < timedelta(minutes=1)
    again = make_user(db_session, "alice@example.com")
    answer = submit(app.test_client(), way)
    assert answer.status_code == 409
    assert "has an account of its own by now" in answer.text
    assert [address(db_session, one) for one in (alice, again)] == [NEW, "alice@example.com"]
    assert signed_in(browser)
    token.expires_at = now() - timedelta(seconds=1)
    db_session.commit()
    assert app.test_client().get(way).status_code == 410


def test_one_other_browser_is_signed_out_and_nobody_elses(
    app: Flask, browser: FlaskClient, db_session: Session, alice: User, bob: User
) -> None:
    others = [app.test_client() for _ in range(3)]
    for client, user in zip(others, (alice, alice, bob), strict=True):
        sign_in(client, user)
    rows = [one.id for one in db_session.query(LoginSession).order_by(LoginSession.id)]
    page = browser.get("/account").text
    assert re.findall(r"/account/sessions/(\d+)/signout", page) == [str(rows[2]), str(rows[1])]
    for row in (rows[1], rows[3], rows[0], 10**12):
        path = f"/account/sessions/{row}/signout"
        assert submit(browser, path, page="/account").status_code == 303
    assert [signed_in(one) for one in (browser, *others)] == [True, False, True, True]

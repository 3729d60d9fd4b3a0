"""The person's own account: the password changes only for who knows it, and where one is signed in can be ended."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing import throttle
from billing.clock import now
from billing.config import Config
from billing.models import AuditEntry, LoginSession, User
from local.mailsink import MailSink
from tests import doors
from tests.doors import enter, signed_in, subjects, submit
from tests.support import PASSWORD, sign_in

NEW = "five bright brass bells"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


@pytest.fixture
def browser(client: FlaskClient, alice: User) -> FlaskClient:
    """Alice's signed-in browser."""
    sign_in(client, alice)
    return client


def change(client: FlaskClient, current: str = PASSWORD, new: str = NEW) -> TestResponse:
    return submit(client, "/account/password", page="/account", current_password=current, new_password=new)


def listed(client: FlaskClient) -> list[str]:
    """The browsers that the page names, the present one marked."""
    part = client.get("/account").text.partition('id="sessions-title"')[2]
    lines = re.findall(r'<span class="words">(.*?)(?:<span class="amount">|</li>)', part, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", "", line).split()) for line in lines]


def test_a_new_password_needs_the_old_one(browser: FlaskClient, db_session: Session, alice: User) -> None:
    before = alice.password_hash
    for current, problem in (
        ("", "Enter your current password."),
        (NEW, "This is not your current password."),
    ):
        answer = change(browser, current)
        assert answer.status_code == 422
        assert problem in answer.text
        assert "There is a problem" in answer.text
        assert NEW not in answer.text
    db_session.refresh(alice)
    assert alice.password_hash == before
    assert signed_in(browser)


def test_a_bad_new_password_is_refused_before_the_old_one_is_looked_at(
    browser: FlaskClient, db_session: Session, alice: User
) -> None:
    for new, problem in (("short", "at least 12"), (alice.email, "too easy"), ("x" * 129, "at most 128")):
        answer = change(browser, "wrong", new)
        assert answer.status_code == 422
        assert problem in answer.text
        assert "This is not your current password." not in answer.text
    assert throttle.hits(db_session, throttle.bucket("password", str(alice.id))) == 0


def test_changing_the_password_signs_out_every_other_browser_and_says_so_by_mail(
    app: Flask,
    browser: FlaskClient,
    db_session: Session,
    config: Config,
    mails: MailSink,
    alice: User,
    bob: User,
) -> None:
    others = [app.test_client() for _ in range(2)]
    for other in others:
        sign_in(other, alice)
    bobs = app.test_client()
    sign_in(bobs, bob)
    answer = change(browser)
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Your password was changed. Other browsers were signed out." in browser.get("/account").text
    assert [signed_in(one) for one in (browser, *others, bobs)] == [True, False, False, True]
    assert subjects(db_session, config, mails, alice.email) == ["Your Dunlin password was changed"]
    assert NEW not in mails.messages[0].data.decode()
    (entry,) = db_session.execute(select(AuditEntry).where(AuditEntry.kind == "user.password")).scalars()
    assert (entry.user_id, entry.before, entry.after) == (alice.id, None, None)
    assert enter(others[0], alice.email, PASSWORD).status_code == 422
    assert enter(others[0], alice.email, NEW).status_code == 303


def test_guessing_the_old_password_is_stopped_after_five(
    app: Flask, browser: FlaskClient, db_session: Session, alice: User, bob: User
) -> None:
    for _ in range(4):
        throttle.hit(db_session, throttle.bucket("password", str(alice.id)), 5)
    assert change(browser, "wrong").status_code == 422
    answer = change(browser, PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 60
    db_session.refresh(alice)
    assert enter(app.test_client(), alice.email, PASSWORD).status_code == 303
    bobs = app.test_client()
    sign_in(bobs, bob)
    assert change(bobs).status_code == 303


def test_other_browsers_can_be_signed_out_without_a_new_password(
    app: Flask, browser: FlaskClient, alice: User, bob: User
) -> None:
    other, bobs = app.test_client(), app.test_client()
    sign_in(other, alice)
    sign_in(bobs, bob)
    answer = submit(browser, "/account/signout-others", page="/account")
    assert (answer.status_code, answer.location) == (303, "/account")
    assert [signed_in(one) for one in (browser, other, bobs)] == [True, False, True]


def test_the_page_names_the_browsers_that_are_signed_in_and_no_others(
    app: Flask, client: FlaskClient, db_session: Session, alice: User, bob: User
) -> None:
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1",
        '"><svg onload=alert(1)>' * 20,
    ]
    for number, agent in enumerate(agents):
        seen = now() - timedelta(minutes=number + 1)
        db_session.add(a_session(alice, number, agent, seen=seen))
    db_session.add(a_session(alice, 10, "Firefox on Windows, idle", seen=now() - timedelta(hours=25)))
    db_session.add(a_session(alice, 11, "Firefox on Windows, over", seen=now(), left=timedelta(seconds=-1)))
    db_session.add(a_session(bob, 12, "Firefox on Windows, bob's", seen=now()))
    db_session.commit()
    sign_in(client, alice)
    assert listed(client) == [
        "A browser This one",
        "Chrome on Linux",
        "Edge on Windows",
        "Safari on iPhone",
        "A browser",
    ]
    assert "<svg onload" not in client.get("/account").text


def a_session(
    user: User, number: int, agent: str, *, seen: object, left: timedelta = timedelta(days=1)
) -> LoginSession:
    return LoginSession(
        user_id=user.id,
        token_hash=f"{number}",
        user_agent=agent,
        last_seen_at=seen,
        expires_at=now() + left,
    )

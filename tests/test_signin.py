"""Signing in and out: one answer for every wrong pair, a cookie that the server can end, and no way off this site."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing import accounts
from billing.access import safe_next
from billing.clock import now
from billing.models import LoginSession, User
from tests import doors
from tests.doors import browser_with, cookie_of, enter, signed_in, submit, without_marks
from tests.support import PASSWORD, csrf_of, make_user
from tests.support import sign_in as given_a_session

WRONG = "three warm wards"


@pytest.fixture(autouse=True)
def _one_window() -> None:
    doors.wait_for_a_young_window()


def leave(client: FlaskClient) -> None:
    assert client.post("/logout", data={"csrf_token": csrf_of(client)}).status_code == 303


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(app: Flask, alice: User) -> None:
    pages = []
    for email in (alice.email, "nobody@example.com"):
        client = app.test_client()
        answer = enter(client, email, WRONG)
        assert answer.status_code == 422
        assert "Email or password is incorrect." in answer.text
        assert f'value="{email}"' in answer.text
        assert WRONG not in answer.text
        assert not signed_in(client)
        pages.append((without_marks(answer.text, email), sorted(answer.headers.keys())))
    assert pages[0] == pages[1]


def test_an_empty_form_says_what_is_missing(client: FlaskClient, alice: User) -> None:
    answer = enter(client, "", "")
    assert answer.status_code == 422
    for words in ("There is a problem", "Enter your email address.", "Enter your password."):
        assert words in answer.text
    answer = enter(client, "\x00@example.com")
    assert answer.status_code in (400, 422)
    assert not signed_in(client)


def test_the_address_is_known_in_any_case_and_the_password_only_as_it_is(
    app: Flask, db_session: Session, alice: User
) -> None:
    client = app.test_client()
    answer = enter(client, " ALICE@example.COM ")
    assert (answer.status_code, answer.location) == (303, "/billing")
    assert signed_in(client)
    make_user(db_session, "ana@xn--exmple-cua.com")
    assert enter(app.test_client(), "ana@Exämple.com").status_code == 303
    for password in (PASSWORD.upper(), f" {PASSWORD}", f"{PASSWORD} ", PASSWORD[:-1]):
        assert enter(app.test_client(), alice.email, password).status_code == 422, password


def test_a_session_that_was_there_before_is_not_the_one_after(
    app: Flask, client: FlaskClient, alice: User
) -> None:
    client.get("/signup?ref=planted")
    planted, token = cookie_of(client), csrf_of(client, "/login")
    assert enter(client, alice.email).status_code == 303
    assert cookie_of(client) != planted
    assert not signed_in(browser_with(app, planted))
    with client.session_transaction() as session:
        assert "referral" not in session
    assert client.post("/account/signout-others", data={"csrf_token": token}).status_code == 400
    first = cookie_of(client)
    leave(client)
    enter(client, alice.email)
    assert not signed_in(browser_with(app, first))


def test_signing_out_ends_the_session_at_the_server(app: Flask, client: FlaskClient, alice: User) -> None:
    enter(client, alice.email)
    other = app.test_client()
    enter(other, alice.email)
    kept = cookie_of(client)
    answer = client.post("/logout", data={"csrf_token": csrf_of(client)})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert not signed_in(client)
    assert not signed_in(browser_with(app, kept))
    assert signed_in(other)
    leave_again = submit(app.test_client(), "/logout", page="/login")
    assert (leave_again.status_code, leave_again.location) == (303, "/login")


def test_the_cookie_holds_a_token_and_the_database_only_its_hash(
    app: Flask, client: FlaskClient, db_session: Session, alice: User
) -> None:
    enter(client, alice.email)
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    held = signer.loads(cookie_of(client))
    assert set(held) <= {"_fresh", "_id", "_permanent", "_user_id", "csrf_token"}
    assert len(held["_user_id"]) >= 43  # 256 bits in base 64
    assert alice.email not in str(held)
    assert len(cookie_of(client)) < 1000
    row = db_session.execute(select(LoginSession)).scalar_one()
    stored = db_session.execute(text("select to_jsonb(t)::text from login_sessions t")).scalar_one()
    assert held["_user_id"] not in stored
    assert len(row.token_hash) == 64


def test_a_session_ends_after_a_day_without_a_visit_and_after_thirty_days_in_any_case(
    client: FlaskClient, db_session: Session, alice: User
) -> None:
    given_a_session(client, alice)
    row = db_session.execute(select(LoginSession)).scalar_one()
    assert timedelta(days=29, hours=23) < row.expires_at - now() <= timedelta(days=30)

    def with_times(**values: timedelta) -> bool:
        row.last_seen_at, row.expires_at = now() - values["idle"], now() + values["left"]
        db_session.commit()
        return signed_in(client)

    assert with_times(idle=timedelta(hours=23, minutes=59), left=timedelta(minutes=1))
    db_session.refresh(row)
    assert now() - row.last_seen_at < timedelta(minutes=1)
    assert not with_times(idle=timedelta(hours=24, minutes=1), left=timedelta(days=29))
    assert not with_times(idle=timedelta(0), left=timedelta(seconds=-1))


def test_somebody_who_is_signed_in_is_not_asked_again(client: FlaskClient, alice: User) -> None:
    given_a_session(client, alice)
    for path in ("/login", "/signup"):
        answer = client.get(path)
        assert (answer.status_code, answer.location) == (303, "/billing"), path


def test_a_cookie_that_we_did_not_sign_is_nothing(app: Flask, client: FlaskClient, alice: User) -> None:
    enter(client, alice.email)
    cookie = cookie_of(client)
    data, _, rest = cookie.partition(".")
    for forged in (f"{data[:-1]}A.{rest}", cookie[:-1], cookie.swapcase(), "", "{}", data, "x" * 3000):
        assert not signed_in(browser_with(app, forged)), forged
    with client.session_transaction() as session:
        session["_user_id"] = "1"
    assert not signed_in(client)
    remembered = app.test_client()
    remembered.set_cookie("remember_token", f"{alice.id}|{'0' * 128}")
    assert not signed_in(remembered)


AWAY = """
//evil.example  ///evil.example  ////evil.example  //evil.example/billing  //evil.example:80  //user@evil.example
/\\evil.example  \\/evil.example  \\\\evil.example  /\\/evil.example  //\\evil.example  /.\\/evil.example
http://evil.example  https://evil.example  HTTPS://evil.example  https:evil.example  https:/evil.example
https:///evil.example  http:\\\\evil.example  ftp://evil.example  javascript:alert(1)  JaVaScRiPt:alert(1)
data:text/html,x  vbscript:x  mailto:eve@evil.example  evil.example  evil.example/billing  www.evil.example
.evil.example  @evil.example  :80  ?next=x  #x  ./billing  ../billing  billing  %2f%2fevil.example
%2F%2Fevil.example  %5cevil.example  ;//evil.example  \u2044/evil.example  \uff0f/evil.example  x://evil.example
""".split()
AWAY += [f"/{char}/evil.example" for char in "\t\n\r\x00\x0b\x0c\x1f \\"]
AWAY += [f"{char}//evil.example" for char in "\t\n\r\x00 "] + [f"{char}/billing" for char in "\t\n\r \x00"]
AWAY += [
    "/billing\r\nLocation: //evil.example",
    "/billing\r\n\r\n<script>",
    "/bil ling",
    "/billing\\",
    "",
    " ",
]
HERE = ["/", "/billing", "/subscribe/pro?interval=year", "/admin/events?state=parked&type=", "/invoices#last"]
# They look odd, and a browser stays here with each of them.
HERE += ["/.//evil.example", "/..//evil.example", "/%2fevil.example", "/%5cevil.example", "/@evil.example"]
HERE += ["/;@evil.example", "/billing?next=//evil.example", "/billing?next=https://evil.example", "/http://x"]
HERE += ["/\uff0fevil.example", "/%09/evil.example", "/:80", "/billing%0d%0aLocation:x"]


@pytest.mark.parametrize("target", AWAY, ids=ascii)
def test_what_could_lead_away_is_never_followed(target: str) -> None:
    assert safe_next(target, "/default") == "/default"


@pytest.mark.parametrize("target", HERE, ids=ascii)
def test_a_path_of_this_site_is_followed_and_leads_nowhere_else(target: str) -> None:
    assert safe_next(target, "/default") == target
    seen_by_a_browser = target.replace("\\", "/").translate({ord(char): None for char in "\t\r\n"})
    assert (
        urlsplit(urljoin("https://billing.example.com/login", seen_by_a_browser)).netloc
        == "billing.example.com"
    )


def test_signing_in_leads_on_to_the_page_that_was_wanted_if_it_is_ours(app: Flask, alice: User) -> None:
    asked = app.test_client().get("/subscribe/pro?interval=year")
    assert (asked.status_code, asked.location) == (303, "/login?next=/subscribe/pro?interval%3Dyear")
    wanted = [
        (asked.location, "/subscribe/pro?interval=year"),
        ("/login?next=//evil.example", "/billing"),
        ("/login?next=https%3A%2F%2Fevil.example", "/billing"),
        ("/login?next=%2F%09%2Fevil.example", "/billing"),
        ("/login?next=/shop&next=//evil.example", "/shop"),
        ("/login?next=//evil.example&next=/shop", "/billing"),
    ]
    for path, there in wanted:
        answer = submit(app.test_client(), path, email=alice.email, password=PASSWORD)
        assert (answer.status_code, answer.location) == (303, there), path


def test_one_browser_can_be_ended_by_its_row_alone(
    client: FlaskClient, db_session: Session, alice: User
) -> None:
    given_a_session(client, alice)
    assert signed_in(client)
    accounts.close_sessions(db_session, alice.id)
    db_session.commit()
    assert not signed_in(client)

"""The whole way of a person whose browser asks for German: no sentence of ours is left in English."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import render_template
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from billing import language, outbox, passwords, throttle
from billing.extensions import db
from billing.models import User
from local.mailsink import MailSink
from tests import doors
from tests.conftest import make_app, make_config
from tests.doors import code_in, link_in, submit
from tests.english import left_in, words_of
from tests.support import PASSWORD, Databases, csrf_of
from tests.walk import ALICE, STRANGER, World, world

NEW = "vier kalte klare Worte"


@pytest.fixture(scope="module")
def house(databases: Databases, mail_sink: MailSink) -> Iterator[World]:
    with (
        databases.copy_of("dunlin_template") as url,
        world(make_config(url, smtp_port=mail_sink.port)) as found,
    ):
        yield found


def german(client: FlaskClient) -> FlaskClient:
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de-DE,de;q=0.9,en;q=0.5"
    return client


def assert_german(answer: TestResponse, status: int = 200) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Language"] == "de"
    assert '<html lang="de">' in answer.text
    assert left_in(words_of(answer.text)) == [], answer.request.path
    assert "Testbetrieb." in answer.text or status in (500, 503)


def test_somebody_new_signs_up_loses_the_password_and_comes_back(house: World, mails: MailSink) -> None:
    doors.wait_for_a_young_window()
    client, email = german(house.app.test_client()), "neu@example.com"
    config = house.app.extensions["config"]
    for path in ("/", "/plans", "/plans?interval=year", "/login", "/signup", "/reset"):
        assert_german(client.get(path))
    for fields in ({"email": "neu", "password": "kurz"}, {"email": email, "password": email}, {}):
        assert_german(submit(client, "/signup", **fields), 422)
    too_long = "x" * (passwords.LONGEST + 1)
    assert_german(submit(client, "/signup", email=email, password=too_long), 422)
    assert submit(client, "/signup", email=email, password=NEW).status_code == 303
    assert_german(client.get("/signup/confirm"))
    assert submit(client, "/signup/confirm", again="1").status_code == 303
    assert_german(client.get("/signup/confirm"))  # with the word that a new code was sent
    for code in ("", "000000x"):
        assert_german(submit(client, "/signup/confirm", code=code), 422)
    outbox.send_due(db.session(), config)
    assert submit(client, "/signup/confirm", code=code_in(mails, email)).status_code == 303
    for path in ("/plans", "/billing", "/invoices", "/shop", "/account"):
        assert_german(client.get(path))
    assert submit(client, "/logout", page="/plans").status_code == 303
    for password in ("", "falsch gewähltes Wort"):
        assert_german(submit(client, "/login", email=email, password=password), 422)
    assert_german(submit(client, "/reset", email="x"), 422)
    assert_german(submit(client, "/reset", email=email))
    outbox.send_due(db.session(), config)
    link = link_in(mails, email)
    assert_german(client.get(link))
    assert_german(submit(client, link, new_password="kurz"), 422)
    assert submit(client, link, new_password=NEW + "!").status_code == 303
    assert_german(client.get("/login"))
    assert_german(client.get(link), 410)
    assert submit(client, "/login", email=email, password=NEW + "!").status_code == 303
    assert_german(client.get("/account"))


def test_a_subscribers_pages_are_german_each_of_them(house: World) -> None:
    client = german(house.browser(ALICE))
    for rule in house.rules():
        if "GET" not in (rule.methods or ()) or rule.rule.startswith(
            ("/admin", "/static", "/healthz", "/webhooks")
        ):
            continue
        answer = client.get(house.address(rule))
        if answer.mimetype == "text/html" and not 300 <= answer.status_code < 400:
            assert_german(answer, answer.status_code)


def test_the_account_page_says_what_it_did_in_german(house: World) -> None:
    doors.wait_for_a_young_window()
    client = german(house.browser(ALICE))
    form = {"csrf_token": csrf_of(client, "/account")}
    for fields in ({"current_password": "falsch", "new_password": NEW}, {"current_password": ""}):
        assert_german(client.post("/account/password", data={**form, **fields}), 422)
    assert client.post("/account/signout-others", data=form).status_code == 303
    assert_german(client.get("/account"))
    mark = update(User).where(User.email == "alice@example.com")
    db.session.execute(mark.values(mail_refused_at=db.func.now()))
    db.session.commit()
    assert client.post("/account/mail", data=form).status_code == 303
    assert_german(client.get("/billing"))
    assert_german(client.post("/account/language", data={**form, "locale": "xx", "time_zone": "xx"}), 422)


def test_each_error_page_is_german(house: World) -> None:
    doors.wait_for_a_young_window()
    alice, stranger = german(house.browser(ALICE)), german(house.browser(STRANGER))
    token = csrf_of(alice)
    assert_german(alice.get("/checkout/return?session_id=%00"), 400)
    assert_german(alice.get("/admin/events"), 403)
    assert_german(stranger.post("/login", headers={"Sec-Fetch-Site": "cross-site"}), 403)
    for client in (alice, stranger):
        assert_german(client.get("/nothing"), 404)
        assert_german(client.get("/static/nothing.js"), 404)
        assert_german(client.get("/logout"), 405)
    big = {"csrf_token": token, "current_password": "x" * 70_000}
    assert_german(alice.post("/account/password", data=big, content_type="multipart/form-data"), 413)
    entered = {"csrf_token": "old", "email": "a@example.com", "password": PASSWORD, "quote": "kept unseen"}
    stale = stranger.post("/login", data=entered)
    assert_german(stale, 400)
    assert '<input type="hidden" name="quote" value="kept unseen">' in stale.text
    assert_german(alice.post("/logout"), 400)
    for _ in range(5):
        throttle.hit(db.session(), throttle.bucket("login", "a@example.com", "127.0.0.1"), 5)
    assert_german(submit(stranger, "/login", email="a@example.com", password=PASSWORD), 429)


@pytest.mark.parametrize("name", ["410", "stripe_unknown", "stripe_unreachable"])
def test_an_error_page_that_a_view_shows_is_german(house: World, name: str) -> None:
    with house.app.test_request_context("/billing", headers={"Accept-Language": "de"}):
        house.app.preprocess_request()
        assert left_in(words_of(render_template(f"errors/{name}.html"))) == []


def test_our_faults_are_told_in_german_without_a_database(house: World) -> None:
    away = german(make_app(make_config("postgresql://dunlin@127.0.0.1:1/dunlin")).test_client())
    form = {"csrf_token": csrf_of(away, "/login"), "email": "alice@example.com", "password": PASSWORD}
    assert_german(away.post("/login", data=form), 503)
    client, views = german(house.app.test_client()), house.app.view_functions
    kept = views["auth.login"]
    views["auth.login"] = fails
    try:
        assert_german(client.get("/login"), 500)
    finally:
        views["auth.login"] = kept
    assert language.locale() == "en"


def fails() -> str:
    raise RuntimeError("a fault of ours")


fails.is_public = True  # type: ignore[attr-defined]

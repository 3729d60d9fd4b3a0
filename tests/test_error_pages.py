"""Where something goes wrong people read what, find a way on and a name to quote, and never how it is built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from billing import throttle
from billing.extensions import db
from local.mailsink import MailSink
from tests import doors
from tests.conftest import make_app, make_config
from tests.support import PASSWORD, Databases, csrf_of
from tests.walk import ADMIN, ALICE, EVERYBODY, STRANGER, Html, World, world
from tests.watching import Lines

NOWHERE = "postgresql://dunlin:dbcanary@127.0.0.1:1/dunlin"
TELLING = (
    "Traceback",
    "sqlalchemy",
    "psycopg",
    "werkzeug",
    "flask",
    "canary",
    ".py",
    "select ",
    "127.0.0.1:1",
)


@pytest.fixture(scope="module")
def house(databases: Databases, mail_sink: MailSink) -> Iterator[World]:
    with (
        databases.copy_of("dunlin_template") as url,
        world(make_config(url, smtp_port=mail_sink.port)) as found,
    ):
        yield found


def unreachable() -> Flask:
    """The application with a database that nobody answers for."""
    return make_app(make_config(NOWHERE))


def assert_helpful(answer: TestResponse, status: int, client: FlaskClient) -> None:
    """A page of ours, with one heading, a way on that leads somewhere, the request's name, and nothing of the works."""
    assert answer.status_code == status
    page = answer.text
    assert page.count("<h1>") == 1
    assert "<title>" in page
    assert "– Dunlin</title>" in page
    assert answer.headers["X-Request-Id"] in page
    assert Html(page).problems == []
    assert answer.headers["Cache-Control"] == "no-store"
    said = doors.without_marks(page, "@").lower()  # a token may hold any letters
    assert [word for word in TELLING if word.lower() in said] == []
    forward = re.findall(r'<a(?: class="btn")? href="(/[^"]*)"', page.partition("<main")[2])
    assert forward
    if status not in (500, 503):
        assert client.get(forward[0]).status_code in (200, 303), forward


@pytest.mark.parametrize("who", [ALICE, ADMIN])
def test_each_kind_of_trouble_has_a_page_with_a_way_on(house: World, who: str) -> None:
    client = house.browser(who)
    token = csrf_of(client)
    assert_helpful(client.get("/checkout/return?session_id=%00"), 400, client)
    if who == ALICE:
        assert_helpful(client.get("/admin/events"), 403, client)
    assert_helpful(client.post("/account/password", headers={"Sec-Fetch-Site": "cross-site"}), 403, client)
    assert_helpful(client.get("/nothing/at/all"), 404, client)
    assert_helpful(client.get("/static/nothing.js"), 404, client)
    assert_helpful(client.get("/invoices/in_1/open"), 405, client)
    for size, kind in ((70_000, "multipart/form-data"), (2_000_000, "application/x-www-form-urlencoded")):
        form = {"csrf_token": token, "current_password": "x" * size}
        assert_helpful(client.post("/account/password", data=form, content_type=kind), 413, client)


def test_too_many_tries_have_a_page_with_a_way_on(house: World) -> None:
    doors.wait_for_a_young_window()
    for _ in range(5):
        throttle.hit(db.session(), throttle.bucket("login", "alice@example.com", "127.0.0.1"), 5)
    client = house.app.test_client()
    assert_helpful(doors.enter(client, "alice@example.com"), 429, client)


def test_a_stranger_is_shown_the_way_to_the_plans_or_the_door(house: World) -> None:
    client = house.browser(STRANGER)
    for path, href in (("/nothing", "/plans"), ("/static/nothing", "/plans")):
        answer = client.get(path)
        assert_helpful(answer, 404, client)
        assert f'href="{href}"' in answer.text.partition("<main")[2]
    refused = client.post("/login", headers={"Sec-Fetch-Site": "cross-site"})
    assert_helpful(refused, 403, client)
    assert 'href="/login"' in refused.text.partition("<main")[2]


# What has these goes through Flask, a delivery too (``front``).
OF_A_BROWSER = {"Sec-Fetch-Site": "same-origin"}


def broken(**values: Any) -> str:
    raise RuntimeError(f"canary of {sorted(values)}")


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_fault_in_any_view_is_one_quiet_page_and_a_line_in_the_log(house: World, who: str) -> None:
    client = house.browser(who)
    token = csrf_of(client, "/plans" if who != STRANGER else "/login")
    views = house.app.view_functions
    real, broke = dict(views), 0
    # No view can be made to fail from outside, so each one is replaced by one that does, as open as it was.
    views.update({name: like(view) for name, view in real.items()})
    try:
        for rule in house.rules():
            for method in sorted({"GET", "POST"} & (rule.methods or set())):
                path = house.address(rule)
                with Lines() as log:
                    answer = client.open(
                        path, method=method, data={"csrf_token": token}, headers=OF_A_BROWSER, buffered=True
                    )
                if answer.status_code in (303, 403):
                    assert not getattr(real[rule.endpoint], "is_public", False)
                    continue
                broke += 1
                assert_helpful(answer, 500, client)
                assert ("Try again</a>" in answer.text) is (method == "GET")
                (line,) = [line for line in log.lines if "RuntimeError" in line]
                assert f'"request": "{answer.headers["X-Request-Id"]}"' in line
                assert house.values["secret"] not in log.text
                assert house.values["way_back"] not in log.text
    finally:
        views.update(real)
    assert broke >= (13 if who == STRANGER else 30)


def like(view: Any) -> Any:
    def replaced(**values: Any) -> str:
        return broken(**values)

    replaced.is_public = getattr(view, "is_public", False)  # type: ignore[attr-defined]
    return replaced


def test_without_a_database_people_read_so_and_keep_their_session(house: World) -> None:
    away = unreachable()
    for who in (ALICE, ADMIN):
        cookie = doors.cookie_of(house.browser(who))
        client = doors.browser_with(away, cookie)
        for rule in house.rules():
            if rule.endpoint in ("static", "health.shallow", "health.deep", "webhooks.receive"):
                continue
            path = house.address(rule)
            if "GET" in (rule.methods or ()):
                with Lines() as log:
                    answer = client.get(path)
                assert_helpful(answer, 503, client)
                assert "Your plan and access are not affected." in answer.text
                assert house.values["secret"] not in log.text
                assert house.values["way_back"] not in log.text
                assert "dbcanary" not in log.text
        assert client.get("/nothing").status_code == 503
        assert doors.signed_in(doors.browser_with(house.app, doors.cookie_of(client)))


def test_without_a_database_what_needs_none_is_still_there() -> None:
    client = unreachable().test_client()
    for path in ("/", "/plans", "/plans?interval=year", "/login", "/signup", "/reset"):
        assert client.get(path).status_code == 200, path
    assert client.get("/billing").location == "/login?next=/billing"
    assert client.get("/nothing").status_code == 404
    form = {"csrf_token": csrf_of(client, "/login"), "email": "alice@example.com", "password": PASSWORD}
    answer = client.post("/login", data=form)
    assert_helpful(answer, 503, client)
    assert PASSWORD not in answer.text


def test_a_form_that_is_too_old_comes_back_with_what_was_entered_but_the_password(house: World) -> None:
    client = house.app.test_client()
    entered = {"email": 'ana"><svg onload=x>@example.com', "password": "canary words", "again": "1"}
    answer = client.post("/login?next=/shop", data={**entered, "csrf_token": "old"})
    assert answer.status_code == 400
    assert "This page was open for a while." in answer.text
    assert "canary words" not in answer.text
    assert "<svg onload" not in answer.text
    assert 'value="ana&#34;&gt;&lt;svg onload=x&gt;@example.com"' in answer.text
    assert '<input type="hidden" name="again" value="1">' in answer.text
    assert 'action="/login?next=/shop"' in answer.text
    token = answer.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "email": "admin@example.com", "password": PASSWORD}
    again = client.post("/login?next=/shop", data=form)
    assert (again.status_code, again.location) == (303, "/shop")
    nothing = house.browser(ALICE).post("/logout")
    assert "Nothing was sent. Send it again if you still want to." in nothing.text


def test_a_form_of_many_fields_does_not_come_back_as_a_page_of_many(house: World) -> None:
    client = house.app.test_client()
    answer = client.post("/login", data={f"field{number}": "x" for number in range(5000)})
    assert answer.status_code == 400
    assert answer.text.count("<input") < 20
    assert 'name="field0"' in answer.text


def test_what_is_not_for_people_is_refused_without_a_page(house: World) -> None:
    client = house.browser(ALICE)
    for answer in (
        client.get("/webhooks/stripe"),
        client.post("/webhooks/stripe", data=b"x" * 2_000_000),
        client.get("/checkout/state?session_id=cs_unknown"),
        client.get("/checkout/state?session_id=%00"),
    ):
        assert answer.status_code in (400, 404, 405, 413)
        assert set(answer.get_json()) == {"error"}


def test_nothing_for_developers_is_left_open(house: World) -> None:
    assert not house.app.debug
    assert not house.app.testing
    client = house.browser(ADMIN)
    for path in (
        "/console",
        "/rq",
        "/metrics",
        "/docs",
        "/.env",
        "/.git/config",
        "/?__debugger__=yes&cmd=resource",
    ):
        answer = client.get(path)
        assert answer.status_code == (200 if path.startswith("/?") else 404), path
        assert "debugger" not in answer.text.lower()

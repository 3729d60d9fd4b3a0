"""The walk: what every answer of the house must be like, whoever asks, for whatever, in whatever way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing.extensions import csrf, db
from local.mailsink import MailSink
from tests.conftest import make_config
from tests.support import Databases, csrf_of
from tests.walk import ADMIN, ALICE, EVERYBODY, SAFE, STRANGER, Answer, Html, World, problems_of, walk, world
from tests.watching import all_rows

PUBLIC = {
    "auth.confirm",
    "auth.login",
    "auth.logout",
    "auth.reset",
    "auth.reset_new",
    "auth.signup",
    "health.deep",
    "health.shallow",
    "locales.choose",
    "paying.pay",
    "paying.page",
    "pricing.home",
    "pricing.plans",
    "static",
    "webhooks.receive",
    "withdrawing.page",
    "withdrawing.withdraw",
    "email_change.undo",
}
WEBHOOK = "/webhooks/stripe"


@pytest.fixture(scope="module")
def house(databases: Databases, mail_sink: MailSink) -> Iterator[World]:
    """One for all tests of this module: none of them may change anything in it."""
    with (
        databases.copy_of("dunlin_template") as url,
        world(make_config(url, smtp_port=mail_sink.port, EU_WITHDRAWAL="yes", APP_ENV="staging")) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def answers(house: World) -> list[Answer]:
    return walk(house)


@pytest.fixture(autouse=True)
def _nothing_changes(house: World) -> Iterator[None]:
    """Browsers are signed in for a test, and mistyped forms are counted; nothing else may be written by any."""
    before = all_rows(db.session())
    yield
    after = all_rows(db.session())
    assert {name for name in after if after[name] != before[name]} <= {"login_sessions"}


def test_every_rule_is_closed_to_strangers_but_the_listed_ones(house: World, answers: list[Answer]) -> None:
    views = house.app.view_functions
    assert {name for name in views if name == "static" or getattr(views[name], "is_public", False)} == PUBLIC
    asked = [one for one in answers if one.who == STRANGER and one.declared]
    assert {one.rule.endpoint for one in asked} == set(views)
    for one in asked:
        if one.rule.endpoint in PUBLIC:
            assert one.headers.get("Location", "") == "", one
        elif one.method in SAFE:
            wanted = one.path.replace("=", "%3D")
            assert (one.status, one.headers["Location"]) == (303, f"/login?next={wanted}"), one
        else:
            assert (one.status, one.headers["Location"]) == (303, "/login"), one


def test_people_find_every_page_open_that_is_theirs(answers: list[Answer]) -> None:
    mine = [one for one in answers if one.who == ALICE and one.method == "GET" and one.declared]
    refused = {one.rule.endpoint for one in mine if one.status not in (200, 303)}
    without_stripe = {
        "health.deep",
        "switching.check",
        "seats.check",
    }  # what a change costs only Stripe can say
    assert refused == {name for name in refused if name.startswith("admin.") or name in without_stripe}
    assert {one.path for one in mine if one.status == 303} == {
        "/orders/return?payment_intent=pi_once_alice",
        "/login",
        "/signup",
        "/account/keep",
        "/billing/unpause",
        "/signup/confirm",
    }


def test_the_desk_is_closed_to_everybody_but_admins(house: World, answers: list[Answer]) -> None:
    desk = [
        one for one in answers if one.path.startswith("/admin") and one.declared and one.method in SAFE[:2]
    ]
    assert {one.status for one in desk if one.who == ALICE} == {403}
    assert {one.status for one in desk if one.who == ADMIN} == {200, 303}
    alice = house.browser(ALICE)
    token = csrf_of(alice)
    names = ("admin.run", "admin.rehearse", "admin.sync")
    buttons = [house.address(rule) for rule in house.rules() if rule.endpoint in names]
    assert len(buttons) == 3
    for path in buttons:
        assert alice.post(path, data={"csrf_token": token}).status_code == 403, path


def test_only_the_methods_of_a_rule_are_answered(answers: list[Answer]) -> None:
    by_path: dict[str, set[str]] = {}
    for one in answers:
        by_path.setdefault(one.path, set()).update(one.rule.methods or ())
    for one in answers:
        if one.method not in by_path[one.path]:
            assert one.status == 405, one
            assert set(one.headers["Allow"].split(", ")) == by_path[one.path], one
        if one.method in ("HEAD", "OPTIONS"):
            assert one.text == "" or one.status in (303, 403), one


def test_no_look_and_no_form_without_its_token_changes_anything(answers: list[Answer]) -> None:
    assert len(answers) > 3 * 8 * 30
    assert {(one.who, one.path, one.changed) for one in answers if one.changed} == set()


def test_a_form_without_its_token_is_refused(house: World, answers: list[Answer]) -> None:
    sent = [one for one in answers if one.method not in SAFE and one.declared and one.path != WEBHOOK]
    assert {one.method for one in sent} == {"POST"}
    assert len(sent) >= 3 * 14
    for one in sent:
        refused = (303,) if one.who == STRANGER and one.rule.endpoint not in PUBLIC else (400,)
        assert one.status in refused, one
    assert {name.rpartition(".")[2] for name in csrf._exempt_views} == {"receive"}
    assert not csrf._exempt_blueprints


def posts(house: World, who: str) -> list[str]:
    """Where this person may send a form."""
    return [
        house.address(rule)
        for rule in house.rules()
        if "POST" in (rule.methods or ())
        and rule.rule != WEBHOOK
        and (who != STRANGER or rule.endpoint in PUBLIC)
    ]


@pytest.mark.parametrize("who", EVERYBODY)
def test_the_token_of_another_browser_is_no_token(house: World, who: str) -> None:
    client = house.browser(who)
    csrf_of(client, "/plans" if who != STRANGER else "/login")
    token = csrf_of(house.browser(ADMIN if who == ALICE else ALICE))
    for number, path in enumerate(posts(house, who)):
        # No view has been asked when that is refused: the last two take turns.
        other = token[:-1] if number % 2 else ""
        for form in ({"csrf_token": token}, {"csrf_token": other}):
            assert client.post(path, data=form).status_code == 400, path


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "https://localhost"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_form_that_another_site_sent_is_refused_even_with_its_token(house: World, who: str) -> None:
    """It is asked before any view is, and of no path: so each path meets two of these, and each of these many paths."""
    client = house.browser(who)
    token = csrf_of(client, "/plans" if who != STRANGER else "/login")
    for number, path in enumerate(posts(house, who)):
        every = number < len(FOREIGN)
        for headers in FOREIGN if every else (FOREIGN[number % 4], FOREIGN[4 + number % 3]):
            answer = client.post(path, data={"csrf_token": token}, headers=headers)
            assert answer.status_code == 403, (path, headers)


def test_a_form_of_this_site_is_taken_whatever_the_browser_says_of_it(house: World) -> None:
    client = house.browser(STRANGER)
    form = {"csrf_token": csrf_of(client, "/login"), "email": "", "password": ""}
    ours = [{}, {"Origin": "http://localhost"}, {"Origin": "http://127.0.0.1:1"}]
    ours += [{"Sec-Fetch-Site": site, "Origin": "https://evil.example"} for site in ("same-origin", "none")]
    for headers in ours:
        assert client.post("/login", data=form, headers=headers).status_code == 422, headers


POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    # a stand-in for Stripe is listed where the settings name one
    "form-action": "'self' https://checkout.stripe.com https://billing.stripe.com https://invoice.stripe.com "
    "https://pay.stripe.com https://hooks.stripe.com http://127.0.0.1:1",
}
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


def test_every_answer_carries_the_headers_that_keep_it_safe(answers: list[Answer]) -> None:
    for one in answers:
        parts = (part.strip().partition(" ") for part in one.headers["Content-Security-Policy"].split(";"))
        assert {name: value for name, _, value in parts} == POLICY, one
        assert {name: one.headers.get(name) for name in ALWAYS} == ALWAYS, one
        assert len(one.headers["X-Request-Id"]) == 12, one
        assert not [name for name, _ in one.headers if name.lower().startswith("access-control-")], one
        kept = one.path.startswith("/static/") and one.status == 200
        assert (one.headers.get("Cache-Control") == "no-store") is not kept, one
        assert one.headers.getlist("Set-Cookie") == [] or not (kept or one.path == WEBHOOK), one
    assert len({one.headers["X-Request-Id"] for one in answers}) == len(answers)


def test_only_a_static_file_that_is_there_may_be_kept(house: World) -> None:
    client = house.browser(ALICE)
    marked = client.get("/static/app.js?v=1", buffered=True)
    assert marked.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get("/static/app.js", buffered=True).headers["Cache-Control"] == "no-cache"
    for path in ("/static/missing.js?v=1", "/static/", "/static/../app.py", "/static/%2e%2e/app.py"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "no-store"), path


def test_no_page_has_anything_inline_or_of_others_or_for_a_card(answers: list[Answer]) -> None:
    pages = [one for one in answers if one.page and one.text]
    assert len({one.path for one in pages}) > 20
    assert {str(one): problems for one in pages if (problems := problems_of(one.text))} == {}
    assert Html('<p onclick="x">').problems
    assert Html('<form method="post" action="/x"><input name="csrf"></form>').problems
    assert not any("stripe.com" in one.text for one in pages if not one.path.startswith("/admin"))


def test_the_cookie_is_for_this_site_and_no_script(answers: list[Answer]) -> None:
    cookies = [cookie for one in answers for cookie in one.headers.getlist("Set-Cookie")]
    assert cookies
    for cookie in cookies:
        name_and_value, *attributes = cookie.split("; ")
        assert name_and_value.startswith("dunlin=")
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
        assert not [one for one in attributes if one.lower().startswith("domain")]

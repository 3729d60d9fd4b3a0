"""Each request in its reader's language and on their days, and never in those of the one before."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import greenlet
import pytest
from flask import Flask, Response, stream_with_context
from flask.testing import FlaskClient

from billing import language, words
from billing.access import public
from billing.extensions import db
from billing.models import User
from tests.conftest import dispose, make_app, make_config
from tests.doors import submit
from tests.support import Databases, csrf_of, make_user, sign_in

GERMAN = {"Accept-Language": "de"}
COOKIE = "dunlin-language"


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Whatever a test did, this thread speaks English and names UTC's days afterwards."""
    yield
    assert (language.locale(), str(language.zone())) == ("en", "UTC")


@pytest.fixture(scope="module")
def house(databases: Databases) -> Iterator[Flask]:
    """One application for the tests that leave nothing in it."""
    with databases.copy_of("dunlin_template") as url:
        app = make_app(make_config(url))
        with app.app_context():
            make_user(db.session(), "alice@example.com")
            make_user(db.session(), "admin@example.com", is_admin=True)
            yield app
            db.session.remove()
            dispose()


@pytest.fixture
def ana(house: Flask) -> Iterator[User]:
    """Alice, who has chosen nothing."""
    user = db.session.query(User).filter_by(email="alice@example.com").one()
    yield user
    chosen(user, None, None)


def chosen(user: User, locale: str | None, zone: str | None = None) -> None:
    user.locale, user.time_zone = locale, zone
    db.session.commit()


def browser(app: Flask, user: User | None = None) -> FlaskClient:
    client = app.test_client()
    if user is not None:
        sign_in(client, user)
    return client


def spoken(client: FlaskClient, path: str = "/login", **headers: str) -> str:
    """The language of a page; its mark in HTML and its header must agree."""
    answer = client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    [tag] = re.findall(r'<html lang="([^"]+)">', answer.text)
    assert answer.headers["Content-Language"] == tag
    assert {"accept-language", "cookie"} <= {one.lower() for one in answer.vary}
    return str(tag)


ASKED = {
    "": "en",
    "de": "de",
    "de-AT, en;q=0.5": "de",
    "DE-de": "de",
    "en-US,en;q=0.9": "en-US",
    "en-GB": "en",
    "fr, de;q=0.7, en;q=0.8": "en",
    "fr, de;q=0.7, en;q=0.2": "de",
    "de;q=0, en;q=0.1": "en",
    "fr, it": "en",
    "*": "en",
    "de-DE-1996": "de",
    "zh-Hant-TW": "en",
    "x" * 3000: "en",
    ";;q=,=;;": "en",
    "../../de": "en",
}


@pytest.mark.parametrize(("wanted", "tag"), ASKED.items(), ids=[one[:20] or "nothing" for one in ASKED])
def test_a_stranger_reads_what_the_browser_asks_for(house: Flask, wanted: str, tag: str) -> None:
    assert spoken(browser(house), Accept_Language=wanted) == tag


def test_whoever_asks_for_nothing_that_we_speak_reads_the_default(databases: Databases) -> None:
    app = make_app(make_config("postgresql://127.0.0.1:1/none", DEFAULT_LOCALE="de", DISPLAY_TZ="Asia/Tokyo"))
    with app.app_context():
        assert spoken(app.test_client(), Accept_Language="fr") == "de"
        assert spoken(app.test_client(), Accept_Language="en") == "en"


def test_the_persons_own_choice_stands_above_the_browser_and_the_cookie(house: Flask, ana: User) -> None:
    client = browser(house, ana)
    assert spoken(client, "/account", Accept_Language="de") == "de"
    chosen(ana, "en_US")
    client.set_cookie(COOKIE, "de")
    assert spoken(client, "/account", Accept_Language="de") == "en-US"
    assert spoken(client, "/nothing", Accept_Language="de") == "en-US"
    assert spoken(client, "/static/nothing.js", Accept_Language="de") == "en-US"
    chosen(ana, "xx")  # a language that we spoke once
    assert spoken(client, "/account") == "de"


def test_admin_pages_are_in_english_and_other_pages_of_an_admin_are_not(house: Flask) -> None:
    admin = db.session.query(User).filter_by(email="admin@example.com").one()
    client = browser(house, admin)
    assert spoken(client, "/admin/subscribers", Accept_Language="de") == "en"
    assert spoken(client, "/account", Accept_Language="de") == "de"


def test_a_stranger_chooses_in_the_footer_and_stays_on_the_page(house: Flask) -> None:
    client = browser(house)
    page = client.get("/login?next=/shop").text
    offered = re.findall(
        r'<button class="as-link" name="locale" value="(\w+)" lang="([\w-]+)">(.*?)</button>', page
    )
    assert offered == [("en_US", "en-US", "English (United States)"), ("de", "de", "Deutsch")]
    form = {"csrf_token": csrf_of(client, "/login"), "locale": "de"}
    answer = client.post("/language", data=form, headers={"Referer": "http://localhost/login?next=/shop"})
    assert (answer.status_code, answer.location) == (303, "/login?next=/shop")
    [cookie] = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith(COOKIE)]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert spoken(client, Accept_Language="en") == "de"
    assert 'value="en"' in client.get("/login").text


@pytest.mark.parametrize(
    ("referrer", "back"),
    [
        (None, "/"),
        ("http://localhost/plans?interval=year", "/plans?interval=year"),
        ("https://evil.example/plans", "/plans"),
        ("https://evil.example//evil.example", "/"),
        ("http://localhost/logout", "/"),  # nothing to open there
        ("http://localhost/nothing", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_choosing_leads_back_to_a_page_of_ours_that_can_be_opened(
    house: Flask, referrer: str | None, back: str
) -> None:
    client = browser(house)
    form = {"csrf_token": csrf_of(client, "/login"), "locale": "de"}
    answer = client.post("/language", data=form, headers={"Referer": referrer} if referrer else {})
    assert (answer.status_code, answer.location) == (303, back)


def test_only_a_press_changes_the_language_and_only_to_one_that_we_speak(house: Flask) -> None:
    client = browser(house)
    assert client.get("/language?locale=de").status_code == 405
    client.get("/login?locale=de&lang=de&language=de")
    assert spoken(client) == "en"
    form = {"csrf_token": csrf_of(client, "/login")}
    for locale in ("xx", "", "de\r\nSet-Cookie: x=1", "../de"):
        answer = client.post("/language", data={**form, "locale": locale})
        assert (answer.status_code, client.get_cookie(COOKIE)) == (400, None), locale
    assert client.post("/language", data={"locale": "de"}).status_code == 400, "no token"
    client.set_cookie(COOKIE, "xx")
    assert spoken(client, Accept_Language="de") == "de"


def test_a_choice_is_kept_for_this_host_alone_where_people_come_by_https(databases: Databases) -> None:
    app = make_app(
        make_config("postgresql://127.0.0.1:1/none", PUBLIC_URL="https://b.example.com", PROXY_HOPS="1")
    )
    client = app.test_client()
    client.environ_base.update({"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "b.example.com"})
    form = {"csrf_token": csrf_of(client, "/login"), "locale": "de"}
    answer = client.post("/language", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    [cookie] = [
        one for one in answer.headers.getlist("Set-Cookie") if one.startswith("__Host-dunlin-language=de")
    ]
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))


def test_language_and_time_zone_are_chosen_on_the_account_page(house: Flask, ana: User) -> None:
    client = browser(house, ana)
    answer = submit(client, "/account/language", page="/account", locale="de", time_zone="Asia/Tokyo")
    assert (answer.status_code, answer.location) == (303, "/account")
    page = client.get("/account").text
    assert "Ihre Sprache und Zeitzone wurden gespeichert." in page
    assert '<option value="de" lang="de" selected>Deutsch' in page
    assert "<option selected>Asia/Tokyo" in page
    db.session.refresh(ana)
    assert (ana.locale, ana.time_zone) == ("de", "Asia/Tokyo")
    submit(client, "/account/language", page="/account", locale="", time_zone="")
    db.session.refresh(ana)
    assert (ana.locale, ana.time_zone) == (None, None)


@pytest.mark.parametrize(
    ("locale", "zone", "problem"),
    [
        ("xx", "Asia/Tokyo", "Choose a language from the list."),
        ("de", "Mars/Olympus", "Choose a time zone from the list."),
        ("de", "../../etc/passwd", "Choose a time zone from the list."),
    ],
)
def test_what_is_not_on_the_list_changes_nothing_and_says_what_to_do(
    house: Flask, ana: User, locale: str, zone: str, problem: str
) -> None:
    client = browser(house, ana)
    answer = submit(client, "/account/language", page="/account", locale=locale, time_zone=zone)
    assert answer.status_code == 422
    assert answer.text.count(problem) == 2, "above the form, and beside the field"
    assert "<title>Error: Account" in answer.text
    db.session.refresh(ana)
    assert (ana.locale, ana.time_zone) == (None, None)


# 23:30 UTC is another day in half of the world; days on which clocks are put forward or back; ends of months.
DAYS = [
    ("2026-12-03T23:30", "UTC", "3 December 2026"),
    ("2026-12-03T23:30", "Europe/Berlin", "4 December 2026"),
    ("2026-12-03T23:30", "America/New_York", "3 December 2026"),
    ("2026-12-03T23:30", "Pacific/Kiritimati", "4 December 2026"),
    ("2026-03-28T23:30", "Europe/Berlin", "29 March 2026"),
    ("2026-03-29T22:30", "Europe/Berlin", "30 March 2026"),  # the day has 23 hours: summer time already
    ("2026-10-25T22:30", "Europe/Berlin", "25 October 2026"),  # and this one 25
    ("2028-02-28T23:30", "Asia/Tokyo", "29 February 2028"),
    ("2028-02-29T23:30", "UTC", "29 February 2028"),
    ("2027-02-28T23:30", "Asia/Tokyo", "1 March 2027"),
    ("2026-12-31T23:30", "UTC", "31 December 2026"),
    ("2026-12-31T23:30", "Europe/Berlin", "1 January 2027"),
    ("2026-08-01T03:30", "America/Los_Angeles", "31 July 2026"),
]


@pytest.mark.parametrize(("moment", "zone", "day"), DAYS)
def test_a_day_is_the_readers_day_and_its_mark_stays_in_utc(
    house: Flask, ana: User, moment: str, zone: str, day: str
) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    with language.speaking("en", zone):
        assert words.day(at) == day
        shown = house.jinja_env.filters["day"](at)
    assert shown == f'<time datetime="{moment}:00Z">{day}</time>'


def test_the_mark_of_a_day_is_in_utc_whatever_zone_the_moment_came_in(house: Flask) -> None:
    at = datetime.fromisoformat("2026-12-04T00:30:00+01:00")
    assert (
        house.jinja_env.filters["day"](at) == '<time datetime="2026-12-03T23:30:00Z">3 December 2026</time>'
    )


@pytest.mark.parametrize(
    ("moment", "zone", "text"),
    [
        ("2026-12-03T23:30", "UTC", "3 December 2026, 23:30 UTC"),
        ("2026-12-03T23:30", "Europe/Berlin", "4 December 2026, 00:30 CET"),
        ("2026-07-03T23:30", "Europe/Berlin", "4 July 2026, 01:30 CEST"),
        ("2026-12-03T23:30", "America/Sao_Paulo", "3 December 2026, 20:30 UTC-03"),
    ],
)
def test_a_moment_names_its_zone(moment: str, zone: str, text: str) -> None:
    with language.speaking("en", zone):
        assert words.moment_text(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == text


def test_the_pages_of_a_person_name_their_own_days(house: Flask, ana: User) -> None:
    client = browser(house, ana)
    with views(house, day=lambda: words.day(datetime(2026, 12, 3, 23, 30, tzinfo=UTC)) or ""):
        assert client.get("/day").text == "3 December 2026"
        chosen(ana, "de", "Europe/Berlin")
        assert client.get("/day").text == "4. Dezember 2026"


class views:  # noqa: N801 it is used as a function
    """More pages for a while: each view under its name, open to everybody."""

    def __init__(self, app: Flask, **found: Any) -> None:
        self.app, self.found = app, found

    def __enter__(self) -> None:
        self.rules = self.app.url_map
        map_ = self.app.url_map.__class__()
        for rule in [*self.rules.iter_rules()]:
            map_.add(rule.empty())
        for name, view in self.found.items():
            map_.add(self.app.url_rule_class(f"/{name}", endpoint=name, methods=["GET", "HEAD"]))
            self.app.view_functions[name] = public(view)
        map_.merge_slashes = self.rules.merge_slashes
        self.app.url_map = map_

    def __exit__(self, *_: object) -> None:
        self.app.url_map = self.rules
        for name in self.found:
            del self.app.view_functions[name]


def broken() -> str:
    raise RuntimeError("a fault of ours")


def half_a_stream() -> Response:
    """A stream is made after the view has returned; one that says words takes their language with it."""
    spoken_here = language.locale()

    def parts() -> Iterator[str]:
        yield language.tag()
        with language.speaking(spoken_here):
            yield language.tag()
            yield language.tag()

    return Response(stream_with_context(parts()))


def test_no_ending_of_a_request_leaves_its_language_behind(house: Flask, ana: User) -> None:
    chosen(ana, "de", "Asia/Tokyo")
    client = browser(house, ana)
    with views(house, broken=broken, half=half_a_stream):
        for path, status in (
            ("/account", 200),
            ("/broken", 500),
            ("/nothing", 404),
            ("/invoices/x/open", 405),
        ):
            assert client.get(path, headers=GERMAN).status_code == status
            assert (language.locale(), str(language.zone())) == ("en", "UTC"), path
        assert client.get("/half").text == "endede"
        assert language.locale() == "en"
        cut = client.get("/half", buffered=False)
        parts = cut.iter_encoded()
        assert [next(parts), next(parts)] == [b"en", b"de"]
        cut.close()  # the reader went away
        assert language.locale() == "en"


def test_threads_that_serve_at_once_and_again_each_speak_to_their_own_reader(house: Flask, ana: User) -> None:
    seen: dict[str, set[str]] = {"de": set(), "en": set(), "en-US": set()}
    start = threading.Barrier(3)

    def serve(wanted: str) -> None:
        start.wait(30)
        for _ in range(10):
            with house.app_context():
                seen[wanted].add(spoken(house.test_client(), Accept_Language=wanted))
            seen[wanted].add(f"between: {language.locale()}")

    threads = [threading.Thread(target=serve, args=(wanted,)) for wanted in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {wanted: {wanted, "between: en"} for wanted in seen}


def test_greenlets_in_one_thread_each_speak_to_their_own_reader() -> None:
    """A server may change from one request to another in the middle of either."""

    def serve(locale: str, others: list[Any]) -> list[str]:
        said = [language.locale()]
        with language.speaking(locale, "Asia/Tokyo"):
            others[0].switch()
            said.append(language.locale())
        return [*said, language.locale()]

    main = greenlet.getcurrent()
    first = greenlet.greenlet(lambda: serve("de", [main]))
    second = greenlet.greenlet(lambda: serve("en_US", [main]))
    for one in (first, second):
        one.switch()
        assert language.locale() == "en"
    assert (first.switch(), second.switch()) == (["en", "de", "en"], ["en", "en_US", "en"])


def test_a_database_that_is_away_is_said_in_the_language_that_the_browser_asks_for() -> None:
    away = make_app(make_config("postgresql://dunlin@127.0.0.1:1/dunlin"))
    with away.app_context():
        client = away.test_client()
        form = {
            "csrf_token": csrf_of(client, "/login"),
            "email": "a@example.com",
            "password": "three warm words",
        }
        answer = client.post("/login", data=form, headers=GERMAN)
        assert (answer.status_code, answer.headers["Content-Language"]) == (503, "de")
        assert "Unser Dienst ist nicht erreichbar." in answer.text
        assert '<html lang="de">' in answer.text


def test_machines_are_told_nothing_of_languages(house: Flask) -> None:
    client = browser(house)
    for path in ("/healthz", "/static/app.js"):
        answer = client.get(path, headers=GERMAN, buffered=True)
        assert "Content-Language" not in answer.headers
        assert "accept-language" not in {one.lower() for one in answer.vary}

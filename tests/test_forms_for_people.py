"""What a form owes the person in front of it: names that browsers and password managers know, every mistake said
twice, nothing lost but the password, and a wait that is told as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import TooManyRequests
from werkzeug.test import TestResponse

from billing import throttle
from billing.extensions import db
from local.mailsink import MailSink
from tests import doors
from tests.conftest import make_config
from tests.doors import submit
from tests.support import Databases
from tests.walk import ALICE, STRANGER, World, world


@pytest.fixture(scope="module")
def house(databases: Databases, mail_sink: MailSink) -> Iterator[World]:
    with (
        databases.copy_of("dunlin_template") as url,
        world(make_config(url, smtp_port=mail_sink.port)) as found,
    ):
        yield found


class Fields(HTMLParser):
    """Every field that a person fills in, by its name, with its attributes; labels and links of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.labels: set[str] = set()
        self.ids: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        self.labels |= {given["for"]} if tag == "label" else set()
        if tag in ("input", "select", "textarea") and given.get("type") != "hidden":
            self.found[given.get("name") or given["id"]] = given


PASSWORD = ("password", "current-password", "")
NEW_PASSWORD = ("password", "new-password", "")
# Field → type, autocomplete and inputmode, for each page with a form.
TABLE: dict[str, tuple[str, dict[str, tuple[str, str, str]]]] = {
    "/signup": (STRANGER, {"email": ("email", "email", ""), "password": NEW_PASSWORD}),
    "/signup/confirm": (STRANGER, {"code": ("text", "one-time-code", "numeric")}),
    "/login": (STRANGER, {"email": ("email", "username", ""), "password": PASSWORD}),
    "/reset": (STRANGER, {"email": ("email", "username", "")}),
    "/reset/<secret>": (STRANGER, {"whose": ("email", "username", ""), "new_password": NEW_PASSWORD}),
    "/account": (
        ALICE,
        {
            "username": ("text", "username", ""),
            "current_password": PASSWORD,
            "new_password": NEW_PASSWORD,
            "locale": ("", "off", ""),
            "time_zone": ("", "off", ""),
        },
    ),
    "/account/email": (ALICE, {"email": ("email", "email", ""), "current_password": PASSWORD}),
    "/account/delete": (
        ALICE,
        {
            "username": ("text", "username", ""),
            "current_password": PASSWORD,
            "word": ("text", "off", ""),
        },
    ),
}


@pytest.mark.parametrize("path", TABLE)
def test_each_field_tells_browsers_what_it_is_for_and_has_a_label(house: World, path: str) -> None:
    who, wanted = TABLE[path]
    client = house.browser(who)
    page = Fields(client.get(path.replace("<secret>", house.values["secret"])).text)
    told = {
        name: (field.get("type", ""), field.get("autocomplete", ""), field.get("inputmode", ""))
        for name, field in page.found.items()
    }
    assert told == wanted
    for name, field in page.found.items():
        hidden = field.get("aria-hidden") == "true"  # for password managers alone
        assert hidden or field["id"] in page.labels, name
        assert not {"required", "pattern", "maxlength", "onpaste"} & set(field), (
            "checked on the server, all of it"
        )


WRONG: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
    (STRANGER, "/signup", {"email": "ana", "password": "short"}, {"email": "ana"}),
    (STRANGER, "/signup/confirm", {"code": "12 34"}, {"code": "1234"}),
    (STRANGER, "/login", {"email": "", "password": "canary words"}, {"email": ""}),
    (STRANGER, "/reset", {"email": "ana@"}, {"email": "ana@"}),
    (STRANGER, "/reset/<secret>", {"new_password": "short"}, {}),
    (ALICE, "/account/password", {"current_password": "", "new_password": "short"}, {}),
    (
        ALICE,
        "/account/email",
        {"email": "ana@", "current_password": "canary words"},
        {"email": "ana@"},
    ),
    (ALICE, "/account/language", {"locale": "xx", "time_zone": "Asia/Tokyo"}, {}),
]


@pytest.mark.parametrize(("who", "path", "given", "kept"), WRONG, ids=[one[1] for one in WRONG])
def test_each_mistake_is_said_above_and_beside_its_field_and_nothing_is_lost_but_the_password(
    house: World, who: str, path: str, given: dict[str, str], kept: dict[str, str]
) -> None:
    doors.wait_for_a_young_window()
    client, path = house.browser(who), path.replace("<secret>", house.values["secret"])
    answer = submit(client, path, page="/account" if who == ALICE else path, **given)
    assert answer.status_code == 422
    assert re.search(r"<title>\s*Error: ", answer.text)
    page, problems = Fields(answer.text), said(answer)
    assert problems
    for anchor, words in problems:
        assert anchor in page.ids, "each line leads to its field"
        beside = rf'id="{anchor}-wrong\d*"><span class="unseen">Error: </span>{re.escape(words)}</span>'
        assert re.search(f'<span class="wrong" {beside}', answer.text), words
        field = next(one for one in page.found.values() if one.get("id") == anchor)
        assert (field["aria-invalid"], f"{anchor}-wrong" in field["aria-describedby"].split()) == (
            "true",
            True,
        )
    assert '<div class="summary" role="alert" tabindex="-1" data-summary' in answer.text
    assert {name: page.found[name].get("value", "") for name in kept} == kept
    assert [
        name for name, one in page.found.items() if one.get("type") == "password" and "value" in one
    ] == []
    assert "canary" not in answer.text


def said(answer: TestResponse) -> list[tuple[str, str]]:
    summary = answer.text.partition("data-summary")[2].partition("</div>")[0]
    return re.findall(r'<a href="#([\w-]+)">(.*?)</a>', summary)


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (60, 1), (61, 2), (540, 9), (None, 15)])
def test_the_wait_that_is_written_is_the_wait_that_is_told_to_machines(
    house: World, seconds: int | None, minutes: int
) -> None:
    with house.app.test_request_context("/login"):
        answer: Any = house.app.make_response(
            house.app.handle_http_exception(TooManyRequests(retry_after=seconds))  # type: ignore[arg-type]
        )
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(60 * minutes))
    assert f"Wait {minutes} minute{'' if minutes == 1 else 's'}, then try again." in answer.get_data(
        as_text=True
    )


@pytest.mark.parametrize("door", ["signup", "login", "reset"])
def test_at_each_door_the_page_and_the_header_tell_the_same_wait(house: World, door: str) -> None:
    doors.wait_for_a_young_window()
    client, email = house.browser(STRANGER), f"{door}@example.com"
    for _ in range(5):
        throttle.hit(db.session(), throttle.bucket(door, email, "127.0.0.1"), 5)
    answer = submit(client, f"/{door}", email=email, password="three warm words")
    assert answer.status_code == 429
    minutes = int(answer.headers["Retry-After"]) // 60
    assert re.findall(r"Wait (\d+) minutes?, then try again\.", answer.text) == [str(minutes)]
    assert f'href="/{door}">Back to the form' in answer.text


@pytest.mark.parametrize("who", [STRANGER, ALICE])
def test_no_page_repeats_what_its_address_says(house: World, who: str) -> None:
    client = house.browser(who)
    asked = 0
    for rule in house.rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint == "static":
            continue
        path = house.address(rule)
        mark = "&" if "?" in path else "?"
        answer = client.get(
            f"{path}{mark}message=canary%20one&notice=canary&error=canary&sent_to=canary&next=//evil"
        )
        asked += 1
        if not 300 <= answer.status_code < 400:
            assert "canary" not in answer.text, path
            assert "//evil" not in answer.text, path
        else:
            assert answer.location.startswith("/"), path
    assert asked > 20


def signed_out_pages(client: FlaskClient) -> list[TestResponse]:
    return [client.get(path) for path in ("/account", "/billing", "/invoices")]


def test_after_signing_out_nothing_that_was_seen_is_kept_or_shown(house: World) -> None:
    client = house.browser(ALICE)
    assert [page.headers["Cache-Control"] for page in signed_out_pages(client)] == ["no-store"] * 3
    left = submit(client, "/logout", page="/account")
    assert left.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert [page.location.partition("?")[0] for page in signed_out_pages(client)] == ["/login"] * 3

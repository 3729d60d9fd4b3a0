"""What a page costs: bytes, requests, questions to the database; and what may be kept, by whom."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from werkzeug.test import TestResponse

from billing.models import User
from tests import admin_rows as rows
from tests.pages.house import AS_IS, House
from tests.pages.sitemap import OURS, Place, named
from tests.support import sign_in

MOST_REQUESTS = 6
HEAVY = ["plans", "check", "billing-past_due", "invoices", "sign-in", "account"]
ASKED = [
    place
    for place in OURS
    if place.settings == AS_IS and not (place.then or place.before or place.alone) and place.who != "newcomer"
]
BY_NAME: dict[str, Any] = {"ids": lambda place: place.name}


@pytest.mark.browser
@pytest.mark.parametrize("name", HEAVY)
def test_a_first_visit_is_light_and_nothing_jumps(home: House, chromium: Browser, name: str) -> None:
    """Cold: a fresh profile, as the network sees it. What jumps includes the change from one font to the other."""
    context = chromium.new_context(locale="en-IE", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    sizes: list[float] = []
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    place = named(name)
    assert place.opened(home, page) == 200
    page.evaluate("() => document.fonts.ready.then(() => undefined)")
    jumped = page.evaluate(JUMPED)
    context.close()
    assert sum(sizes) <= place.weight, sizes
    assert len(sizes) <= MOST_REQUESTS
    assert jumped <= 0.02


JUMPED = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => { for (const each of list.getEntries()) sum += each.value })
    .observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
})"""


@pytest.mark.parametrize("place", ASKED, **BY_NAME)
def test_a_page_asks_the_database_little(home: House, place: Place) -> None:
    client = home.app.test_client()
    if place.who != "stranger":
        sign_in(client, home.user(place.who))
    with home.app.app_context(), rows.queries() as statements:
        assert client.get(place.address.format(**home.values)).status_code == place.status
    assert len(statements) <= place.queries, statements


def ask(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    """A file under ``static/``, read to its end."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(f"/static/{path}?v=1", headers=named, buffered=True)


@pytest.mark.parametrize("path", ["css/components.css", "app.js", "favicon.svg"])
def test_text_that_is_the_same_for_everybody_travels_packed(client: FlaskClient, path: str) -> None:
    plain, packed = ask(client, path), ask(client, path, Accept_Encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Length"] == str(len(packed.data))
    assert len(packed.data) < len(plain.data)
    assert gzip.decompress(packed.data) == plain.data
    assert "Content-Encoding" not in plain.headers
    assert "Accept-Encoding" in plain.vary
    assert "Accept-Encoding" in packed.vary
    assert "immutable" in packed.headers["Cache-Control"]
    assert packed.mimetype == plain.mimetype


@pytest.mark.parametrize("refused", ["", "identity", "br", "gzip;q=0", "*;q=0"])
def test_who_can_not_unpack_gets_it_plain(client: FlaskClient, refused: str) -> None:
    assert "Content-Encoding" not in ask(client, "app.js", Accept_Encoding=refused).headers


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_a_browser_has_already_is_not_sent_again_packed_or_not(
    client: FlaskClient, encoding: str
) -> None:
    mark = ask(client, "app.js", Accept_Encoding=encoding).headers["ETag"]
    again = ask(client, "app.js", Accept_Encoding="gzip", If_None_Match=mark)
    assert (again.status_code, again.data) == (304, b"")


def test_a_part_of_a_file_and_what_is_packed_already_travel_as_they_are(client: FlaskClient) -> None:
    part = ask(client, "app.js", Accept_Encoding="gzip", Range="bytes=0-9")
    assert (part.status_code, len(part.data), "Content-Encoding" in part.headers) == (206, 10, False)
    font = ask(client, "fonts/atkinson-hyperlegible-next.woff2", Accept_Encoding="gzip")
    assert "Content-Encoding" not in font.headers


def test_a_page_with_a_token_is_never_packed(
    client: FlaskClient, alice: User, sign_in: Callable[[FlaskClient, User], None]
) -> None:
    """Packed, a page's length would tell of the secret beside what somebody else put into it."""
    sign_in(client, alice)
    page = client.get("/plans?interval=year", headers={"Accept-Encoding": "gzip"})
    assert page.status_code == 200
    assert "Content-Encoding" not in page.headers

"""Each mail in a browser: readable by everybody, day and night, on the narrowest screen; and the pages with them."""

from __future__ import annotations

import pytest
from flask import Flask
from playwright.sync_api import Browser

from billing import mail_pages, samples, specimens
from tests.chromium import UNPAINTED
from tests.conftest import make_app, make_config
from tests.pages.survey import AXE, CHECKS, COLOURS, EVERYTHING

pytestmark = pytest.mark.browser
BROWSER = UNPAINTED
NOWHERE = "postgresql://dunlin@127.0.0.1:1/dunlin"


def test_every_mail_is_readable_by_everybody_day_and_night_and_on_320_pixels(chromium: Browser) -> None:
    """The document is one layout's, so axe looks at each kind once; how wide it is, is asked in each language."""
    config, wrong = make_config(NOWHERE), []
    page = chromium.new_context(locale="en-IE", viewport={"width": 600, "height": 700}).new_page()
    seen = set()
    with make_app(config).app_context():
        found = [one for one in specimens.every(config) if one.variant.isdecimal()]
    for one in found:
        page.set_viewport_size({"width": 320, "height": 700})
        page.emulate_media(color_scheme="light")
        page.set_content(one.html)
        if not seen:  # the window stays, whatever is written into it
            page.evaluate(f"() => {{ {AXE}; window.checks = {CHECKS}; }}")
        asked = [] if one.kind in seen else [("light", EVERYTHING), ("dark", COLOURS)]
        seen.add(one.kind)
        for scheme, only in asked:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            answer = page.evaluate("only => window.checks.axe([only, []])", only)
            wrong += [(one.name, scheme, *each) for each in (*answer["violations"], *answer["incomplete"])]
        wrong += [(one.name, each) for each in page.evaluate("() => window.checks.overflow()")]
    page.context.close()
    assert wrong == []


def test_the_pages_of_every_mail_are_there_in_development_alone() -> None:
    for environment in ("staging", "production"):
        app = make_app(make_config(NOWHERE, APP_ENV=environment, **_away(environment)))
        assert not [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/dev")]


def _away(environment: str) -> dict[str, str]:
    """What production asks for beside its name."""
    return {"public_url": "https://billing.example.com"} | (
        {"ALLOW_TEST_KEY_IN_PRODUCTION": "yes"} if environment == "production" else {}
    )


@pytest.fixture
def app_() -> Flask:
    return make_app(make_config(NOWHERE))


def test_each_mail_stands_in_a_frame_that_may_do_nothing_but_be_read(app_: Flask) -> None:
    client = app_.test_client()
    listed = client.get("/dev/mails")
    assert all(f'href="/dev/mails/{kind}"' in listed.text for kind in samples.kinds())
    shown = client.get("/dev/mails/dun1")
    policy = shown.headers["Content-Security-Policy"]
    assert "frame-src 'self'" in policy
    assert "style-src 'self';" in policy
    with app_.app_context():
        mine = list(specimens.every(make_config(NOWHERE), "dun1"))
    assert (
        shown.text.count("<iframe") == shown.text.count('sandbox="') == shown.text.count("<pre") == len(mine)
    )
    part = client.get(f"/dev/mails/dun1/{mine[0].name}")
    assert part.headers["Content-Security-Policy"] == mail_pages.OF_A_MAIL
    assert "script-src" not in mail_pages.OF_A_MAIL, "what is not said falls back to nothing"
    assert "default-src 'none'" in mail_pages.OF_A_MAIL
    for path in ("/dev/mails/nothing", "/dev/mails/dun1/nothing.en", "/dev/mails/dun1/dun2-1.en"):
        assert client.get(path).status_code == 404, path

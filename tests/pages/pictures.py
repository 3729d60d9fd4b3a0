"""Photographs of every standing, by day and by night, wide and narrow: `make pictures`.

Run as `python -m tests.pages.pictures`. One sheet for each standing is written into ``docs/pictures/standings``, as
WebP because that is small; ``--all FOLDER`` writes one for every page of the site map into another folder.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import flask_migrate
from playwright.sync_api import Browser, Page

import app as dunlin
from local.mailsink import MailSink
from tests.chromium import launched
from tests.conftest import ROOT, dispose, make_config
from tests.histories import sandbox_in
from tests.pages.house import House, Settings, house
from tests.pages.sitemap import OURS, STANDINGS, Place
from tests.support import Databases

FOLDER = ROOT / "docs" / "pictures" / "standings"
VIEWS: Sequence[tuple[Any, int]] = (("light", 1280), ("dark", 1280), ("light", 320), ("dark", 320))
HEIGHT = 1000  # of what is shown of a wide page
SHEET = {"width": 1680, "height": HEIGHT // 2 + 48}
QUALITY = 60


def main() -> int:
    parser = argparse.ArgumentParser(description="Photograph the pages.")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page, into this folder")
    chosen = parser.parse_args()
    places, folder = (OURS, chosen.all) if chosen.all else (STANDINGS, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as open_:
        home = open_.enter_context(house_alone({place.settings for place in places}))
        browser = open_.enter_context(launched())
        for place in places:
            name = place.name.removeprefix("billing-")
            (folder / f"{name}.webp").write_bytes(photograph(home, browser, place))
    return 0


@contextmanager
def house_alone(settings: set[Settings]) -> Iterator[House]:
    """The house of the tests, with a database server, a mailbox and a sandbox of its own."""
    with ExitStack() as open_:
        databases = open_.enter_context(Databases.open(None))
        config = make_config(databases.create("dunlin_template"))
        with dunlin.create_app(config).app_context():
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            dispose()
        mails = open_.enter_context(MailSink())
        data = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        sandbox = open_.enter_context(sandbox_in(data))
        yield open_.enter_context(house(databases, mails, sandbox, settings))


def photograph(home: House, browser: Browser, place: Place) -> bytes:
    """A contact sheet of the page: light and dark, wide and narrow, side by side at half size."""
    context = browser.new_context(locale="en-IE")
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": HEIGHT})
    place.opened(home, page)
    page.evaluate("() => document.fonts.ready.then(() => document.activeElement?.blur())")
    shots = []
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": HEIGHT})
        shots.append((f"{scheme}, {width}", page.screenshot(type="png")))
    context.close()
    sheet = browser.new_context(locale="en-IE", viewport=SHEET)
    made = _sheet(sheet.new_page(), place.name, shots)
    sheet.close()
    return made


def _sheet(page: Page, name: str, shots: list[tuple[str, bytes]]) -> bytes:
    figures = "".join(
        f"<figure><img src='data:image/png;base64,{base64.b64encode(shot).decode()}'>{words}</figure>"
        for words, shot in shots
    )
    style = (
        "body{margin:0;display:flex;gap:16px;padding:8px 16px;background:#888;font:16px sans-serif}"
        "figure{margin:0}img{zoom:0.5;display:block}"
    )
    page.set_content(f"<title>{name}</title><style>{style}</style>{figures}")
    page.wait_for_function("() => [...document.images].every((one) => one.complete)")
    wire = page.context.new_cdp_session(page)
    taken = wire.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    sys.exit(main())

"""Photographs of every mail, light and dark, 320 and 600 pixels wide: `make mails FOLDER=…`.

Run as `python -m tests.pages.mail_pictures FOLDER`. One sheet for each sample in each language, as PNG, whole from top
to bottom. It needs no database, no Stripe and no mail server.
"""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path
from typing import Any

from markupsafe import escape
from playwright.sync_api import Page

from billing import specimens
from billing.specimens import Specimen
from tests.chromium import launched
from tests.conftest import make_app, make_config

VIEWS: tuple[tuple[Any, int], ...] = (("light", 600), ("dark", 600), ("light", 320), ("dark", 320))


def main() -> int:
    parser = argparse.ArgumentParser(description="Photograph every mail.")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--only", default=None, metavar="KIND", help="mails of this kind alone")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    config = make_config("postgresql://dunlin@127.0.0.1:1/dunlin")
    with make_app(config).app_context(), launched() as browser:
        page = browser.new_context(locale="en-IE").new_page()
        for one in specimens.every(config, chosen.only):
            if one.variant != specimens.LIVE:  # it differs in its subject alone
                (chosen.folder / f"{one.name}.png").write_bytes(photograph(page, one))
    return 0


def photograph(page: Page, one: Specimen) -> bytes:
    """All views of one mail side by side, below its subject."""
    page.set_content(one.html)
    shots = []
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 400})
        shots.append(base64.b64encode(page.screenshot(full_page=True)).decode())
    page.set_viewport_size({"width": 1920, "height": 400})
    name = escape(f"{one.name}: {one.subject}")
    figures = "".join(f"<img src='data:image/png;base64,{shot}'>" for shot in shots)
    page.set_content(
        "<style>body{margin:0;padding:12px;background:#888;color:#000;font:16px sans-serif}"
        f"img{{margin-inline-end:12px;vertical-align:top}}</style><p>{name}</p>{figures}"
    )
    page.wait_for_function("() => [...document.images].every((image) => image.complete)")
    return page.screenshot(full_page=True)


if __name__ == "__main__":
    sys.exit(main())

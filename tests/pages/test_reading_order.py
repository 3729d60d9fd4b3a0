"""The order in which a page is read aloud, as it was agreed; what changes with the day is masked.

Where a page rightly reads otherwise now: `READING=write .venv/bin/python -m pytest tests/pages/test_reading_order.py`,
and read the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages.house import House
from tests.pages.sitemap import named
from tests.pages.survey import WIDE

pytestmark = pytest.mark.browser
AGREED = Path(__file__).parent / "reading"
KEY_PAGES = [
    "plans", "sign-up-mistakes", "sign-in", "confirm", "check", "check-trial", "return-processing",
    "billing-active", "billing-past_due", "change-now", "invoices", "account",
]  # fmt: skip
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
MASKS = (
    (rf"\b\d{{1,2}}\s{MONTH}\s\d{{4}}\b", "{day}"),
    (r"\b(?:just now|\d+ (?:second|minute|hour)s? ago)\b", "{ago}"),
    (r"DUN-\d+", "{number}"),
)


@pytest.mark.parametrize("name", KEY_PAGES)
def test_a_page_is_read_in_the_order_that_was_agreed(home: House, chromium: Browser, name: str) -> None:
    context = chromium.new_context(viewport=WIDE)
    page = context.new_page()
    named(name).opened(home, page)
    read = page.locator("main").aria_snapshot() + "\n"
    context.close()
    for mask, words in MASKS:
        read = re.sub(mask, words, read)
    agreed = AGREED / f"{name}.yaml"
    if os.environ.get("READING") == "write":
        agreed.parent.mkdir(exist_ok=True)
        agreed.write_text(read, encoding="utf-8")
    assert read == agreed.read_text(encoding="utf-8")

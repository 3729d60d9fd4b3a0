"""The browser of the tests, as Playwright drives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from local import browser as browsers


@contextmanager
def launched() -> Iterator[Browser]:
    program = browsers.ensure()
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program.executable, args=list(program.arguments))
        yield found
        found.close()

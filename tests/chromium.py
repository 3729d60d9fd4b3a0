"""The browser of the tests, as Playwright drives it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from local import browser as browsers

# A frame is painted when somebody asks for one, and nobody does. What a page is like is laid out all the same; but no
# animation goes on, and no mouse finds a button that stands still.
UNPAINTED = ("--enable-begin-frame-control", "--run-all-compositor-stages-before-draw")


@contextmanager
def launched(*more: str) -> Iterator[Browser]:
    """``more``: arguments of Chromium beside the usual ones."""
    program = browsers.ensure()
    with sync_playwright() as playwright:
        arguments = [*program.arguments, *more]
        found = playwright.chromium.launch(executable_path=program.executable, args=arguments)
        yield found
        found.close()

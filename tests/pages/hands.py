"""How somebody works a page: with a mouse, or with nothing but keys."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


class Mouse:
    """Clicks what it reads. ``words`` are the beginning of what a link or button says."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def presses(self, words: str) -> None:
        """A link or a button, whichever the page has."""
        self._found(words).click()

    def fills(self, label: str, text: str) -> None:
        self._field(label).fill(text)

    def sees(self, words: str) -> None:
        expect(self.page.locator("h1")).to_contain_text(words)

    def _found(self, words: str) -> Locator:
        link = self.page.get_by_role("link", name=words)
        return link.or_(self.page.get_by_role("button", name=words)).first

    def _field(self, label: str) -> Locator:
        return self.page.get_by_label(label).first


class Keys(Mouse):
    """Tab to it, Enter, and typing; never a click."""

    MOST = 60

    def presses(self, words: str) -> None:
        self._reach(self._found(words))
        with self.page.expect_navigation():  # unlike a click, a key waits for nothing
            self.page.keyboard.press("Enter")

    def fills(self, label: str, text: str) -> None:
        self._reach(self._field(label))
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def _reach(self, wanted: Locator) -> None:
        expect(wanted).to_be_visible()
        handle = wanted.element_handle()
        for _ in range(self.MOST):
            if handle.evaluate("(node) => node === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{self.MOST} times Tab do not reach {wanted}")

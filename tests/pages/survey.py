"""One look at a page answers everything that is asked of it: loaded once, then shown in every way people see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Page

from tests.pages.house import House
from tests.pages.noise import Noise
from tests.pages.reading import KEY_PAGES
from tests.pages.sitemap import Place

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHECKS = (Path(__file__).parent / "checks.js").read_text(encoding="utf-8")
# What every page is asked with. Brought by the browser as a page begins, it is sent and compiled once for all of them.
BROUGHT = f"if (self === top) {{ {AXE}; window.checks = {CHECKS}; }}"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
EVERYTHING = {"type": "tag", "values": TAGS}
# All that can differ at night: the other rules look at the document, which is the same.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
COLOURS = {"type": "rule", "values": OF_COLOURS}
# All else that can differ on a narrow screen, where nothing is shown that is not shown on a wide one.
OF_TABLES = ["empty-table-header", "td-headers-attr", "th-has-data-cells"]
SHAPE = {"type": "rule", "values": [*OF_TABLES, "region", "scrollable-region-focusable", "target-size"]}
WIDE, NARROW, ZOOMED = (
    {"width": 1280, "height": 900},
    {"width": 320, "height": 256},
    {"width": 640, "height": 450},
)


@dataclass
class Survey:
    """What was found, by subject: lists of complaints, and facts that are compared between pages."""

    status: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def note(self, subject: str, complaints: list[str], where: str = "") -> None:
        self.wrong.setdefault(subject, []).extend(f"{where}: {one}" if where else one for one in complaints)


class Surveyor:
    """Looks at pages in one browser tab, by day and by night, wide and narrow.

    What axe says of a colour depends on the ink and on what lies under it, and of a shape on the part and what it
    stands in. It is asked about these where a page has some that no page before it had: they are most of its work.
    The browser paints after every question and every change, so what needs no paint in between is asked at once.
    """

    def __init__(self, house: House, page: Page, noise: Noise, brand: str) -> None:
        self._house, self._page, self._noise, self._brand = house, page, noise, brand
        self._known: dict[str, set[str]] = {"inks": set(), "parts": set()}
        page.add_init_script(BROUGHT)

    def look(self, place: Place) -> Survey:
        page, found = self._page, Survey()
        self._noise.problems.clear()
        page.set_viewport_size(WIDE)
        found.status = place.opened(self._house, page)
        self._as_it_comes(found)
        if place.name in KEY_PAGES:
            found.facts["read"] = page.locator("main").aria_snapshot()
        self._by_keys(found)
        self._as_people_set_it(found)
        self._axe(found, "light 1280", EVERYTHING, without=[] if self._new("inks") else OF_COLOURS)
        page.emulate_media(color_scheme="dark")
        self._inks(found, "dark 1280")
        page.set_viewport_size(NARROW)
        self._inks(found, "dark 320")
        page.emulate_media(color_scheme="light")
        self._narrow(found)
        page.set_viewport_size(ZOOMED)
        answers = self._ask_all("overflow", "polls")
        found.note("overflow", answers["overflow"], "200%")
        found.note("noise", list(self._noise.problems))
        if answers["polls"]:
            page.goto("about:blank")  # else it may ask for something while the next one is looked at
        return found

    def _new(self, subject: str) -> bool:
        """Whether the page, as it is shown now, has some of these that are new."""
        return self._are_new(subject, self._ask(subject))

    def _are_new(self, subject: str, these: list[str]) -> bool:
        found, known = set(these), self._known[subject]
        new = not found <= known
        known |= found
        return new

    def _inks(self, found: Survey, where: str) -> None:
        if self._new("inks"):
            self._axe(found, where, COLOURS)

    def _ask(self, check: str, argument: Any = None) -> Any:
        return self._page.evaluate("([check, argument]) => window.checks[check](argument)", [check, argument])

    def _ask_all(self, *checks: str) -> dict[str, Any]:
        """The answers to several questions, by their names."""
        asked = "checks => Object.fromEntries(checks.map((check) => [check, window.checks[check]()]))"
        answers: dict[str, Any] = self._page.evaluate(asked, checks)
        return answers

    def _as_it_comes(self, found: Survey) -> None:
        found.note("structure", self._ask("structure", self._brand))
        complaints = ("targets", "tables", "painted", "overflow")
        answers = self._ask_all(*complaints, "tags", "fields", "title", "ways")
        for check in complaints:
            found.note(check, answers.pop(check), "1280")
        found.facts = {**answers.pop("ways"), **answers}

    def _by_keys(self, found: Survey) -> None:
        """The first stop leads past the head of the page; every stop is seen."""
        self._page.evaluate("() => document.activeElement?.blur()")
        self._page.keyboard.press("Tab")
        found.facts["first_stop"] = self._page.evaluate("() => document.activeElement.hash ?? ''")
        found.note("stops", self._ask("stops"))

    def _as_people_set_it(self, found: Survey) -> None:
        page = self._page
        page.emulate_media(forced_colors="active")
        found.note("borders", self._ask("borders"))
        page.emulate_media(forced_colors="none", contrast="more")
        found.note("secondary", self._ask("secondary"))
        page.emulate_media(contrast="no-preference", reduced_motion="reduce")
        found.note("motion", self._ask("motion"))
        page.emulate_media(reduced_motion="no-preference")
        answers = self._ask_all("enlarged", "spaced")
        found.note("overflow", answers["enlarged"], "text of 200%")
        found.note("overflow", answers["spaced"], "more space, 1280")

    def _narrow(self, found: Survey) -> None:
        answers = self._ask_all("inks", "parts", "targets", "overflow", "spaced")
        if self._are_new("inks", answers["inks"]):
            self._axe(found, "light 320", COLOURS)
        if self._are_new("parts", answers["parts"]):
            self._axe(found, "light 320", SHAPE)
        for check in ("targets", "overflow"):
            found.note(check, answers[check], "320")
        found.note("overflow", answers["spaced"], "more space, 320")

    def _axe(self, found: Survey, where: str, only: dict[str, Any], *, without: Sequence[str] = ()) -> None:
        answer = self._ask("axe", [only, list(without)])
        found.note("axe", [" ".join(one) for one in answer["violations"]], where)
        found.note("undecided", [" ".join(one) for one in answer["incomplete"]], where)

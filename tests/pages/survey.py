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
    """

    def __init__(self, house: House, page: Page, noise: Noise, brand: str) -> None:
        self._house, self._page, self._noise, self._brand = house, page, noise, brand
        self._known: dict[str, set[str]] = {"inks": set(), "parts": set()}

    def look(self, place: Place) -> Survey:
        page, found = self._page, Survey()
        page.goto("about:blank")  # else the page before may ask for something still
        self._noise.problems.clear()
        self._shown(WIDE, "light")
        found.status = place.opened(self._house, page)
        page.evaluate(f"() => {{ {AXE}; window.checks = {CHECKS}; }}")
        self._as_it_comes(found)
        if place.name in KEY_PAGES:
            found.facts["read"] = page.locator("main").aria_snapshot()
        self._by_keys(found)
        self._as_people_set_it(found)
        self._axe(found, "light 1280", EVERYTHING, without=[] if self._new("inks") else OF_COLOURS)
        self._at_night(found)
        self._shown(NARROW, "light")
        self._narrow(found)
        found.note("noise", list(self._noise.problems))
        return found

    def _new(self, subject: str) -> bool:
        """Whether the page, as it is shown now, has some of these that are new."""
        found, known = set(self._ask(subject)), self._known[subject]
        new = not found <= known
        known |= found
        return new

    def _at_night(self, found: Survey) -> None:
        for size in (WIDE, NARROW):
            self._shown(size, "dark")
            if self._new("inks"):
                self._axe(found, f"dark {size['width']}", COLOURS)

    def _shown(self, size: Any, scheme: Any) -> None:
        self._page.set_viewport_size(size)
        self._page.emulate_media(color_scheme=scheme)

    def _ask(self, check: str, argument: Any = None) -> Any:
        return self._page.evaluate(f"argument => window.checks.{check}(argument)", argument)

    def _as_it_comes(self, found: Survey) -> None:
        found.note("structure", self._ask("structure", self._brand))
        for check in ("targets", "tables", "painted", "overflow"):
            found.note(check, self._ask(check), "1280")
        found.facts = {
            "tags": self._ask("tags"),
            "fields": self._ask("fields"),
            "title": self._page.title(),
            **self._ask("ways"),
        }

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
        self._ask("text_at", 200)
        found.note("overflow", self._ask("overflow"), "text of 200%")
        self._ask("text_at", 0)
        self._spaced(found, "1280")
        page.set_viewport_size(ZOOMED)
        found.note("overflow", self._ask("overflow"), "200%")
        page.set_viewport_size(WIDE)

    def _narrow(self, found: Survey) -> None:
        if self._new("inks"):
            self._axe(found, "light 320", COLOURS)
        if self._new("parts"):
            self._axe(found, "light 320", SHAPE)
        for check in ("targets", "overflow"):
            found.note(check, self._ask(check), "320")
        self._spaced(found, "320")

    def _spaced(self, found: Survey, where: str) -> None:
        self._ask("spaced", True)
        found.note("overflow", self._ask("overflow"), f"more space, {where}")
        self._ask("spaced", False)

    def _axe(self, found: Survey, where: str, only: dict[str, Any], *, without: Sequence[str] = ()) -> None:
        answer = self._ask("axe", [only, list(without)])
        found.note("axe", [" ".join(one) for one in answer["violations"]], where)
        found.note("undecided", [" ".join(one) for one in answer["incomplete"]], where)

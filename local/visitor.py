"""A person at a browser, without the browser: pages, forms, cookies, redirects, over real HTTP."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar

TIMEOUT_SECONDS = 60


@dataclass
class Form:
    """A form of a page: where it goes, and what it sends as it stands."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)  # name, value, words

    def has(self, name: str) -> bool:
        return name in self.fields or any(name == button[0] for button in self.buttons)


class _Reader(HTMLParser):
    """Collects the forms, the words and the first heading of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self.heading: list[str] = []
        self._form: Form | None = None
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in ("h1", "button", "script", "style"):
            self._inside.append(tag)
        if tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None and tag == "button":
            self._form.buttons.append((values.get("name", ""), values.get("value", ""), ""))
        elif self._form is not None and tag in ("input", "textarea") and _is_sent(values):
            self._form.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        inside = self._inside[-1] if self._inside else ""
        if inside in ("script", "style"):
            return
        self.words.append(data)
        if inside == "h1":
            self.heading.append(data)
        if inside == "button" and self._form is not None and self._form.buttons:
            name, value, words = self._form.buttons[-1]
            self._form.buttons[-1] = (name, value, (words + data).strip())


def _is_sent(values: dict[str, str]) -> bool:
    chosen = values.get("type") not in ("radio", "checkbox") or "checked" in values
    return bool(values.get("name")) and chosen


@dataclass
class Page:
    """What came back: the address it ended at, the status, and the page read."""

    url: str
    status: int
    html: str

    def __post_init__(self) -> None:
        reader = _Reader()
        reader.feed(self.html)
        self.forms = reader.forms
        self.text = " ".join(" ".join(reader.words).split())
        self.heading = " ".join("".join(reader.heading).split())

    def form(self, *, having: str = "", to: str = "", button: str = "") -> Form:
        """The first form that has this field, goes to this address, or has a button with these words.

        Raises LookupError naming the page where there is none.
        """
        for form in self.forms:
            words = any(button in one[2] for one in form.buttons)
            if (not having or form.has(having)) and to in form.action and (not button or words):
                return form
        raise LookupError(f"{self.url} (“{self.heading}”) has no form with {having or to or button}")


class Visitor:
    """One person's browser. ``page`` is the page it shows."""

    def __init__(self, home: str) -> None:
        self.home = home
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(jar)
        self.page = Page(home, 0, "")

    def open(self, path: str) -> Page:
        """Follow a link; ``path`` may be a whole address."""
        return self._go(urllib.request.Request(urllib.parse.urljoin(self.page.url or self.home, path)))

    def visit(self, path: str) -> Page:
        """Open a page of the portal."""
        return self.open(self.home + path)

    def submit(self, form: Form, *, press: str = "", **fields: str) -> Page:
        """Fill in and send. ``press``: the words of the button, where several give different values."""
        pressed = {name: value for name, value, words in form.buttons if name and press and press in words}
        values = {**form.fields, **fields, **pressed}
        address = urllib.parse.urljoin(self.page.url, form.action or self.page.url)
        data = urllib.parse.urlencode(values)
        if form.method != "post":
            return self.open(f"{address.partition('?')[0]}?{data}")
        origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(address))
        headers = {"Origin": origin, "Referer": self.page.url, "Sec-Fetch-Site": "same-origin"}
        return self._go(urllib.request.Request(address, data.encode(), headers))

    def _go(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                self.page = Page(answer.url, answer.status, answer.read().decode())
        except urllib.error.HTTPError as answer:
            self.page = Page(answer.url or request.full_url, answer.code, answer.read().decode())
        return self.page

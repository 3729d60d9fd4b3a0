"""A visitor of the sandbox's pages: plain HTTP, no script, no cookies, redirects seen and not followed."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

GOOD = "4242 4242 4242 4242"
DECLINED = "4000 0000 0000 0002"
NO_FUNDS = "4000 0000 0000 9995"
ASKS_3DS = "4000 0025 0000 3155"
FAILS_WHEN_CHARGED = "4000 0000 0000 0341"
SHOP = "http://127.0.0.1:9"


def card(number: str = GOOD, **changes: str) -> dict[str, str]:
    """A filled card form."""
    return {"number": number, "expiry": "12 / 34", "cvc": "123", "name": "Alice Ahrens"} | changes


@dataclass
class Answer:
    """One response, and its document when it is HTML."""

    status: int
    headers: dict[str, str]
    body: bytes
    document: Document

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def text(self) -> str:
        return self.document.text


class Document(HTMLParser):
    """What a page says: its text, links, form fields and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of every such tag that has these attribute values."""
        return [has for name, has in self.tags if name == tag and attributes.items() <= has.items()]

    def field(self, name: str) -> dict[str, str]:
        """The attributes of the one input of this name."""
        (found,) = self.all("input", name=name)
        return found

    @property
    def links(self) -> list[str]:
        return [each["href"] for each in self.all("a") if "href" in each]


@dataclass
class Visitor:
    """Somebody with a browser at one address."""

    base: str
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, address: str, **headers: str) -> Answer:
        return self.send("GET", address, None, headers)

    def post(self, address: str, form: dict[str, Any] | None = None, **headers: str) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return self.send("POST", address, urlencode(form or {}), sent)

    def send(self, method: str, address: str, body: str | None, headers: dict[str, str]) -> Answer:
        """``address`` is a path, or a whole address on the sandbox."""
        parts = urlsplit(self.base)
        path = address.removeprefix(self.base)
        assert path.startswith("/"), f"{address} is not on {self.base}"
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in (self.headers | headers).items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        is_html = found.get("content-type", "").startswith("text/html")
        return Answer(response.status, found, raw, Document(raw.decode() if is_html else ""))

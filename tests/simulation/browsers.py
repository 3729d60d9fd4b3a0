"""Browsers at the portal, and what came by mail to whoever sits before them."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from werkzeug.test import Client, TestResponse

if TYPE_CHECKING:
    from tests.simulation.world import World

FINE = {200, 303, 302, 400, 403, 404, 409, 410, 422, 429, 503}
SIGNED_IN = (
    "insert into login_sessions (user_id, token_hash, user_agent, expires_at)"
    " values (%s, %s, 'Simulated browser', sim.now() + interval '1 day')"
)
CODE, PAY_LINK = re.compile(r"\b(\d{6})\b"), re.compile(r"/pay/[\w.-]+")


class Sitter(Protocol):
    """Whoever sits before a browser; ``is_led_to``: an address of somebody else's page, Stripe's."""

    name: str
    world: World

    def is_led_to(self, place: str) -> None: ...


class Forms(HTMLParser):
    """The fields of the forms of a page, by where the form leads, the first of each; of a choice what is chosen.

    ``found``: those that change something; ``asking``: those that only ask.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.asking: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._fields = {}
            kept = self.found if (given.get("method") or "").lower() == "post" else self.asking
            kept.setdefault(urlsplit(given.get("action") or "").path, self._fields)
        elif (
            tag in ("input", "button", "select", "textarea")
            and self._fields is not None
            and given.get("name")
        ):
            unchosen = given.get("type") in ("radio", "checkbox") and "checked" not in given
            if not unchosen:
                self._fields.setdefault(str(given["name"]), given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._fields = None


class Browser:
    """One browser. Nobody is signed in before ``sign_in``."""

    def __init__(self, sitter: Sitter) -> None:
        self._sitter, self._world = sitter, sitter.world
        self._client: Client = self._world.ground.app.test_client()

    def sign_in(self, user_id: int) -> Browser:
        """For one visit, since months may have passed since the last one: by the row that the sign-in page makes."""
        token = f"{self._world.chance.getrandbits(128):032x}"
        kept = hashlib.sha256(token.encode()).hexdigest()
        self._world.ground.raw.execute(SIGNED_IN, [user_id, kept])
        with self._client.session_transaction() as cookie:  # type: ignore[attr-defined]
            cookie["_user_id"], cookie["_fresh"] = token, True
        return self

    def get(self, path: str) -> TestResponse:
        return self._seen(f"GET {urlsplit(path).path}", self._client.get(path))

    def press(self, page: str, action: str, **fields: str) -> TestResponse | None:
        """Open the page, and send the form of it that leads to ``action``, if there is one. What it answered."""
        shown = self.get(page)
        form = Forms(shown.text).found.get(action) if shown.status_code == 200 else None
        return self.send(action or page, {**form, **fields}) if form is not None else None

    def send(self, action: str, form: dict[str, str]) -> TestResponse:
        answer = self._seen(f"POST {action}", self._client.post(action, data=form))
        self._sitter.is_led_to(answer.headers.get("Location", ""))
        return answer

    def _seen(self, what: str, answer: TestResponse) -> TestResponse:
        self._world.note(f"{self._sitter.name}: {what} {answer.status_code}")
        if answer.status_code not in FINE:
            self._world.fails(f"{what} answered {answer.status_code}")
        return answer


def said(world: World, address: str, what: re.Pattern[str]) -> str | None:
    """What the newest mail to this address says that says it: a code, or where an invoice can be paid."""
    for message in reversed(world.letters[address]):
        text: Any = message.get_payload(0)
        found = what.findall(text.get_payload(decode=True).decode())
        if found:
            return str(found[-1])
    return None

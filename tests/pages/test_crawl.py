"""Following every link there is: none leads nowhere, and looking changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from billing.extensions import db
from local.mailsink import MailSink
from tests.conftest import make_config
from tests.pages.standings import WAYS, bring_about
from tests.support import Databases, make_user, sign_in
from tests.walk import World, world
from tests.watching import all_rows

STARTS = ("/", "/signup", "/billing", "/no/such/page")
# Written when somebody is seen, which is not about what they looked at.
SEEN = ("last_seen_at", "expires_at")


class Ways(HTMLParser):
    """The links of a page, and how many links and buttons its main part has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.in_main = 0
        self._main = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") or ""
        if tag == "a" and not href.startswith(("mailto:", "#")):
            self.links.append(href)
        self._main = self._main or tag == "main"
        self.in_main += self._main and tag in ("a", "button")

    def handle_endtag(self, tag: str) -> None:
        self._main = self._main and tag != "main"


@pytest.fixture(scope="module")
def town(databases: Databases, mail_sink: MailSink) -> Iterator[World]:
    """A house with alice's story, an admin, and somebody in each standing."""
    with (
        databases.copy_of("dunlin_template") as url,
        world(make_config(url, smtp_port=mail_sink.port)) as found,
    ):
        for code in WAYS:
            bring_about(
                db.session(), make_user(db.session(), f"{code}@example.com", customer=f"cus_{code}"), code
            )
        yield found


@pytest.mark.parametrize("who", ["a stranger", "alice@example.com", "admin@example.com", *WAYS])
def test_no_link_leads_nowhere_no_page_is_a_dead_end_and_looking_changes_nothing(
    town: World, who: str
) -> None:
    client = town.app.test_client()
    if who != "a stranger":
        sign_in(
            client,
            db.session.query(_user()).filter_by(email=who if "@" in who else f"{who}@example.com").one(),
        )
    before = all_rows(db.session(), but=SEEN)
    # In a standing, what is different is the billing page and where it leads.
    starts = ("/billing",) if who in WAYS else STARTS
    waiting, seen, wrong = list(starts), set(starts), []
    while waiting:
        path = waiting.pop()
        answer = client.get(path, buffered=True)
        if answer.status_code in (301, 302, 303):
            found = [answer.location]
        elif answer.mimetype == "text/html":
            ways = Ways(answer.text)
            found = ways.links if who not in WAYS or path == "/billing" else []
            if answer.status_code != 200 and path not in STARTS and not _asks_stripe(path):
                wrong.append(f"{path} answers {answer.status_code}")
            if not ways.in_main:
                wrong.append(f"{path} is a dead end")
        for href in found:
            target = urlsplit(urljoin(path, href))
            there = target.path + (f"?{target.query}" if target.query else "")
            if target.netloc:
                wrong.append(f"{path} leads away to {href}")
            elif there not in seen:
                seen.add(there)
                waiting.append(there)
    after = all_rows(db.session(), but=SEEN)
    assert wrong == []
    assert {table for table in after if after[table] != before[table]} == set()


def _asks_stripe(path: str) -> bool:
    """Such a page has nothing to show without a Stripe, which nobody plays here."""
    return path.startswith("/billing/change/")


def _user() -> type:
    from billing.models import User

    return User

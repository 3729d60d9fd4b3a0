"""People at the desk of one module: their changes are asked for in this process, and Stripe is looked at instead of
waiting for its events. Cheap, so that many cases can be tried to the unit."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from flask import Flask

from billing import installation, money, refresh
from billing.extensions import db
from local.mailsink import MailSink
from tests.conftest import dispose, make_app, make_config, stock_of
from tests.registry import customer_of, perform
from tests.story import Shopper, config_of, shopper
from tests.support import Databases, Sandbox

HOUR = 3600
DAY = 24 * HOUR


@dataclass
class Counter:
    """The desk, and newcomers at it."""

    app: Flask
    people: int = field(default=0)

    def newcomer(self, plan: str | None = None, interval: str = "month", *, at: int | None = None) -> Shopper:
        """Somebody new, with a plan that was paid for, at the moment ``at`` (Unix seconds) where one is given."""
        self.people += 1
        person = shopper(self.app, f"quoted{self.people}@example.com")
        if at is not None:
            perform(customer_of(person))
            person.sandbox.control(f"customers/{person.customer}/advance", to=at)
        if plan is not None:
            assert person.pay(person.order(plan, interval)).status == 303
            look(person)
        return person


@contextmanager
def open_counter(databases: Databases, mail_sink: MailSink, sandbox: Sandbox) -> Iterator[Counter]:
    with databases.copy_of(stock_of(databases, sandbox)) as url:
        config = make_config(url, smtp_port=mail_sink.port, api_base=sandbox.url)
        app = make_app(config)
        with app.app_context():
            installation.record(db.session(), config, sandbox.account())
            db.session.commit()
            app.extensions["sandbox"] = sandbox
            yield Counter(app)
            sandbox.calm()
            db.session.remove()
            dispose()


def look(person: Shopper) -> None:
    """Bring the person's rows to what Stripe says."""
    refresh.person(db.session(), person.user, config_of(person.desk), "test")


def wait(person: Shopper, seconds: int) -> None:
    """Let time pass for this person alone."""
    now = person.sandbox.look(f"customers/{person.customer}/moments")["now"]
    until(person, now + seconds)


def until(person: Shopper, moment: int) -> None:
    person.sandbox.control(f"customers/{person.customer}/advance", to=moment)
    look(person)


def at_stripe(person: Shopper) -> Any:
    return person.sandbox.stripe.subscriptions.retrieve(person.row.stripe_id)


def text_of(page: str) -> str:
    """A page as people read it."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@dataclass
class Quoted:
    """A page that says what something costs, as somebody reads and sends it."""

    person: Shopper
    path: str
    text: str
    currency: str = "eur"

    @property
    def words(self) -> str:
        return text_of(self.text)

    @property
    def fields(self) -> dict[str, str]:
        names = "once|quote|interval|seats"
        return dict(re.findall(rf'<input type="hidden" name="({names})" value="([^"]*)"', self.text))

    def send(self, **other: str) -> Any:
        return self.person.post(self.path.partition("?")[0], **{**self.fields, **other})

    @property
    def parts(self) -> list[int]:
        """What today's payment is made of, in minor units."""
        return self._amounts(self.text.partition('class="total"')[0])

    @property
    def today(self) -> int:
        """What is paid today."""
        return self._amounts(self.text.partition('class="total"')[2])[0]

    def _amounts(self, text: str) -> list[int]:
        shown = re.findall(r'<dd class="amount">([^<]*)</dd>', text)
        return [self._minor(html.unescape(one)) for one in shown]

    def _minor(self, shown: str) -> int:
        value = Decimal(re.sub(r"[^0-9.-]", "", shown.replace("\u2212", "-")))
        return int(value.scaleb(money.decimals(self.currency)))

    def said(self, pattern: str) -> int | None:
        """The sum that a sentence names, in minor units; None where it doesn't say so."""
        found = re.search(pattern, self.words)
        return self._minor(found[1]) if found else None

    @property
    def then(self) -> int | None:
        return self.said(r"Then (\D{0,4}[\d,.]+) on ")

    @property
    def later(self) -> int | None:
        return self.said(r", and (\D{0,4}[\d,.]+) every (?:month|year) once your discount has ended")


def quoted(person: Shopper, path: str, currency: str = "eur") -> Quoted:
    page = person.get(path)
    assert page.status_code == 200, text_of(page.text)
    return Quoted(person, path, page.text, currency)


def charged(person: Shopper) -> int:
    """All that was ever taken from the person's card, in minor units."""
    paid = person.sandbox.stripe.charges.list({"customer": person.customer, "limit": 100})["data"]
    return sum(one["amount"] for one in paid if one["paid"])


def newest_invoice(person: Shopper) -> Any:
    """The newest invoice of the plan that speaks for the person."""
    of = {"subscription": person.row.stripe_id, "limit": 1}
    return person.sandbox.stripe.invoices.list(of)["data"][0]

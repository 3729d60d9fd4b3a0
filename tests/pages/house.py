"""One application in a real browser's reach, with a person for each standing and everybody else whom a page needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import BrowserContext
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from billing import access, accounts, catalogue, installation
from billing.extensions import db
from billing.models import CheckoutSession, User
from local.mailsink import MailSink
from local.ports import free_port
from tests import admin_rows as rows
from tests.conftest import dispose, make_app, make_config
from tests.doors import COOKIE, cookie_of
from tests.pages.standings import DAY, NOW, WAYS, bring_about
from tests.story import Shopper, catch_up, shopper
from tests.support import Databases, Sandbox, make_user, sign_in
from tests.walk import populate
from tests.watching import serving

Settings = frozenset[tuple[str, str]]
AS_IS: Settings = frozenset()
# What an operator chose otherwise than by default. A port where nobody answers is a Stripe that is away.
NO_STRIPE: Settings = frozenset({("STRIPE_API_BASE", "http://127.0.0.1:1")})
WITHDRAWAL: Settings = frozenset({("EU_WITHDRAWAL", "on")})
# How a Session can stand when its buyer comes back, and what the page then says.
ORDERS: dict[str, dict[str, Any]] = {
    "open": {"status": "open"},
    "processing": {"status": "complete", "payment_status": "unpaid"},
    "waiting": {"status": "complete", "payment_status": "paid", "created_at": NOW - DAY},
    "failed": {"status": "complete", "payment_status": "unpaid", "async_failed": True},
    "expired": {"status": "expired"},
}


@dataclass
class House:
    """``apps`` by the operator's settings, all on the same rows; ``values``: of addresses, as in ``tests.walk``."""

    app: Flask
    sandbox: Sandbox
    values: dict[str, str] = field(default_factory=dict)
    sign_up: int = 0
    apps: dict[Settings, tuple[Flask, str]] = field(default_factory=dict)
    subscriber: Shopper | None = None

    def url(self, settings: Settings = AS_IS) -> str:
        return self.apps[settings][1]

    def user(self, who: str) -> User:
        found = accounts.by_email(db.session(), address_of(who))
        assert found is not None, who
        return found

    def let_in(self, context: BrowserContext, who: str) -> None:
        """The browser is this person's from now on: signed in as the sign-in page would do it."""
        client = self.app.test_client()
        if who == "newcomer":
            with client.session_transaction() as session:
                session["signup"] = self.sign_up
        elif who != "stranger":
            sign_in(client, self.user(who))
        context.clear_cookies()
        if cookie_of(client):
            context.add_cookies([cookie_for(client, self.url())])


def cookie_for(client: FlaskClient, url: str) -> Any:
    """This client's cookie, for a real browser."""
    return {"name": COOKIE, "value": cookie_of(client), "url": url}


def address_of(who: str) -> str:
    return f"{who}@example.com"


@contextmanager
def house(databases: Databases, mails: MailSink, sandbox: Sandbox, wanted: set[Settings]) -> Iterator[House]:
    """It, with an application for each of the wanted settings. Its Stripe is the sandbox."""
    with databases.copy_of("dunlin_template") as database, ExitStack() as open_:
        mine = open_.enter_context(_served(database, mails, sandbox, AS_IS))
        with mine[0].app_context():
            found = House(mine[0], sandbox, apps={AS_IS: mine})
            config = mine[0].extensions["config"]
            installation.record(db.session(), config, sandbox.account())
            db.session.commit()
            catalogue.push(db.session(), mine[0].extensions["catalogue"])
            mine[0].extensions["sandbox"] = sandbox
            for settings in wanted - {AS_IS}:
                found.apps[settings] = open_.enter_context(_served(database, mails, sandbox, settings))
            _people(db.session(), found)
            yield found
            db.session.remove()
            dispose()


@contextmanager
def _served(
    database: str, mails: MailSink, sandbox: Sandbox, settings: Settings
) -> Iterator[tuple[Flask, str]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    endpoint, secret = sandbox.register_endpoint(f"{url}/webhooks/stripe")
    more = {"STRIPE_API_BASE": sandbox.url, **dict(settings)}
    config = make_config(database, smtp_port=mails.port, public_url=url, secret=secret, **more)
    app = make_app(config)
    app.add_url_rule("/fault", view_func=_fault)
    app.add_url_rule("/no-database", view_func=_no_database)
    with serving(app, port):
        yield app, url
    sandbox.remove_endpoint(endpoint)
    with app.app_context():
        dispose()


@access.public
def _fault() -> str:
    raise RuntimeError("a fault of ours, on purpose")


@access.public
def _no_database() -> str:
    raise OperationalError("select 1", {}, Exception("the database is away, on purpose"))


def _people(session: Session, house: House) -> None:
    house.values, house.sign_up = populate(session, house.app.extensions["config"])
    make_user(session, address_of("admin"), is_admin=True)
    for code in WAYS:
        bring_about(session, make_user(session, address_of(code), customer=f"cus_{code}"), code)
    for name, values in ORDERS.items():
        user = make_user(session, address_of(name), customer=f"cus_{name}")
        known = {"stripe_id": f"cs_{name}", "mode": "subscription", "item": "pro", "price_id": "p", **values}
        rows.add(session, CheckoutSession(user_id=user.id, **known))
    refusing = make_user(session, address_of("refusing"), customer="cus_refusing")
    refusing.mail_refused_at = NOW - 3 * DAY
    bring_about(session, refusing, "active")
    house.subscriber = shopper(house.app, address_of("subscriber"))
    house.subscriber.subscribe()
    catch_up(house.app)
    seated = shopper(house.app, address_of("seated"))
    seated.subscribe("team")
    house.values["invoice_id"] = house.subscriber.invoices[0].stripe_id
    session.rollback()  # nothing stays open while a browser is at work

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

from billing import access, accounts, addresses, catalogue, exports, installation
from billing.extensions import db
from billing.models import CheckoutSession, Deletion, Grant, StripeWrite, User
from local.mailsink import MailSink
from local.ports import free_port
from tests import admin_rows as rows
from tests.conftest import WEBHOOK_SECRET, dispose, make_app, make_config
from tests.doors import COOKIE, cookie_of
from tests.pages.standings import DAY, NOW, WAYS, bring_about
from tests.story import Shopper, catch_up, shopper
from tests.support import Databases, Sandbox, make_user, sign_in
from tests.walk import a_copy, populate, way_back
from tests.watching import serving

Settings = frozenset[tuple[str, str]]
AS_IS: Settings = frozenset()
# What an operator chose otherwise than by default. A port where nobody answers is a Stripe that is away.
NO_STRIPE: Settings = frozenset({("STRIPE_API_BASE", "http://127.0.0.1:1")})
WITHDRAWAL: Settings = frozenset({("EU_WITHDRAWAL", "yes")})
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
    # One of them is told what happens; to tell the others, on the same rows, would only be work.
    told = sandbox.register_endpoint(f"{url}/webhooks/stripe") if settings == AS_IS else None
    secret = told[1] if told else WEBHOOK_SECRET
    more = {"STRIPE_API_BASE": sandbox.url, **dict(settings)}
    config = make_config(database, smtp_port=mails.port, public_url=url, secret=secret, **more)
    app = make_app(config)
    app.add_url_rule("/fault", view_func=_fault)
    app.add_url_rule("/no-database", view_func=_no_database)
    with serving(app, port):
        yield app, url
    if told:
        sandbox.remove_endpoint(told[0])
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
    moving = make_user(session, address_of("moving"))
    addresses.ask(session, moving, "new-address@example.com", house.app.extensions["config"].secret_key)
    exports.ask(session, make_user(session, address_of("copying")).id)
    copied = make_user(session, address_of("copied"))
    house.values["over_id"] = str(a_copy(session, copied, state="expired", content=None).id)
    a_copy(session, copied)
    house.values["way_back_taken"] = way_back(session, moving, address_of("active"))
    for name, begun in (("leaving", None), ("going", NOW)):
        leaver = make_user(session, address_of(name))
        leaver.deletion_due_at = NOW + 7 * DAY
        rows.add(session, Deletion(user_id=leaver.id, due_at=leaver.deletion_due_at, begun_at=begun))
    house.subscriber = shopper(house.app, address_of("subscriber"))
    house.subscriber.subscribe()
    catch_up(house.app)
    seated = shopper(house.app, address_of("seated"))
    seated.subscribe("team")
    _purchases(session, house.subscriber.user)
    house.values["order_id"] = _asked_by_their_bank(session, house, house.subscriber.user)
    house.values["invoice_id"] = house.subscriber.invoices[0].stripe_id
    session.rollback()  # nothing stays open while a browser is at work


def _purchases(session: Session, user: User) -> None:
    """An order of which a part went back, and one with the saved card that nobody answered."""
    rows.payment(session, user, payment_intent="pi_order", amount_refunded=500, refunded_at=NOW)
    for kind, amount in (("granted", 100), ("taken_back", -33)):
        given = Grant(
            key=kind, user_id=user.id, kind=kind, feature="", amount=amount, payment_intent="pi_order"
        )
        rows.add(session, given)
    write = StripeWrite(
        name=f"order:{user.id}:a-form-sent-in-vain", operation="payment_intent.create", user_id=user.id
    )
    write.params, write.params_sha256, write.idempotency_key, write.state = "{}", "0", "vain", "in_flight"
    rows.add(session, write)


def _asked_by_their_bank(session: Session, house: House, user: User) -> str:
    """An order that waits for its bank, also at Stripe, which its page asks."""
    made = house.sandbox.stripe.payment_intents.create(
        {
            "amount": 1500,
            "currency": "eur",
            "customer": str(user.stripe_customer_id),
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": f"{house.url()}/orders/return",
            "metadata": {"plan": "credits-100", "credits": "100"},
        }
    )["id"]
    waits = {"status": "requires_action", "fulfilled_at": None}
    rows.payment(session, user, payment_intent=made, **waits)
    return str(made)

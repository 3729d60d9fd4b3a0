"""People who buy: their browser at the portal, their card at Stripe's pages, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from billing import facts, jobs, outbox
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import Invoice, Notice, StripeEvent, Subscription, User
from billing.standing import Standing
from tests import plain_http
from tests.snapshots import Moments
from tests.support import Sandbox, form_token, make_user, sign_in

GOOD = "4242424242424242"
DECLINED = "4000000000000002"
NO_FUNDS = "4000000000009995"
ASKS_3DS = "4000002500003155"
FAILS_LATER = "4000000000000341"
HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True)
class Answer:
    """What a page of Stripe answered; a redirect is seen, not followed."""

    status: int
    location: str
    text: str


def post_page(url: str, **form: str) -> Answer:
    """Send a form of one of Stripe's pages."""
    answer = plain_http.ask(
        "POST", url, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    return Answer(answer.status, answer.headers.get("Location", ""), answer.body.decode())


def card_form(number: str = GOOD) -> dict[str, str]:
    return {"number": number, "expiry": "12 / 34", "cvc": "123", "name": "Alice Ahrens"}


@dataclass
class Shopper:
    """A signed-in person. Their browser is a test client of the portal, and plain forms at Stripe's pages."""

    desk: Flask
    id: int
    email: str
    client: FlaskClient
    _csrf: str = field(default="", repr=False)

    @property
    def sandbox(self) -> Sandbox:
        found: Sandbox = self.desk.extensions["sandbox"]
        return found

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, **form: str) -> TestResponse:
        """Send a form of the portal."""
        self._csrf = self._csrf or form_token(self.client)
        return self.client.post(path, data={"csrf_token": self._csrf, **form})

    def order(self, plan: str = "pro", interval: str = "month", **more: str) -> str:
        """Press “Continue” on the check page; the id of the Checkout Session that the browser is sent to."""
        return session_of(self.post("/checkout", plan=plan, interval=interval, **more))

    def buy(self, product: str = "credits-100") -> str:
        return session_of(self.post(f"/buy/{product}"))

    def pay(self, session_id: str, number: str = GOOD) -> Answer:
        """Fill in the card on Stripe's Checkout page."""
        return post_page(f"{self.sandbox.url}/c/pay/{session_id}", **card_form(number))

    def subscribe(self, plan: str = "pro", interval: str = "month", number: str = GOOD) -> str:
        """The whole way: order, pay, and everything that follows applied. The Session's id."""
        session_id = self.order(plan, interval)
        assert self.pay(session_id, number).status == 303
        catch_up(self.desk)
        return session_id

    def has(self, plan: str = "pro", interval: str = "month", number: str = GOOD) -> str:
        """``subscribe``, at a desk that is brought back for each test, where nothing has happened but that this person
        came: the way is gone once. What was mailed on it is not mailed again. The Session's id."""
        moments: Moments = self.desk.extensions["moments"]
        assert (count(User), count(StripeEvent)) == (1, 0), "something else has happened, and would be lost"

        def prepare() -> tuple[int, str]:
            self.id = make_user(db.session(), self.email).id
            self.another_browser()
            return self.id, self.subscribe(plan, interval, number)

        self.id, session_id = moments.of(f"{self.email} {plan} {interval} {number}", prepare)
        self.another_browser()
        return session_id

    def another_browser(self) -> None:
        """Sign in, in a browser that has seen nothing yet."""
        self.client, self._csrf = self.desk.test_client(), ""
        sign_in(self.client, self.user)

    def advance(self, to: int | str = "next") -> int:
        """Let time pass for this customer alone, and apply what it brings. Returns Stripe's time then."""
        passed = self.sandbox.control(f"customers/{self.customer}/advance", to=to)
        catch_up(self.desk)
        return int(passed["now"])

    def advance_by(self, seconds: int) -> int:
        return self.advance(self.sandbox.look(f"customers/{self.customer}/moments")["now"] + seconds)

    def use_card(self, number: str) -> None:
        """Replace the card that renewals are charged to."""
        self.sandbox.control(f"customers/{self.customer}/card", number=number)

    @property
    def user(self) -> User:
        return fresh(User, self.id)

    @property
    def customer(self) -> str:
        return self.user.stripe_customer_id or ""

    @property
    def subscription(self) -> Subscription | None:
        db.session.rollback()
        return facts.subscription_of(db.session(), self.id)

    @property
    def row(self) -> Subscription:
        """The person's subscription, which must be there."""
        found = self.subscription
        assert found is not None, f"{self.email} has no subscription"
        return found

    @property
    def invoices(self) -> list[Invoice]:
        """Oldest first."""
        db.session.rollback()
        found = select(Invoice).where(Invoice.user_id == self.id).order_by(Invoice.created, Invoice.id)
        return list(db.session.execute(found).scalars())

    @property
    def standing(self) -> Standing:
        db.session.rollback()
        return facts.standing_of(db.session(), self.id, config_of(self.desk), now())

    def mails(self) -> list[str]:
        """The kinds of mail that this person was sent, in order."""
        db.session.rollback()
        sent = select(Notice.kind).where(Notice.user_id == self.id, Notice.state == "sent")
        return list(db.session.execute(sent.order_by(Notice.sent_at)).scalars())


def shopper(desk: Flask, email: str = "alice@example.com", **more: Any) -> Shopper:
    """A new person with a signed-in browser."""
    user = make_user(db.session(), email, **more)
    client = desk.test_client()
    sign_in(client, user)
    return Shopper(desk, user.id, email, client)


def session_of(answer: TestResponse) -> str:
    """The id of the Checkout Session whose page the browser is sent to."""
    assert answer.status_code == 303, answer.text
    return urlsplit(answer.location).path.rpartition("/")[2]


def fresh(model: Any, key: Any) -> Any:
    """A row as it is now, not as this session read it before."""
    db.session.rollback()
    return db.session.get(model, key, populate_existing=True)


def config_of(desk: Flask) -> Config:
    found: Config = desk.extensions["config"]
    return found


def catch_up(desk: Flask) -> None:
    """Deliver what Stripe owes us, apply all that is due, and send the mails: what worker and clock do."""
    sandbox: Sandbox = desk.extensions["sandbox"]
    sandbox.flush()
    apply_all()
    outbox.send_due(db.session(), config_of(desk))
    db.session.rollback()


def apply_all() -> None:
    """Apply every event that is due, in this thread."""
    while jobs.apply_due(db.session()):
        pass


def events(**is_: Any) -> list[StripeEvent]:
    """Rows of the inbox with these values, oldest first."""
    db.session.rollback()
    found = select(StripeEvent).filter_by(**is_).order_by(StripeEvent.received_at, StripeEvent.event_id)
    return list(db.session.execute(found).scalars())


def count(model: Any, **is_: Any) -> int:
    db.session.rollback()
    return int(db.session.execute(select(func.count()).select_from(model).filter_by(**is_)).scalar_one())

"""Every form is sent fifty times at once, from one tab, two tabs and other browsers, to the real web processes.

Nobody sees a fault of ours, and what the form asks for happens once, at Stripe and in our rows.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from billing import (
    accounts,
    addresses,
    bounces,
    catalogue,
    comps,
    exports,
    healing,
    installation,
    pay_links,
    refresh,
    writes,
)
from billing.clock import database_now
from billing.extensions import db
from billing.models import (
    AuditEntry,
    AuthToken,
    CheckoutSession,
    Comp,
    DataExport,
    Deletion,
    LoginSession,
    Notice,
    Payment,
    StripeEvent,
    StripeWrite,
    Subscription,
    SyncRun,
    User,
    Withdrawal,
)
from billing.portal import CHECKS
from local.mailsink import MailSink
from tests import oracles
from tests.conftest import dispose, make_app, make_config
from tests.counter import quoted
from tests.doors import COOKIE, code_in, cookie_of, subjects
from tests.draining import drain
from tests.histories import about
from tests.scene import AtDesk
from tests.served import Answer, Served, served
from tests.story import FAILS_LATER, Shopper, config_of, count, shopper
from tests.support import PASSWORD, Databases, Sandbox, csrf_of, make_user, sign_in
from tests.test_leaving import hidden
from tests.test_plan_change import charged, money, offer, today
from tests.walk import reset_secret, way_back
from tests.watching import all_rows

PRESSES = 50
TRIES = 5  # of the limits at the doors
NEW_PASSWORD = "four cold clear words"


@dataclass(frozen=True)
class Browser:
    """Somebody's browser that has opened a page with a form."""

    cookie: str
    token: str


@dataclass
class House:
    """The web processes on a port, the same application in this process for preparing, and the sandbox."""

    app: Flask
    web: Served
    sandbox: Sandbox
    mails: MailSink
    scene: AtDesk
    people: int = field(default=0)

    def newcomer(self, *, subscribed: bool = False, **more: Any) -> Shopper:
        self.people += 1
        found = shopper(self.app, f"person{self.people}@example.com", **more)
        if subscribed:
            assert found.pay(found.order()).status == 303
            refresh.person(db.session(), found.user, config_of(self.app), "test")
        return found

    def admin(self) -> Shopper:
        return self.newcomer(is_admin=True)

    def browsers(self, person: Shopper) -> list[Browser]:
        """One with two tabs, and five more."""
        clients = [person.client]
        for _ in range(5):
            client = self.app.test_client()
            sign_in(client, person.user)
            clients.append(client)
        return [opened(client) for client in clients]

    def done_at_stripe(self, operation: str, user_id: int) -> list[str]:
        """The keys of this person's writes that Stripe carried out, once for each time it did."""
        rows = db.session.query(StripeWrite).filter_by(operation=operation, user_id=user_id)
        keys = {row.idempotency_key for row in rows}
        return [
            one["idempotency_key"]
            for one in self.sandbox.look("requests?limit=2000")["requests"]
            if one["idempotency_key"] in keys and one["status"] == 200 and not one["replayed"]
        ]


def opened(client: FlaskClient, page: str = "/plans") -> Browser:
    token = csrf_of(client, page)
    return Browser(cookie_of(client), token)


@pytest.fixture(scope="module")
def house(
    databases: Databases,
    mail_sink: MailSink,
    sandbox_process: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    with databases.copy_of("dunlin_template") as url:
        config = make_config(url, smtp_port=mail_sink.port, api_base=sandbox_process.url, EU_WITHDRAWAL="yes")
        app = make_app(config)
        with app.app_context():
            installation.record(db.session(), config, sandbox_process.account())
            db.session.commit()
            catalogue.push(db.session(), app.extensions["catalogue"])
            app.extensions["sandbox"] = sandbox_process
            with served(config, tmp_path_factory.mktemp("web")) as web:
                yield House(app, web, sandbox_process, mail_sink, AtDesk(app, mail_sink))
            db.session.remove()
            dispose()


def press(house: House, path: str, browsers: list[Browser], **form: str) -> list[Answer]:
    """Half of the presses from the first browser, the others from the rest of them, all at the same moment."""
    rest = browsers[1:] or browsers
    chosen = [browsers[0] if number % 2 else rest[number // 2 % len(rest)] for number in range(PRESSES)]
    start, answers = threading.Barrier(PRESSES), []

    def send(browser: Browser) -> None:
        headers = {
            "Cookie": f"{COOKIE}={browser.cookie}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"csrf_token": browser.token, **form}).encode()
        start.wait(60)
        answers.append(house.web.ask("POST", path, body, headers))

    threads = [threading.Thread(target=send, args=(browser,)) for browser in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.rollback()
    assert len(answers) == PRESSES
    return answers


def statuses(answers: list[Answer]) -> set[int]:
    return {answer.status for answer in answers}


def places(answers: list[Answer]) -> set[str]:
    """Where those were led that were led on."""
    return {answer.headers["Location"] for answer in answers if answer.status == 303}


Case = Callable[[House], None]
CASES: dict[str, Case] = {}
# A page that asks Stripe may say that Stripe is slow: with fifty at once, it is.
SLOW = 503


def of(endpoint: str) -> Callable[[Case], Case]:
    def keep(case: Case) -> Case:
        CASES[endpoint] = case
        return case

    return keep


@of("auth.signup")
def _signup(house: House) -> None:
    email = "newcomer@example.com"
    strangers = [opened(house.app.test_client(), "/signup") for _ in range(6)]
    answers = press(house, "/signup", strangers, email=email, password=NEW_PASSWORD)
    assert Counter(answer.status for answer in answers) == {303: TRIES, 429: PRESSES - TRIES}
    assert count(AuthToken, kind="confirm", email=email) == count(Notice, kind="code") == TRIES
    assert count(User, email=email) == 0


@of("auth.confirm")
def _confirm(house: House) -> None:
    email, config = "confirmed@example.com", config_of(house.app)
    token = accounts.start_sign_up(db.session(), email, NEW_PASSWORD, None, config.secret_key)
    db.session.commit()
    client = house.app.test_client()
    with client.session_transaction() as cookie:
        cookie["signup"] = token.id
    browser = opened(client, "/signup/confirm")
    subjects(db.session(), config, house.mails, email)
    answers = press(house, "/signup/confirm", [browser], code=code_in(house.mails, email))
    assert Counter(answer.status for answer in answers) == {303: 1, 422: PRESSES - 1}
    [user] = db.session.query(User).filter_by(email=email)
    assert count(Notice, kind="welcome", user_id=user.id) == count(LoginSession, user_id=user.id) == 1


@of("auth.login")
def _login(house: House) -> None:
    user = make_user(db.session(), "returning@example.com")
    strangers = [opened(house.app.test_client(), "/login") for _ in range(6)]
    answers = press(house, "/login", strangers, email=user.email, password=PASSWORD)
    assert statuses(answers) <= {303, 429}
    assert places(answers) == {"/billing"}
    ways_in = sum(answer.status == 303 for answer in answers)
    assert count(LoginSession, user_id=user.id) == ways_in


@of("auth.logout")
def _logout(house: House) -> None:
    person = house.newcomer()
    mine, *others = house.browsers(person)
    answers = press(house, "/logout", [mine])
    assert statuses(answers) <= {303, 400}, "400: the token's session is gone with the first"
    assert count(LoginSession, user_id=person.id) == len(others)


@of("auth.reset")
def _reset(house: House) -> None:
    user = make_user(db.session(), "forgetful@example.com")
    strangers = [opened(house.app.test_client(), "/reset") for _ in range(6)]
    answers = press(house, "/reset", strangers, email=user.email)
    assert Counter(answer.status for answer in answers) == {200: TRIES, 429: PRESSES - TRIES}
    assert count(AuthToken, kind="reset", user_id=user.id) == TRIES
    assert count(AuthToken, kind="reset", user_id=user.id, used_at=None) == 1, "only the last link works"


@of("auth.reset_new")
def _reset_new(house: House) -> None:
    user = make_user(db.session(), "renewed@example.com")
    path = f"/reset/{reset_secret(db.session(), user)}"
    strangers = [opened(house.app.test_client(), path) for _ in range(2)]
    answers = press(house, path, strangers, new_password=NEW_PASSWORD)
    assert Counter(answer.status for answer in answers) == {303: 1, 410: PRESSES - 1}
    assert count(Notice, kind="pw_changed", user_id=user.id) == 1


@of("account.password")
def _password(house: House) -> None:
    person = house.newcomer()
    [mine] = house.browsers(person)[:1]
    form = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    answers = press(house, "/account/password", [mine], **form)
    assert Counter(answer.status for answer in answers) == {303: 1, 422: TRIES - 1, 429: PRESSES - TRIES}
    assert count(Notice, kind="pw_changed", user_id=person.id) == 1
    assert count(AuditEntry, kind="user.password", user_id=person.id) == 1


@of("account.sign_out_others")
def _sign_out_others(house: House) -> None:
    person = house.newcomer()
    mine = house.browsers(person)[0]
    assert statuses(press(house, "/account/signout-others", [mine])) == {303}
    assert count(LoginSession, user_id=person.id) == 1


@of("account.sign_out_one")
def _sign_out_one(house: House) -> None:
    person = house.newcomer()
    mine = house.browsers(person)[0]
    rows = accounts.open_sessions(db.session(), person.id)
    token = mine_of(house, person)
    other = next(row.id for row in rows if row.id != token)
    assert statuses(press(house, f"/account/sessions/{other}/signout", [mine])) == {303}
    assert count(LoginSession, user_id=person.id) == len(rows) - 1


def mine_of(house: House, person: Shopper) -> int:
    """The row of the browser that the person's own client is."""
    with person.client.session_transaction() as cookie:
        found = accounts.find_session(db.session(), cookie["_user_id"])
    assert found is not None
    return int(found[0].id)


@of("account.ask_for_a_copy")
def _ask_for_a_copy(house: House) -> None:
    person = house.newcomer()
    answers = press(house, "/account/export", house.browsers(person))
    assert Counter(answer.status for answer in answers) == {303: TRIES, 429: PRESSES - TRIES}
    assert count(DataExport, user_id=person.id) == 1
    assert exports.make_due(db.session()) == 1
    assert count(Notice, kind="export_ready", user_id=person.id) == 1


def asks(person: Shopper, email: str, house: House) -> str:
    """The person waits for this address's code."""
    addresses.ask(db.session(), person.user, email, config_of(house.app).secret_key)
    db.session.commit()
    found = db.session.query(Notice.secret).filter_by(kind="email_code", user_id=person.id)
    return str(found.order_by(Notice.id.desc()).limit(1).scalar())


@of("email_change.ask")
def _ask(house: House) -> None:
    person = house.newcomer()
    form = {"email": f"new-{person.email}", "current_password": PASSWORD}
    answers = press(house, "/account/email", house.browsers(person), **form)
    assert Counter(answer.status for answer in answers) == {303: TRIES, 429: PRESSES - TRIES}
    assert count(AuthToken, kind="email", user_id=person.id) == TRIES
    assert count(AuthToken, kind="email", user_id=person.id, used_at=None) == 1, "only the last code works"


@of("email_change.again")
def _again(house: House) -> None:
    person = house.newcomer()
    asks(person, f"new-{person.email}", house)
    answers = press(house, "/account/email/again", house.browsers(person))
    assert Counter(answer.status for answer in answers) == {303: TRIES, 429: PRESSES - TRIES}
    assert count(AuthToken, kind="email", user_id=person.id, used_at=None) == 1


@of("email_change.keep")
def _keep_address(house: House) -> None:
    person = house.newcomer()
    asks(person, f"new-{person.email}", house)
    assert statuses(press(house, "/account/email/keep", house.browsers(person))) == {303}
    assert count(AuthToken, kind="email", user_id=person.id, used_at=None) == 0


@of("email_change.confirm")
def _confirm_address(house: House) -> None:
    """Every browser of theirs sends the code; the one that is first stays signed in."""
    person = house.newcomer(customer=house.sandbox.stripe.customers.create({"email": "a@example.com"})["id"])
    email = f"new-{person.email}"
    code, browsers = asks(person, email, house), house.browsers(person)
    assert statuses(press(house, "/account/email/code", browsers, code=code)) <= {303, 400}
    assert (person.user.email, count(LoginSession, user_id=person.id)) == (email, 1)
    assert count(Notice, kind="email_changed", user_id=person.id) == 2
    assert count(AuditEntry, kind="user.email", user_id=person.id) == 1
    writes.finish_open(db.session(), older_than=timedelta())
    assert len(house.done_at_stripe("customer.update", person.id)) == 1
    assert house.sandbox.stripe.customers.retrieve(person.customer)["email"] == email


@of("email_change.undo")
def _undo_address(house: House) -> None:
    person = house.newcomer()
    path = f"/account/email/undo/{way_back(db.session(), person.user, f'old-{person.email}')}"
    strangers = [opened(house.app.test_client(), path) for _ in range(2)]
    answers = press(house, path, strangers)
    assert Counter(answer.status for answer in answers) == {303: 1, 410: PRESSES - 1}
    assert person.user.email == f"old-{person.email}"
    assert count(Notice, kind="email_undone", user_id=person.id) == 2


def one_session(house: House, person: Shopper, answers: list[Answer]) -> None:
    """Whoever was led on was led to the same page of Stripe; there is one customer and one Session."""
    assert statuses(answers) <= {303, SLOW}
    writes.finish_open(db.session())
    [url] = places(answers)
    listed = house.sandbox.stripe.checkout.sessions.list({"customer": person.customer})["data"]
    assert [one["url"] for one in listed] == [url]
    assert count(CheckoutSession, user_id=person.id) == 1
    for operation in ("customer.create", "checkout.session.create"):
        assert len(house.done_at_stripe(operation, person.id)) == 1
        assert count(StripeWrite, operation=operation, user_id=person.id, state="done") == 1


@of("orders.start_subscription")
def _order(house: House) -> None:
    person = house.newcomer()
    answers = press(house, "/checkout", house.browsers(person), plan="pro", interval="month")
    one_session(house, person, answers)


@of("shop.buy")
def _buy(house: House) -> None:
    person = house.newcomer()
    one_session(house, person, press(house, "/buy/credits-100", house.browsers(person)))


@of("shop.pay")
def _pay(house: House) -> None:
    """One form, sent from everywhere: one payment."""
    person = house.newcomer(subscribed=True)
    fields = hidden(
        person.get("/buy/credits-100").text.partition("Pay another way")[0].rpartition("<form")[0]
    )
    answers = press(house, "/buy/credits-100/card", house.browsers(person), **fields)
    assert statuses(answers) <= {303, SLOW}
    writes.finish_open(db.session())
    assert len(house.done_at_stripe("payment_intent.create", person.id)) == 1
    assert person.get(f"/orders/{fields['once']}").status_code == 200
    assert count(Payment, user_id=person.id, status="succeeded") == 1


@of("purchases.confirm")
def _confirm_purchase(house: House) -> None:
    """It leads to the bank's page, and charges nothing by itself."""
    person = house.newcomer(subscribed=True)
    fields = hidden(
        person.get("/buy/credits-100").text.partition("Pay another way")[0].rpartition("<form")[0]
    )
    order = person.post("/buy/credits-100/card", **fields).location
    assert statuses(press(house, f"{order}/confirm", house.browsers(person))) <= {303, SLOW}
    assert len(house.done_at_stripe("payment_intent.create", person.id)) == 1


@of("portal.open_portal")
def _portal(house: House) -> None:
    """Each click has a link of its own; none changes anything."""
    person = house.newcomer(subscribed=True)
    before = all_rows(db.session())["subscriptions"]
    answers = press(house, "/billing/portal/home", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    led = [answer for answer in answers if answer.status == 303]
    assert len(led) == len(places(answers)) > 0
    done = house.done_at_stripe("billing_portal.session.create", person.id)
    assert len(done) == len(set(done)) >= len(led)
    assert all_rows(db.session())["subscriptions"] == before


@of("portal.check_again")
def _check(house: House) -> None:
    person = house.newcomer(subscribed=True)
    mails = count(Notice, user_id=person.id)
    answers = press(house, "/billing/check", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    assert count(StripeEvent, source="customer", user_id=person.id) <= CHECKS
    assert (count(Subscription, user_id=person.id), count(Notice, user_id=person.id)) == (1, mails)


@of("canceling.resume")
def _resume(house: House) -> None:
    person = house.newcomer(subscribed=True)
    house.sandbox.stripe.subscriptions.update(person.row.stripe_id, {"cancel_at_period_end": True})
    refresh.person(db.session(), person.user, config_of(house.app), "test")
    answers = press(house, "/billing/resume", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    assert len(house.done_at_stripe("subscription.update", person.id)) == 1
    assert count(StripeWrite, operation="subscription.update", user_id=person.id) == 1
    stripe_id = person.row.stripe_id
    assert house.sandbox.stripe.subscriptions.retrieve(stripe_id)["cancel_at_period_end"] is False


@of("canceling.cancel")
def _cancel(house: House) -> None:
    person = house.newcomer(subscribed=True)
    fields = hidden(person.get("/billing/cancel").text)
    answers = press(house, "/billing/cancel", house.browsers(person), reason="unused", **fields)
    assert statuses(answers) <= {303, SLOW}
    writes.finish_open(db.session())
    assert len(house.done_at_stripe("subscription.update", person.id)) == 1
    stripe_id = person.row.stripe_id
    assert house.sandbox.stripe.subscriptions.retrieve(stripe_id)["cancel_at_period_end"] is True


@of("pausing.pause")
def _pause(house: House) -> None:
    person = house.newcomer(subscribed=True)
    fields = hidden(person.get("/billing/pause").text)
    answers = press(house, "/billing/pause", house.browsers(person), months="2", **fields)
    assert statuses(answers) <= {303, 409, SLOW}
    writes.finish_open(db.session())
    assert len(house.done_at_stripe("subscription.pause", person.id)) == 1
    assert subscription_at_stripe(house, person)["status"] == "paused"


@of("pausing.unpause")
def _unpause(house: House) -> None:
    """What was left of the paid time pays a part of the new month; the difference is charged once."""
    person = house.newcomer(subscribed=True)
    person.post("/billing/pause", months="1", **hidden(person.get("/billing/pause").text))
    paid, fields = charged(person), hidden(person.get("/billing/unpause").text)
    answers = press(house, "/billing/unpause", house.browsers(person), **fields)
    assert statuses(answers) <= {303, SLOW}
    writes.finish_open(db.session())
    assert len(house.done_at_stripe("subscription.resume", person.id)) == 1
    assert subscription_at_stripe(house, person)["status"] == "active"
    assert charged(person) - paid < 2900


@of("new_card.change")
def _card(house: House) -> None:
    person = house.newcomer(subscribed=True)
    answers = press(house, "/billing/card", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    led = [answer for answer in answers if answer.status == 303]
    assert len(led) == len(places(answers)) > 0


def subscription_at_stripe(house: House, person: Shopper) -> Any:
    return house.sandbox.stripe.subscriptions.retrieve(person.row.stripe_id, {"expand": ["schedule"]})


@of("switching.change")
def _change(house: House) -> None:
    """One form in every tab, then as many forms as there are browsers: the difference is charged once."""
    person = house.newcomer(subscribed=True)
    page, paid = offer(person, "team"), charged(person)
    answers = press(house, "/billing/change/team", house.browsers(person), **page.fields)
    assert statuses(answers) <= {303, 409, 422, SLOW}
    writes.finish_open(db.session())
    assert money(charged(person) - paid) == today(page.words)
    assert len(house.done_at_stripe("subscription.update", person.id)) == 1
    assert subscription_at_stripe(house, person)["items"]["data"][0]["price"]["unit_amount"] == 7900


@of("switching.undo")
def _stay(house: House) -> None:
    person = house.newcomer(subscribed=True)
    offer(person, "basic").send()
    assert person.standing.code == "changing"
    answers = press(house, "/billing/stay", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    writes.finish_open(db.session())
    assert len(house.done_at_stripe("subscription_schedule.release", person.id)) == 1
    assert subscription_at_stripe(house, person)["schedule"] is None


@of("seats.change")
def _seats(house: House) -> None:
    """Pages that were opened for the same number, pressed from everywhere: the seats are paid for once."""
    person = house.newcomer()
    assert person.pay(person.order("team")).status == 303
    refresh.person(db.session(), person.user, config_of(house.app), "test")
    page = quoted(person, "/billing/seats?seats=4")
    answers = press(house, "/billing/seats", house.browsers(person), **page.fields)
    assert statuses(answers) <= {303, 409, 422, SLOW}
    writes.finish_open(db.session())
    assert len(house.done_at_stripe("subscription.update", person.id)) == 1
    assert subscription_at_stripe(house, person)["items"]["data"][0]["quantity"] == 4


@of("withdrawing.withdraw")
def _withdraw(house: House) -> None:
    person = house.newcomer(subscribed=True)
    form = {"name": "Alice Ahrens", "email": person.email}
    answers = press(house, "/billing/withdraw", house.browsers(person), **form)
    assert statuses(answers) <= {200, 303, SLOW}
    writes.finish_open(db.session())
    assert count(StripeWrite, operation="subscription.cancel", user_id=person.id, state="done") == 1
    assert (count(Withdrawal, user_id=person.id), count(Notice, user_id=person.id, kind="withdrawn")) == (
        1,
        1,
    )
    assert subscription_at_stripe(house, person)["status"] == "canceled"


def led_to_stripe(house: House, page: str) -> None:
    person = house.newcomer(subscribed=True)
    before = all_rows(db.session())
    answers = press(house, f"/invoices/{person.invoices[0].stripe_id}/{page}", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    assert len(places(answers)) == 1
    after = all_rows(db.session())
    assert {name for name in after if after[name] != before[name]} <= {"login_sessions"}


@of("receipts.open_invoice")
def _invoice(house: House) -> None:
    led_to_stripe(house, "open")


@of("receipts.pdf")
def _pdf(house: House) -> None:
    led_to_stripe(house, "pdf")


@of("paying.pay")
def _pay_by_a_link(house: House) -> None:
    """Twenty a quarter of an hour are led to Stripe's page of the invoice, whoever has the link."""
    person = house.newcomer(subscribed=True)
    person.use_card(FAILS_LATER)
    end = int((person.row.current_period_end or person.row.created).timestamp())
    house.sandbox.control(f"customers/{person.customer}/advance", to=end + 3700)
    refresh.person(db.session(), person.user, config_of(house.app), "test")
    bill, charges = person.invoices[-1].stripe_id, len(house.sandbox.look("ledger")["charges"])
    path = pay_links.path(bill, database_now(db.session()))
    answers = press(house, path, [opened(house.app.test_client(), "/login") for _ in range(6)])
    assert statuses(answers) <= {303, 429, SLOW}
    hosted = house.sandbox.stripe.invoices.retrieve(bill)["hosted_invoice_url"]
    assert {one.headers["Location"] for one in answers if one.status == 303} == {hosted}
    assert len(house.sandbox.look("ledger")["charges"]) == charges


def newest_event(person: Shopper) -> str:
    found = db.session.query(StripeEvent).filter_by(user_id=person.id, state=StripeEvent.APPLIED)
    return str(found.order_by(StripeEvent.received_at.desc())[0].event_id)


@of("admin.run")
def _run(house: House) -> None:
    person, admin = house.newcomer(subscribed=True), house.admin()
    event_id, mails = newest_event(person), count(Notice, user_id=person.id)
    money = {
        name: all_rows(db.session(), but=("fetch_no", "fetched_at"))[name]
        for name in ("invoices", "payments")
    }
    answers = press(house, f"/admin/events/{event_id}/run", house.browsers(admin))
    assert statuses(answers) <= {303, SLOW}
    assert count(Notice, user_id=person.id) == mails
    rows = all_rows(db.session(), but=("fetch_no", "fetched_at"))
    assert {name: rows[name] for name in money} == money
    assert count(Subscription, user_id=person.id, status="active") == 1


@of("admin.rehearse")
def _rehearse(house: House) -> None:
    person, admin = house.newcomer(subscribed=True), house.admin()
    browsers, event_id = house.browsers(admin), newest_event(person)
    before = all_rows(db.session())
    answers = press(house, f"/admin/events/{event_id}/rehearse", browsers)
    assert statuses(answers) <= {200, 303, SLOW}
    after = all_rows(db.session())
    assert {name for name in after if after[name] != before[name]} <= {"leases", "login_sessions"}


@of("admin.sync")
def _sync(house: House) -> None:
    person, admin = house.newcomer(subscribed=True), house.admin()
    mails = count(Notice, user_id=person.id)
    answers = press(house, f"/admin/subscribers/{person.id}/sync", house.browsers(admin))
    assert statuses(answers) <= {303, SLOW}
    assert (count(Subscription, user_id=person.id), count(Notice, user_id=person.id)) == (1, mails)


@of("deleting.delete")
def _delete_account(house: House) -> None:
    """Whoever comes after the first is led to what is so; other browsers are signed out."""
    person = house.newcomer(subscribed=True)
    answers = press(
        house, "/account/delete", house.browsers(person)[:1], current_password=PASSWORD, word="DELETE"
    )
    assert statuses(answers) <= {303, 429, SLOW}
    assert places(answers) == {"/account/keep"}
    writes.finish_open(db.session())
    assert count(Deletion, user_id=person.id) == count(Notice, kind="delete_asked", user_id=person.id) == 1
    assert len(house.done_at_stripe("subscription.update", person.id)) == 1
    assert subscription_at_stripe(house, person)["cancel_at_period_end"] is True


@of("deleting.keep")
def _keep_account(house: House) -> None:
    person = house.newcomer(subscribed=True)
    person.post("/account/delete", current_password=PASSWORD, word="DELETE")
    answers = press(house, "/account/keep", house.browsers(person))
    assert statuses(answers) <= {303, SLOW}
    writes.finish_open(db.session())
    assert count(Notice, kind="delete_undone", user_id=person.id) == 1
    assert len(house.done_at_stripe("subscription.update", person.id)) == 2
    assert subscription_at_stripe(house, person)["cancel_at_period_end"] is False


def refuses_mail(person: Shopper) -> None:
    bounces.refused(db.session(), person.email)
    db.session.commit()


@of("account.mail")
def _mail(house: House) -> None:
    person = house.newcomer()
    refuses_mail(person)
    answers = press(house, "/account/mail", house.browsers(person))
    assert Counter(answer.status for answer in answers) == {303: TRIES, 429: PRESSES - TRIES}
    assert person.user.mail_refused_at is None
    assert count(AuditEntry, kind="mail.try_again", user_id=person.id) == 1


@of("account.language_and_days")
def _language_and_days(house: House) -> None:
    person = house.newcomer()
    answers = press(house, "/account/language", house.browsers(person), locale="de", time_zone="Asia/Tokyo")
    assert statuses(answers) == {303}
    assert (person.user.locale, person.user.time_zone) == ("de", "Asia/Tokyo")


@of("locales.choose")
def _choose_language(house: House) -> None:
    strangers = [opened(house.app.test_client(), "/login") for _ in range(6)]
    assert statuses(press(house, "/language", strangers, locale="de")) == {303}


@of("admin.try_mail")
def _try_mail(house: House) -> None:
    person = house.newcomer()
    refuses_mail(person)
    answers = press(house, f"/admin/subscribers/{person.id}/mail", house.browsers(house.admin()))
    assert statuses(answers) == {303}
    assert person.user.mail_refused_at is None
    assert count(AuditEntry, kind="mail.try_again", user_id=person.id) == 1


@of("admin.give_comp")
def _give_comp(house: House) -> None:
    person, admin = house.newcomer(), house.admin()
    path = f"/admin/subscribers/{person.id}/comp"
    until = f"{database_now(db.session()) + timedelta(days=9):%Y-%m-%d}"
    form = {"plan": "pro", "until": until, "reason": "press", "seen": "0"}
    assert statuses(press(house, path, house.browsers(admin), **form)) == {303, 409}
    assert count(Comp, user_id=person.id) == count(AuditEntry, kind="comp.given", user_id=person.id) == 1


@of("admin.end_comp")
def _end_comp(house: House) -> None:
    person, admin = house.newcomer(), house.admin()
    until = database_now(db.session()) + timedelta(days=9)
    given = comps.give(db.session(), person.id, "pro", until, reason="press", admin=admin.id, seen=0)
    db.session.commit()
    path, seen = f"/admin/subscribers/{person.id}/comp/end", str(given.id)
    assert statuses(press(house, path, house.browsers(admin), reason="over", seen=seen)) == {303, 409}
    assert count(Comp, user_id=person.id, ended_at=None) == 0
    assert count(AuditEntry, kind="comp.taken_back", user_id=person.id) == 1


@of("admin.give_refund")
def _give_refund(house: House) -> None:
    """One page, pressed from everywhere: what it said goes back once."""
    person, admin = house.newcomer(subscribed=True), house.admin()
    intent = person.invoices[0].payment_intent or ""
    path = f"/admin/payments/{intent}/refund"
    form = {"amount": "5.00", "reason": "duplicate", "note": "press", "seen": "0", "once": "f" * 22}
    answers = press(house, path, house.browsers(admin), **form)
    assert statuses(answers) <= {303, 409, 503}
    writes.finish_open(db.session())
    assert [
        one["amount"] for one in house.sandbox.stripe.refunds.list({"payment_intent": intent})["data"]
    ] == [500]
    assert count(AuditEntry, kind="refund.asked", user_id=person.id) == 1


@of("admin.ask_reconciler")
def _reconcile(house: House) -> None:
    answers = press(house, "/admin/reconciler", house.browsers(house.admin()))
    assert statuses(answers) == {303}
    assert count(SyncRun, started_at=None) == 1, "one that waits is enough"


@of("webhooks.receive")
def _webhook(house: House) -> None:
    person = house.newcomer(subscribed=True)
    event = about(person, person.row.stripe_id)
    body, start, answers = json.dumps(event).encode(), threading.Barrier(PRESSES), []

    def send() -> None:
        start.wait(60)
        answers.append(house.web.deliver(body).status)

    threads = [threading.Thread(target=send) for _ in range(PRESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {200: PRESSES}
    assert count(StripeEvent, event_id=event["id"]) == 1


def test_every_form_there_is_has_a_case_here(house: House) -> None:
    forms = {rule.endpoint for rule in house.app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    assert set(CASES) == forms, "say what fifty presses of the new form may do"


@pytest.mark.parametrize("endpoint", CASES)
def test_fifty_presses_at_once_are_one_effect_and_no_fault(house: House, endpoint: str) -> None:
    CASES[endpoint](house)


def test_after_all_of_that_every_oracle_is_content(house: House) -> None:
    """Nobody delivered an event here: what came of the presses, and of the writes that they left, is heard of by the
    reconciler."""
    for _ in range(2):
        healing.make(db.session(), config_of(house.app), "operator", full=True)
        drain(house.app)
    house.scene.ask(oracles.ALL)

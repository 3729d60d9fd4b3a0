"""What people who pay suffer elsewhere, and not here: paid and locked out, charged twice, told twice, told nothing.

Each is a story at Stripe that is heard of late, twice, in disorder or not at all.
"""

from __future__ import annotations

import html
import random
import threading
from collections.abc import Callable, Iterator
from itertools import permutations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from billing import healing
from billing.extensions import db
from billing.models import AuditEntry, Invoice, Payment, StripeEvent, Subscription
from billing.payloads import Object
from billing.words import day
from tests.histories import History, everything, forget, later
from tests.seen import charges, delivered, may_enter, reads, running
from tests.story import (
    FAILS_LATER,
    HOUR,
    Shopper,
    apply_all,
    catch_up,
    config_of,
    count,
    events,
    post_page,
    session_of,
    shopper,
)
from tests.support import csrf_of, make_user, sign_in
from tests.watching import Lines


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


@pytest.fixture
def as_before_basil(alice: Shopper) -> Iterator[Shopper]:
    """Checkout makes the plan incomplete and then active, in one second."""
    alice.sandbox.control("settings", checkout_subscription="legacy")
    yield alice
    alice.sandbox.control("settings", checkout_subscription="after_payment")


def said(answer: TestResponse) -> str:
    """What a page says."""
    return html.unescape(answer.text)


# 1: out of order


def test_nobody_who_paid_is_locked_out_because_old_news_came_last(as_before_basil: Shopper) -> None:
    alice = as_before_basil
    history = History(alice.desk)
    assert alice.pay(alice.order()).status == 303
    news = history.news()
    made, paid = (
        next(one for one in news if one["type"] == f"customer.subscription.{kind}")
        for kind in ("created", "updated")
    )
    paid["created"] = made["created"]  # of one second, as they mostly are: told apart by nothing
    assert [one["data"]["object"]["status"] for one in (made, paid)] == ["incomplete", "active"]
    for order in (news, news[::-1], [paid, made], [made, paid, made]):
        forget()
        assert set(delivered(alice.desk, order)) == {200}
        assert may_enter(alice)
        assert "You’re on Pro." in reads(alice)
    assert charges(alice) == [2900]


def test_nobody_who_left_gets_in_again_because_old_news_came_last(alice: Shopper) -> None:
    history = History(alice.desk)
    assert alice.pay(alice.order()).status == 303
    before = history.news()
    [plan] = running(alice)
    alice.sandbox.stripe.subscriptions.update(plan, {"metadata": {"seat": "7"}})
    alice.sandbox.stripe.subscriptions.cancel(plan)
    kinds = ("customer.subscription.created", "customer.subscription.updated", "invoice.paid",
             "checkout.session.completed", "customer.subscription.deleted")  # fmt: skip
    by_kind = {one["type"]: one for one in [*before, *history.news()]}
    for order in random.Random(1).sample(list(permutations(kinds)), 6):
        forget()
        assert set(delivered(alice.desk, [by_kind[kind] for kind in order])) == {200}
        assert not may_enter(alice)
        assert "Your Pro plan ended on" in reads(alice)
        assert alice.row.status == "canceled"


# 2: at the same moment


def at_once(desk: Flask, *acts: Callable[[], object]) -> list[object]:
    """Everybody at the same moment, each in a context of their own; what each of them came to."""
    start, came_to = threading.Barrier(len(acts)), dict[int, object]()

    def act(number: int, what: Callable[[], object]) -> None:
        with desk.app_context():
            start.wait(60)
            try:
                came_to[number] = what()
            finally:
                db.session.remove()

    threads = [threading.Thread(target=act, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [came_to.get(number, "nothing") for number in range(len(acts))]


def tab_of(person: Shopper) -> FlaskClient:
    """Another tab of the person's browser."""
    cookie = person.client.get_cookie("dunlin")
    assert cookie is not None
    tab = person.desk.test_client()
    tab.set_cookie("dunlin", cookie.value)
    return tab


def test_coming_back_at_the_very_moment_of_the_webhooks_makes_one_plan_one_bill_and_one_receipt(
    desk: Flask, alice: Shopper
) -> None:
    history = History(desk)
    session_id = alice.order()
    assert alice.pay(session_id).status == 303
    news = history.news()
    back = f"/checkout/return?session_id={session_id}"
    pages = [lambda tab=tab_of(alice): tab.get(back).status_code for _ in range(3)]
    told: list[list[int]] = []

    def tell(order: list[Object]) -> None:
        half = len(order) // 2
        answers = []
        try:
            answers += delivered(desk, order[:half], apply=False)
            everything(alice)
            answers += delivered(desk, order[half:], apply=False)
        finally:
            told.append(answers)

    def work() -> None:
        while len(told) < 2:
            apply_all()

    with Lines() as logged:
        came_to = at_once(desk, *pages, lambda: tell(news), lambda: tell(news[::-1]), work, work)
    assert came_to == [*[200] * 3, *[None] * 4]
    assert told == [[200] * len(news)] * 2
    assert "event not applied" not in logged.text
    later(2)
    catch_up(desk)
    assert "You’re on Pro." in reads(alice, back)
    assert (count(Subscription), count(Invoice), alice.mails()) == (1, 1, ["receipt"])
    assert {one.state for one in events()} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}
    assert charges(alice) == [2900]


# 3: charged twice


def press(tab: FlaskClient, **form: str) -> TestResponse:
    return tab.post("/checkout", data={"csrf_token": csrf_of(tab), **form})


def test_nobody_is_charged_twice_for_two_tabs(desk: Flask, alice: Shopper) -> None:
    """Pay in one, then in the other, whose page was open all the time; and begin anew while no webhook has come."""
    other = tab_of(alice)
    month, year = {"plan": "pro", "interval": "month"}, {"plan": "pro", "interval": "year"}
    first = session_of(press(alice.client, **month))
    second = session_of(press(other, **year))
    alice.pay(first)
    assert charges(alice) == [], "the older page is closed as soon as there is a newer one"
    assert session_of(press(alice.client, **year)) == second, "both tabs lead to one page"
    alice.sandbox.control("trouble", delivery="hold")
    for _ in range(2):
        alice.pay(second)
    for tab, form in ((alice.client, month), (other, year)):
        assert "You already have Pro." in said(press(tab, **form)), (
            "a plan that no webhook told of yet is not sold again"
        )
    assert charges(alice) == [29000]
    alice.sandbox.calm()
    catch_up(desk)
    assert (len(running(alice)), alice.mails()) == (1, ["receipt"])


LATE = {
    "past due": lambda alice: [alice.use_card(FAILS_LATER), *(alice.advance() for _ in range(4))],
    "set to end": lambda alice: cancel_in_portal(alice),
    "its collection paused": lambda alice: alice.sandbox.stripe.subscriptions.update(
        alice.row.stripe_id, {"pause_collection": {"behavior": "void"}}
    ),
}


@pytest.mark.parametrize("state", LATE)
def test_nobody_is_sold_a_second_plan_beside_one_that_is_not_over(
    desk: Flask, alice: Shopper, state: str
) -> None:
    alice.has()
    LATE[state](alice)
    for known in (False, True):
        stopped = press(alice.client, plan="pro", interval="year")
        assert (stopped.status_code, "You already have Pro." in said(stopped)) == (409, True)
        if not known:
            catch_up(desk)
    assert (len(running(alice)), charges(alice)) == (1, [2900])


# 4: told twice


def test_nobody_gets_two_receipts_or_two_credits_for_one_payment(desk: Flask, alice: Shopper) -> None:
    """Stripe delivers twice; two events tell of one fact; an operator replays; months later it comes again."""
    history = History(desk)
    for choose in (alice.order, alice.buy):
        assert alice.pay(choose()).status == 303
    news = history.news()
    kinds = [one["type"] for one in news]
    assert {"invoice.paid", "invoice.payment_succeeded", "payment_intent.succeeded"} <= set(kinds)
    for order in (news, news, news[::-1]):
        assert set(delivered(desk, order)) == {200}
        catch_up(desk)
    db.session.execute(text("update stripe_events set received_at = received_at - interval '40 days'"))
    db.session.commit()
    assert set(delivered(desk, news)) == {200}
    catch_up(desk)
    assert sorted(alice.mails()) == ["one_off_receipt", "receipt"]
    assert (count(Payment), count(Invoice), count(StripeEvent)) == (1, 1, len(news))
    page = reads(alice, "/invoices")
    assert (page.count("1 × Pro"), page.count("100 credits")) == (1, 1)


# 5: hidden failures


def test_a_payment_that_we_failed_to_write_down_is_seen_tried_again_and_never_called_done(
    desk: Flask, alice: Shopper
) -> None:
    """The table refuses the row, as a bug of ours would have it. Stripe is told that we have the event, which is so;
    a second delivery of it must not pass for done."""
    admin = make_user(db.session(), "ada@example.com", is_admin=True)
    browser = desk.test_client()
    sign_in(browser, admin)
    history = History(desk)
    assert alice.pay(alice.order()).status == 303
    news = [one for one in history.news() if one["type"] == "invoice.paid"]
    db.session.execute(text("alter table subscriptions add constraint refused check (status = 'x')"))
    db.session.commit()
    for _ in range(2):
        assert delivered(desk, news) == [200]
        [event] = events(event_id=news[0]["id"])
        assert (event.state, event.attempts, event.reason) == (StripeEvent.PENDING, 1, "IntegrityError")
        page = browser.get("/admin/events").text
        assert "Trying again" in page
        assert "IntegrityError" in page
    assert not may_enter(alice)
    db.session.execute(text("alter table subscriptions drop constraint refused"))
    db.session.commit()
    later(5)
    catch_up(desk)
    [event] = events(event_id=news[0]["id"])
    assert (event.state, event.attempts, event.reason) == (StripeEvent.APPLIED, 2, None)
    assert (may_enter(alice), alice.mails()) == (True, ["receipt"])


# 6: drift


def test_nobody_who_paid_waits_for_access_longer_than_the_next_pass(desk: Flask, alice: Shopper) -> None:
    """No webhook comes for a day: one pays, one leaves. Each pass says what it found, and the second finds nothing."""
    bob = shopper(desk, "bob@example.com")
    bob.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    session_id = alice.order()
    assert alice.pay(session_id).status == 303
    alice.sandbox.stripe.subscriptions.cancel(bob.row.stripe_id)
    back = f"/checkout/return?session_id={session_id}"
    alice.sandbox.control("trouble", api="error_500")
    assert "We’re confirming your payment." in reads(alice, back)
    alice.sandbox.control("trouble", api="normal")
    assert (may_enter(alice), may_enter(bob)) == (False, True)
    run = healing.make(db.session(), config_of(desk), "operator")
    catch_up(desk)
    assert (may_enter(alice), may_enter(bob)) == (True, False)
    assert "You’re on Pro." in reads(alice, back)
    assert (alice.mails(), bob.mails()) == (["receipt"], ["receipt", "ended"])
    healed = db.session.query(AuditEntry).filter_by(actor="events_api").all()
    assert (run.missed > 0, run.healed) == (True, len(healed))
    assert {one.user_id for one in healed} == {alice.id, bob.id}
    again = healing.make(db.session(), config_of(desk), "operator")
    assert (again.missed, again.healed) == (0, 0)
    assert charges(alice) == [2900]


# 8: canceled, and nobody sees it


def cancel_in_portal(person: Shopper) -> None:
    place = person.post("/billing/portal/subscription_cancel").location
    assert post_page(f"{place}/cancel/{person.row.stripe_id}", feedback="unused").status == 303


def cancel_on_a_date(person: Shopper) -> None:
    """As the portal does in flexible billing mode: ``cancel_at`` is set, ``cancel_at_period_end`` stays false."""
    end = person.row.current_period_end
    assert end is not None
    stripe = person.sandbox.stripe.subscriptions
    changed = stripe.update(person.row.stripe_id, {"cancel_at": int(end.timestamp())})
    assert (changed.cancel_at, changed.cancel_at_period_end) == (int(end.timestamp()), False)


@pytest.mark.parametrize("cancel", [cancel_in_portal, cancel_on_a_date])
def test_nobody_who_canceled_is_left_to_wonder_whether_it_was_seen(
    desk: Flask, alice: Shopper, cancel: Callable[[Shopper], None]
) -> None:
    alice.has()
    end = alice.row.current_period_end
    said = f"Pro is set to end on {day(end)}."
    cancel(alice)
    catch_up(desk)
    assert said in reads(alice)
    assert alice.post("/billing/resume").location == "/billing"
    catch_up(desk)
    there = alice.sandbox.stripe.subscriptions.retrieve(alice.row.stripe_id)
    assert (there.cancel_at, there.cancel_at_period_end) == (None, False), "whichever was set is cleared"
    assert "is set to end" not in reads(alice)
    alice.advance_by(60)  # within one second it would be one piece of news
    cancel(alice)
    catch_up(desk)
    assert (said in reads(alice), may_enter(alice)) == (True, True)
    alice.sandbox.control(f"customers/{alice.customer}/advance", to=int(end.timestamp()) + HOUR)  # type: ignore[union-attr]
    catch_up(desk)
    assert not may_enter(alice)
    assert "Your Pro plan ended on" in reads(alice)
    assert charges(alice) == [2900], "nothing was taken after the end"
    assert alice.mails() == ["receipt", "cancel_set", "kept", "cancel_set", "ended"]

"""Access comes from an applied event and from nothing else: no page, address, answer of the API, or late news."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing.extensions import db
from billing.models import CheckoutSession, Invoice, Notice, Payment, StripeEvent, StripeWrite, Subscription
from tests import doors
from tests.histories import History, at_stripe, with_us
from tests.registry import LEASE_OVER, over_a_wire, time_passes
from tests.seen import charges, delivered, may_enter, reads
from tests.story import DAY, Shopper, apply_all, catch_up, count, events, fresh, post_page, shopper
from tests.support import csrf_of
from tests.watching import all_rows
from tests.wire import Reply, Sent


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


CLAIMS = "status=active&access=1&success=true&payment_status=paid&plan=pro&user_id=1"


def pages(desk: Flask, sessions: list[str]) -> list[str]:
    """Every page of the application with everything in its address that could be taken for a proof."""
    values = {
        "name": "pro",
        "filename": "app.js",
        "secret": "x",
        "stripe_id": "in_1",
        "event_id": "evt_1",
        "user_id": "1",
    }
    found = []
    for rule in desk.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint != "static":
            path = re.sub(r"<(?:\w+:)?(\w+)>", lambda part: values.get(part[1], "1"), rule.rule)
            found += [f"{path}?session_id={one}&{CLAIMS}" for one in sessions]
    return found


def walk(alice: Shopper, sessions: list[str], chance: random.Random) -> list[Callable[[], Any]]:
    """What somebody may do in a browser, in any order. Coming back from Checkout makes us ask Stripe, so whoever walks
    to see what pages give by themselves walks while Stripe does not answer."""

    def another_tab() -> None:
        cookie = alice.client.get_cookie("dunlin")
        assert cookie is not None
        tab = alice.desk.test_client()
        tab.set_cookie("dunlin", cookie.value)
        for one in sessions:
            tab.get(f"/checkout/return?session_id={one}&{CLAIMS}")

    def to_the_portal() -> None:
        answer = alice.post("/billing/portal/home")
        if answer.status_code == 303:
            assert post_page(answer.location).status < 500

    def sign_in_anew() -> None:
        alice.post("/logout")
        alice.client = alice.desk.test_client()
        alice._csrf = ""
        assert doors.enter(alice.client, alice.email).status_code == 303

    def forms() -> None:
        for path in ("/billing/resume", "/checkout/return", "/checkout/state", "/app", "/billing"):
            alice.client.post(
                f"{path}?{CLAIMS}", data={"csrf_token": csrf_of(alice.client), "status": "active"}
            )

    looks = [lambda path=path: alice.get(path) for path in chance.sample(pages(alice.desk, sessions), 40)]
    steps: list[Callable[[], Any]] = [another_tab, another_tab, to_the_portal, sign_in_anew, forms, *looks]
    return chance.sample(steps, len(steps))


def on_what_it_stands() -> set[str]:
    """The state of the event that each row names as its cause, whatever the row is about."""
    db.session.rollback()
    return {
        state
        for model in (Subscription, Invoice, Payment)
        for (state,) in db.session.query(StripeEvent.state).join(
            model, model.cause_event_id == StripeEvent.event_id
        )
    }


def test_no_walk_through_the_pages_lets_anybody_in_before_the_event_is_applied_or_out_after(
    desk: Flask, alice: Shopper
) -> None:
    chance, history = random.Random(1), History(desk)
    mallory = shopper(desk, "mallory@example.com")
    sessions = [
        alice.order("pro"),
        alice.order("pro", "year"),
        alice.buy(),
        mallory.order(),
        "cs_test_nothing",
    ]

    def shut(steps: list[Callable[[], Any]], open_: bool) -> None:
        for step in steps:
            step()
            assert alice.standing.access is open_, step
            assert may_enter(alice) is open_, step

    shut(walk(alice, sessions, chance), False)
    for paid in sessions[1:3]:
        assert alice.pay(paid).status == 303
    alice.sandbox.control("trouble", api="error_500")
    shut(walk(alice, sessions, chance), False)
    alice.sandbox.control("trouble", api="normal")
    assert (count(Subscription), charges(alice)) == (0, [29000, 1500])
    news = history.news()
    assert set(delivered(desk, news, apply=False)) == {200}
    alice.sandbox.control("trouble", api="error_500")
    shut(walk(alice, sessions, chance)[:5], False)  # we have the events; nothing of them is applied
    alice.sandbox.control("trouble", api="normal")
    apply_all()
    assert may_enter(alice)
    assert on_what_it_stands() == {StripeEvent.APPLIED}
    before = all_rows(db.session(), but=("last_seen_at", "fetched_at"))
    shut(walk(alice, sessions, chance), True)
    changed = {name for name, rows in all_rows(db.session(), but=("last_seen_at", "fetched_at")).items()
               if rows != before[name]}  # fmt: skip
    assert changed <= {"login_sessions", "rate_hits", "stripe_writes", "users"}
    for one in sessions[:3]:
        for page in ("return", "state"):
            assert mallory.get(f"/checkout/{page}?session_id={one}&{CLAIMS}").status_code == 404
    assert not may_enter(mallory)


@pytest.mark.parametrize("path", ["/billing/check", "/checkout", "/checkout/return"])
def test_where_a_page_makes_us_ask_stripe_the_answer_is_an_event_that_is_applied_or_it_is_nothing(
    desk: Flask, alice: Shopper, path: str
) -> None:
    """Asking is allowed; its answer goes the way of every event, and names itself as the cause."""
    session_id = alice.has()

    def ask() -> None:
        if path.endswith("return"):
            alice.get(f"{path}?session_id={session_id}")
        else:
            alice.post(path, plan="pro", interval="month")

    alice.sandbox.control("trouble", delivery="drop")
    stripe_id = alice.row.stripe_id
    db.session.execute(text("update subscriptions set status = 'incomplete'"))
    db.session.commit()
    assert not may_enter(alice)
    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = lambda sent: (
            None if sent.path.startswith(f"/v1/subscriptions/{stripe_id}") else wire.pass_on(sent)
        )
        ask()
        assert not may_enter(alice)
        assert alice.row.status == "incomplete"
        wire.answer = wire.pass_on
        ask()
    assert may_enter(alice)
    cause = fresh(StripeEvent, alice.row.cause_event_id)
    assert (cause.type, cause.state) == ("dunlin.refresh", StripeEvent.APPLIED)


def test_the_database_keeps_no_plan_that_names_no_event(desk: Flask, alice: Shopper) -> None:
    alice.has()
    for cause in ("null", "'evt_of_nobody'"):
        with pytest.raises(DBAPIError):
            db.session.execute(text(f"update subscriptions set cause_event_id = {cause}"))
        db.session.rollback()
    with pytest.raises(DBAPIError):
        db.session.execute(
            text("delete from stripe_events where event_id = :id"), {"id": alice.row.cause_event_id}
        )
    db.session.rollback()
    assert on_what_it_stands() == {StripeEvent.APPLIED}


# Late news


def test_news_of_a_purchase_that_comes_after_its_refund_its_end_and_its_customers_end_changes_nothing(
    desk: Flask, alice: Shopper
) -> None:
    """Weeks late, once more, and after each step: nobody is let in, charged or mailed for what is over."""
    history, stripe = History(desk), alice.sandbox.stripe
    alice.sandbox.calm()
    alice.subscribe()
    old = [event for event in history.news() if about_her(event, alice)]
    steps: list[Callable[[], object]] = [
        lambda: stripe.refunds.create({"payment_intent": alice.invoices[0].payment_intent or ""}),
        lambda: stripe.subscriptions.cancel(alice.row.stripe_id),
        lambda: stripe.customers.delete(alice.customer),
    ]
    for number, step in enumerate(steps):
        step()
        catch_up(desk)
        before, mails, access = with_us(alice), alice.mails(), may_enter(alice)
        assert access is (number == 0)
        late = [
            {**event, "id": f"{event['id']}_{number}", "created": event["created"] - 40 * DAY}
            for event in old
        ]
        history.deliver(late)
        assert set(delivered(desk, old)) == {200}
        catch_up(desk)
        assert (with_us(alice), alice.mails(), may_enter(alice)) == (before, mails, access)
        found = {event.event_id: event.state for event in events()}
        assert {found[event["id"]] for event in late} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}
    assert alice.mails() == ["receipt", "refund", "ended"]
    assert charges(alice) == [0]


def about_her(event: dict[str, Any], person: Shopper) -> bool:
    return bool(event["data"]["object"].get("customer") == person.customer)


def test_whose_customer_is_deleted_at_stripe_is_let_in_no_longer(desk: Flask, alice: Shopper) -> None:
    """Somebody deletes her in the dashboard while her plan runs: Stripe ends it, and we see that it did."""
    alice.has()
    alice.sandbox.stripe.customers.delete(alice.customer)
    catch_up(desk)
    assert not may_enter(alice)
    assert "Your Pro plan ended on" in reads(alice)
    assert with_us(alice) == at_stripe(alice)
    assert {event.state for event in events()} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}


def test_a_whole_life_that_is_heard_of_when_it_is_over_brings_no_access_and_no_old_mail(
    desk: Flask, alice: Shopper
) -> None:
    history = History(desk)
    assert alice.pay(alice.order()).status == 303
    for _ in range(3):
        alice.sandbox.control(f"customers/{alice.customer}/advance", to="next")
    [plan] = at_stripe(alice)["subscriptions"]
    alice.sandbox.stripe.subscriptions.cancel(plan)
    news = history.news()
    assert set(delivered(desk, news)) == {200}
    catch_up(desk)
    assert with_us(alice) == at_stripe(alice)
    assert not may_enter(alice)
    assert "Your Pro plan ended on" in reads(alice)
    assert set(alice.mails()) <= {"receipt", "ended"}
    assert count(Notice, kind="receipt") <= 1, "only the bill of today is news"


# Events that overtake the answer


def test_an_event_that_is_applied_before_our_own_answer_is_read_leaves_no_orphan_and_nothing_twice(
    desk: Flask, alice: Shopper
) -> None:
    """Stripe has done it and told of it, and all of that is applied, while the answer is still on its way to us."""
    overtaken: list[str] = []

    def held(sent: Sent) -> Reply | None:
        reply = wire.pass_on(sent)
        if sent.method == "POST" and reply is not None and reply.status == 200:
            overtaken.append(sent.path)
            if sent.path == "/v1/checkout/sessions":
                paid.append(re.search(rb'"id": *"(cs_test_\w+)"', reply.body)[1].decode())  # type: ignore[index]
                assert post_page(f"{alice.sandbox.url}/c/pay/{paid[-1]}", **card).status == 303
            with desk.app_context():
                catch_up(desk)
                db.session.remove()
        return reply

    card = {"number": "4242424242424242", "expiry": "12 / 34", "cvc": "123", "name": "Alice Ahrens"}
    paid: list[str] = []
    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = held
        alice.post("/checkout", plan="pro", interval="month")
        alice.post("/buy/credits-100")
        assert may_enter(alice)
        alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
        catch_up(desk)
        assert alice.post("/billing/resume").location == "/billing"
        catch_up(desk)
        time_passes(LEASE_OVER)
    assert {path.rpartition("/")[0] for path in overtaken} >= {"/v1", "/v1/checkout", "/v1/subscriptions"}
    rows = db.session.query(CheckoutSession).order_by(CheckoutSession.id)
    assert [(row.stripe_id, row.status) for row in rows] == [(one, "complete") for one in paid]
    assert {row.state for row in db.session.query(StripeWrite)} == {"done"}
    assert "is set to end" not in reads(alice)
    assert charges(alice) == [2900, 1500]
    assert sorted(alice.mails()) == ["cancel_set", "kept", "one_off_receipt", "receipt"]
    assert {event.state for event in events()} <= {StripeEvent.APPLIED, StripeEvent.IGNORED}

"""What an admin sees of one subscription and of one event: everything that concerns it, and how long it took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing import audit, jobs
from billing.extensions import db
from billing.models import StripeEvent, Subscription, User
from tests import admin_rows as rows
from tests.histories import about, cursor_at, everything
from tests.registry import ask_at, over_a_wire
from tests.story import DAY, catch_up, events, fresh, shopper
from tests.support import deliver, make_user, sign_in
from tests.told import a_subscription, tell
from tests.wire import Reply, Sent, Wire, error


def admins_browser(app: Flask) -> FlaskClient:
    client = app.test_client()
    sign_in(client, make_user(db.session(), "ada@example.com", is_admin=True))
    return client


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def story(browser: FlaskClient, row: Subscription) -> str:
    """The timeline of the subscription's page, in words."""
    page = browser.get(f"/admin/subscriptions/{row.stripe_id}").text
    return words(page[page.index('id="timeline-title"') :])


def test_the_page_of_a_subscription_tells_everything_that_concerns_it_and_nothing_of_others(
    desk: Flask,
) -> None:
    alice, bob = shopper(desk), shopper(desk, "bob@example.com")
    browser = admins_browser(desk)
    alice.subscribe()
    bob.subscribe("basic")
    assert alice.pay(alice.buy()).status == 303, "this is hers, and not about the plan"
    catch_up(desk)
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    catch_up(desk)
    alice.post("/billing/resume")
    catch_up(desk)
    for event in events(type="customer.subscription.updated"):
        jobs.run_again(db.session(), event.event_id)
    db.session.execute(text("update subscriptions set card_last4 = '0000', fetched_at = 'epoch'"))
    db.session.commit()
    cursor_at(DAY)
    everything(alice)
    told = story(browser, alice.row)
    for line in (
        "checkout.session.completed",
        "customer.subscription.created Applied",
        "invoice.paid",
        "Checkout: new → open",
        "Checkout: open → complete",
        "Subscription: new → active, plan new → pro",
        "ends with the period no → yes",
        "ends with the period yes → no",
        "Asked of Stripe: subscription.update Done",
        "Asked of Stripe: checkout.session.create Done",
        "Pro will end on",
        "Subscription changed: card ending 0000 → 4242",
        "by the reconciler",
        "dunlin.refresh Applied learned from reconciler",
    ):
        assert line in told, line
    assert told.index("card ending 0000 → 4242") < told.index("customer.subscription.created Applied")
    assert told.count("checkout.session.completed") == 1
    assert "100 credits" not in told
    of_bob = story(browser, bob.row)
    for thing in (alice.row.stripe_id, str(alice.invoices[0].number)):
        assert thing in told
        assert thing not in of_bob
    for thing in (bob.row.stripe_id, str(bob.invoices[0].number)):
        assert thing in of_bob
        assert thing not in told


def test_a_persons_page_leads_to_each_of_their_subscriptions_and_back(
    app: Flask, db_session: Session, alice: User
) -> None:
    browser = admins_browser(app)
    both = [rows.subscription(db_session, alice, status=status) for status in ("active", "canceled")]
    person = f"/admin/subscribers/{alice.id}"
    page = browser.get(person).text
    for row in both:
        path = f"/admin/subscriptions/{row.stripe_id}"
        assert f'href="{path}"' in page
        own = browser.get(path).text
        assert f'<a href="{person}">{alice.email}</a>' in own
        assert f'href="{path}"' not in own
    for nothing in ("sub_nowhere", "%00", "x" * 3000):
        assert browser.get(f"/admin/subscriptions/{nothing}").status_code == 404


def test_a_long_story_costs_no_more_questions_and_says_where_it_was_cut(
    app: Flask, db_session: Session, alice: User
) -> None:
    browser, row = admins_browser(app), rows.subscription(db_session, alice)

    def asked(length: int) -> tuple[int, str]:
        for _ in range(length):
            bill = rows.invoice(db_session, row)
            rows.stripe_event(db_session, "invoice.paid", user_id=alice.id, subject=row.stripe_id)
            audit.changed(db_session, bill, {}, actor="stripe")
            db_session.commit()
        with rows.queries() as seen:
            page = browser.get(f"/admin/subscriptions/{row.stripe_id}")
        return len(seen), page.text

    few, _ = asked(1)
    many, page = asked(60)
    assert few == many
    assert many <= 14
    assert "What came before is not shown here." in page


def test_a_step_that_stripe_should_never_make_stands_out_on_both_pages_with_its_cause(
    app: Flask, db_session: Session
) -> None:
    alice = make_user(db_session, "alice@example.com", customer="cus_alice")
    browser, told = admins_browser(app), a_subscription(alice)
    tell(db_session, told)
    tell(db_session, {**told, "status": "incomplete"})
    row = db_session.query(Subscription).one()
    assert row.status == "incomplete", "what Stripe says is stored all the same"
    said = "A change of status that Stripe should never make: active → incomplete Look at this"
    assert said in story(browser, row)
    page = browser.get(f"/admin/subscribers/{alice.id}").text
    assert said in words(page)
    assert f"/admin/events/{row.cause_event_id}" in page


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        ask_at(desk, found)
        yield found


SLOW = 0.15


def test_an_event_says_how_long_it_waited_and_how_long_the_work_on_it_took(desk: Flask, wire: Wire) -> None:
    """Stripe takes its time, so that the work can't have taken less."""
    alice = shopper(desk)
    alice.subscribe()

    def slowly(sent: Sent) -> Reply | None:
        time.sleep(SLOW)
        return wire.pass_on(sent)

    def slowly_in_vain(sent: Sent) -> Reply | None:
        time.sleep(SLOW)
        return error(500)

    for stripe, state in ((slowly, StripeEvent.APPLIED), (slowly_in_vain, StripeEvent.PENDING)):
        wire.answer = stripe
        event = about(alice, alice.row.stripe_id)
        assert deliver(desk, event).status_code == 200
        before = time.monotonic()
        jobs.apply_due(db.session())
        passed = (time.monotonic() - before) * 1000
        row = fresh(StripeEvent, event["id"])
        assert row.state == state
        assert SLOW * 1000 <= row.took_ms <= passed
        page = words(admins_page(desk, row))
        assert f"Tries {row.attempts} " in page
        if state == StripeEvent.APPLIED:
            waited = round((row.applied_at - row.received_at).total_seconds() * 1000) - row.took_ms
            assert f"Waited {max(0, waited) / 1000:.3f} seconds Took {row.took_ms / 1000:.3f} seconds" in page
        else:
            assert f"Last try took {row.took_ms / 1000:.3f} seconds" in page
            assert "Waited" not in page


def admins_page(app: Flask, row: StripeEvent) -> str:
    client = app.test_client()
    admin = db.session.query(User).filter_by(is_admin=True).first()
    sign_in(client, admin or make_user(db.session(), "ada@example.com", is_admin=True))
    return client.get(f"/admin/events/{row.event_id}").text


def test_the_page_of_an_event_shows_money_as_money_and_moments_to_the_minute(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    [cause] = [entry.cause_event_id for entry in rows.audit_of(db.session(), "subscription.status")]
    made = words(admins_page(desk, fresh(StripeEvent, cause)))
    assert "Subscription: price new €29.00" in made
    assert re.search(r"Subscription: period ends new \d+ \w+ \d{4}, \d\d:\d\d UTC", made)
    db.session.execute(text("update subscriptions set amount = 1"))
    db.session.commit()
    jobs.run_again(db.session(), str(cause))
    assert "Subscription changed: price €0.01 €29.00" in words(admins_page(desk, fresh(StripeEvent, cause)))


def test_events_that_were_applied_together_tell_of_each_other_and_of_what_they_changed(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    plan = alice.row.stripe_id
    db.session.execute(text("update subscriptions set amount = 1"))
    db.session.commit()
    pair = [about(alice, plan) for _ in range(2)]
    for event in pair:
        assert deliver(desk, event).status_code == 200
    jobs.apply_due(db.session())
    ids = [event["id"] for event in pair]
    for own, other in (ids, reversed(ids)):
        html = admins_page(desk, fresh(StripeEvent, own))
        assert f'Together with</dt><dd><a href="/admin/events/{other}">' in html
        assert "Subscription changed: price €0.01 €29.00" in words(html)
    [first, *_] = events(type="checkout.session.completed")
    assert "Together with" not in admins_page(desk, first)

"""A break is for as long as was said: nothing is charged in it, and what it costs afterwards is said before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing import pauses, timetable
from billing.clock import months_later
from billing.extensions import db
from billing.models import StripeWrite, User
from billing.words import day
from tests import admin_rows as rows
from tests.story import DAY, FAILS_LATER, HOUR, Shopper, catch_up, config_of, count, shopper
from tests.support import make_user
from tests.test_leaving import hidden, words
from tests.test_new_card import put_card, settle
from tests.test_plan_change import charged, offer, said


@pytest.fixture
def alice(desk_again: Flask) -> Shopper:
    found = shopper(desk_again)
    found.has()
    return found


def ten_days_pass(person: Shopper) -> None:
    """Of the month that was paid for, two thirds are left."""
    person.advance_by(10 * DAY)
    person.post("/billing/check")  # on a test clock from now on, which its row must know


def rest(person: Shopper, months: int) -> None:
    page = person.get("/billing/pause")
    assert page.status_code == 200, page.text
    answer = person.post("/billing/pause", months=str(months), **hidden(page.text))
    assert (answer.status_code, answer.location) == (303, "/billing"), words(answer.text)


def the_clock_turns(person: Shopper) -> None:
    """What the clock process does each minute."""
    timetable._resume(db.session())
    catch_up(person.desk)


def test_whoever_pauses_reads_the_day_and_the_sum_and_exactly_that_happens(alice: Shopper) -> None:
    ten_days_pass(alice)
    page = alice.get("/billing/pause").text
    begun = datetime.fromtimestamp(alice.sandbox.look(f"customers/{alice.customer}/moments")["now"], UTC)
    until = months_later(begun, 2)
    read = words(page)
    assert f"2 months, until {day(until)}. Then €29.00." in read
    assert "Your access stops today, and comes back on the day you choose." in read
    assert "we charge Visa ending 4242" in read
    assert 'name="months" id="months-4"' not in page
    assert "checked" not in page
    before = charged(alice)
    rest(alice, 2)
    assert (alice.standing.code, alice.standing.access) == ("paused_asked", False)
    assert alice.row.resumes_at is not None
    assert abs(alice.row.resumes_at - until) < timedelta(minutes=5)
    alice.advance_by(40 * DAY)
    the_clock_turns(alice)
    assert (alice.standing.code, charged(alice)) == ("paused_asked", before), "not before its day"
    assert (alice.mails()[-1], alice.mails().count("paused")) == ("paused", 1)
    alice.advance(int(alice.row.resumes_at.timestamp()) - 3 * DAY)
    for _ in range(2):
        the_clock_turns(alice)
    catch_up(alice.desk)
    assert (alice.mails()[-1], alice.mails().count("resuming")) == ("resuming", 1), (
        "told before it is charged"
    )
    assert charged(alice) == before
    alice.advance(int(alice.row.resumes_at.timestamp()) + HOUR)
    for _ in range(2):
        the_clock_turns(alice)
    assert (alice.standing.code, alice.standing.access) == ("active", True)
    assert 0 < charged(alice) - before < 2900 / 2, "less what was left of the paid time"
    assert count(StripeWrite, operation="subscription.resume", user_id=alice.id) == 1
    assert alice.mails().count("resumed") == 1


def test_going_on_earlier_says_first_what_it_costs_and_is_charged_once(alice: Shopper) -> None:
    ten_days_pass(alice)
    rest(alice, 3)
    before = charged(alice)
    assert alice.post("/billing/unpause").location == "/billing/unpause"
    page = alice.get("/billing/unpause").text
    assert "A new month begins today and costs €29.00." in words(page)
    assert charged(alice) == before, "nothing is charged by looking"
    fields = hidden(page)
    assert alice.post("/billing/unpause", **{**fields, "amount": "900 eur"}).status_code == 422
    for _ in range(2):
        assert alice.post("/billing/unpause", **fields).location == "/billing"
    catch_up(alice.desk)
    assert (alice.standing.code, count(StripeWrite, operation="subscription.resume", user_id=alice.id)) == (
        "active",
        1,
    )
    assert 0 < charged(alice) - before < 2900 / 2
    assert alice.mails().count("resumed") == 1
    assert alice.get("/billing/unpause").location == "/billing"


def test_a_pause_that_ends_with_a_declined_payment_stays_a_pause_until_it_is_paid(alice: Shopper) -> None:
    put_card(alice, FAILS_LATER)
    settle(alice)
    ten_days_pass(alice)
    rest(alice, 1)
    assert alice.row.resumes_at is not None
    before = charged(alice)
    alice.advance(int(alice.row.resumes_at.timestamp()) + 60)
    the_clock_turns(alice)
    assert (alice.standing.access, charged(alice)) == (False, before)
    bill = alice.invoices[-1]
    assert (alice.row.status, bill.status) == ("paused", "open")
    assert alice.post("/billing/unpause").location == f"/invoices/{bill.stripe_id}", "no second invoice"
    put_card(alice, "visa")
    settle(alice)
    assert (alice.standing.code, charged(alice) - before) == ("active", bill.total)


def test_a_length_that_is_none_and_an_old_page_pause_nothing(alice: Shopper) -> None:
    fields = hidden(alice.get("/billing/pause").text)
    for months in ("", "0", "4", "x", "٣"):
        answer = alice.post("/billing/pause", months=months, **fields)
        assert answer.status_code == 422
        assert "Choose how long you want to pause." in words(answer.text)
        assert "<title>Error: Pause Pro" in answer.text
    alice.advance_by(3 * DAY)
    answer = alice.post("/billing/pause", months="1", **fields)
    assert answer.status_code == 422
    assert "Something changed while this page was open." in words(answer.text)
    assert count(StripeWrite, operation="subscription.pause", user_id=alice.id) == 0
    assert alice.standing.code == "active"


def test_a_plan_with_a_change_coming_is_not_paused_and_one_that_was_paused_elsewhere_has_no_end_of_ours(
    alice: Shopper,
) -> None:
    rest(alice, 1)
    alice.post("/billing/unpause", **hidden(alice.get("/billing/unpause").text))
    catch_up(alice.desk)
    alice.advance_by(2 * HOUR)
    alice.sandbox.stripe.subscriptions.pause(alice.row.stripe_id)
    catch_up(alice.desk)
    assert (alice.standing.code, alice.row.resumes_at) == ("paused_asked", None), (
        "the old note is another pause’s"
    )
    alice.sandbox.stripe.subscriptions.resume(alice.row.stripe_id)
    catch_up(alice.desk)
    offer(alice, "basic").send()
    page = alice.get("/billing/pause")
    assert page.status_code == 409
    assert "A change of your plan is coming." in words(page.text)


def test_payments_that_an_operator_paused_go_on_with_one_press(alice: Shopper) -> None:
    paused = {"pause_collection": {"behavior": "void"}}
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, paused)
    catch_up(alice.desk)
    assert alice.standing.code == "collection_paused"
    assert alice.post("/billing/unpause").location == "/billing"
    assert alice.standing.code == "active"
    assert "Next payment: €29.00" in said(alice)


def found(**more: Any) -> dict[str, Any]:
    price = {"unit_amount": 2900}
    plain = {
        "status": "active",
        "billing_mode": {"type": "flexible"},
        "items": {"data": [{"price": price}]},
        "collection_method": "charge_automatically",
    }
    return {**plain, **more}


@pytest.mark.parametrize(
    ("more", "why_not"),
    [
        ({}, None),
        ({"status": "trialing"}, "trial"),
        ({"status": "paused"}, "paused"),
        ({"status": "past_due"}, "unpaid"),
        ({"cancel_at": 1}, "ending"),
        ({"cancel_at_period_end": True}, "ending"),
        ({"schedule": "sub_sched_1"}, "changing"),
        ({"pending_update": {"expires_at": 1}}, "changing"),
        ({"pause_collection": {"behavior": "void"}}, "collection"),
        ({"billing_mode": {"type": "classic"}}, "measure"),
        ({"collection_method": "send_invoice"}, "measure"),
        ({"items": {"data": [{"price": {"unit_amount": None}}]}}, "measure"),
    ],
)
def test_why_a_plan_can_not_be_paused(more: dict[str, Any], why_not: str | None) -> None:
    assert pauses.obstacle(found(**more)) == why_not


@pytest.mark.parametrize(
    ("note", "began", "until"),
    [
        ("1000-9000", 1005, 9000),
        ("1000-9000", 4600, 9000),
        ("1000-9000", 4601, None),
        ("1000", 1000, None),
        ("x-9000", 1000, None),
        ("", 1000, None),
        ("1000-9000", None, None),
    ],
)
def test_the_end_that_was_agreed_to_belongs_to_one_pause_alone(
    note: str, began: int | None, until: int | None
) -> None:
    paused = {"metadata": {pauses.NOTE: note}, "status_details": {"paused": {"transitioned_at": began}}}
    end = pauses.agreed_end(found(status="paused", **paused))
    assert end == (datetime.fromtimestamp(until, UTC) if until else None)
    assert pauses.agreed_end(found(**paused)) is None


@pytest.mark.parametrize(
    ("reason", "bill", "goes_on"),
    [
        ("final_payment_failure", {"status": "paid"}, True),
        ("first_payment_failure", {"status": "paid"}, True),
        ("final_payment_failure", {"status": "open"}, False),
        ("final_payment_failure", {"status": "void"}, False),
        ("pause_requested", {"status": "paid"}, False),
        ("system", {"status": "paid"}, False),
    ],
)
def test_a_plan_that_stripe_paused_for_an_unpaid_invoice_goes_on_when_that_is_paid_and_for_nothing_more(
    db_session: Session, alice_alone: User, reason: str, bill: dict[str, Any], goes_on: bool
) -> None:
    row = rows.subscription(db_session, alice_alone, status="paused", status_reason=reason)
    paid = rows.invoice(db_session, row, **bill)
    row.latest_invoice = paid.stripe_id
    requests = pauses.end_of_unpaid(db_session, row)
    assert [one.params for one in requests] == (
        [{"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "none"}] if goes_on else []
    )
    rows.owed(db_session, row)
    assert pauses.end_of_unpaid(db_session, row) == ()


@pytest.fixture
def alice_alone(app: Flask, db_session: Session) -> User:
    """With no Stripe behind."""
    return make_user(db_session, "alone@example.com")


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ((2026, 11, 30), 1, (2026, 12, 30)),
        ((2026, 11, 30), 3, (2027, 2, 28)),
        ((2027, 12, 31), 2, (2028, 2, 29)),
        ((2026, 12, 15), 12, (2027, 12, 15)),
    ],
)
def test_months_are_those_of_the_calendar(
    start: tuple[int, int, int], months: int, end: tuple[int, int, int]
) -> None:
    assert months_later(datetime(*start, 8, tzinfo=UTC), months) == datetime(*end, 8, tzinfo=UTC)


def test_where_no_pause_is_offered_there_is_no_page_for_it(newcomer: Callable[[], Shopper]) -> None:
    person = newcomer()
    person.desk.extensions["config"] = replace(config_of(person.desk), pause_months=0)
    assert person.get("/billing/pause").status_code == 404
    assert person.post("/billing/pause").status_code == 404
    assert person.get("/billing/unpause").status_code == 303

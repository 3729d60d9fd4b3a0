"""Checkout Sessions: what one carries to Stripe, that there is one of them, and what Stripe says became of it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from billing import checkout, opening, writes
from billing.clock import now
from billing.errors import StripeUnavailable
from billing.extensions import db
from billing.installation import public_id
from billing.models import CheckoutSession, PlanPrice, StripeWrite
from billing.syncing import Cause
from billing.write_request import WriteRequest
from tests.registry import over_a_wire, sweep, time_passes
from tests.story import Shopper, catch_up, config_of, count, events, fresh, session_of, shopper
from tests.support import csrf_of
from tests.watching import Lines


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    found = shopper(desk)
    found.user.referral_code = "friend-7"
    db.session.commit()
    return found


def at_stripe(person: Shopper, session_id: str) -> Any:
    return person.sandbox.stripe.checkout.sessions.retrieve(session_id).to_dict()


def open_at_stripe(person: Shopper) -> list[str]:
    listed = person.sandbox.stripe.checkout.sessions.list({"customer": person.customer, "status": "open"})
    return [one["id"] for one in listed["data"]]


def rows_of(person: Shopper, **is_: Any) -> list[CheckoutSession]:
    """The person's Sessions as we know them, oldest first."""
    db.session.rollback()
    found = select(CheckoutSession).filter_by(user_id=person.id, **is_).order_by(CheckoutSession.id)
    return list(db.session.execute(found.execution_options(populate_existing=True)).scalars())


def open_here(person: Shopper) -> list[str | None]:
    return [row.stripe_id for row in rows_of(person, status="open", superseded_at=None)]


def price_of(lookup_key: str) -> str:
    return str(db.session.get_one(PlanPrice, lookup_key).price_id)


def metadata(person: Shopper, plan: str, row: CheckoutSession) -> dict[str, str]:
    installation = public_id(db.session())
    whose = {"user_id": str(person.id), "referral_code": "friend-7"}
    return {**whose, "plan": plan, "installation": installation, "checkout": str(row.id)}


def test_a_session_and_its_subscription_both_say_whose_and_what_they_are(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("team", "year")
    [row] = rows_of(alice)
    expected, found = metadata(alice, "team", row), at_stripe(alice, session_id)
    assert (found["metadata"], found["client_reference_id"]) == (expected, str(alice.id))
    assert (found["mode"], found["customer"]) == ("subscription", alice.customer)
    public = config_of(desk).public_url
    assert found["success_url"] == f"{public}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}"
    assert found["cancel_url"] == f"{public}/subscribe/team?canceled={row.id}"
    alice.pay(session_id)
    catch_up(desk)
    subscription = alice.sandbox.stripe.subscriptions.retrieve(alice.row.stripe_id).to_dict()
    assert subscription["metadata"] == expected
    assert subscription["items"]["data"][0]["price"]["id"] == price_of("team_year_eur")
    assert (subscription["items"]["data"][0]["quantity"], alice.row.status) == (1, "trialing")


def test_a_one_off_session_and_its_payment_both_say_so(desk: Flask, alice: Shopper) -> None:
    session_id = alice.buy("credits-100")
    [row] = rows_of(alice)
    expected = {**metadata(alice, "credits-100", row), "credits": "100"}
    found = at_stripe(alice, session_id)
    assert (found["metadata"], found["client_reference_id"]) == (expected, str(alice.id))
    assert (found["mode"], found["customer"]) == ("payment", alice.customer)
    alice.pay(session_id)
    intent = at_stripe(alice, session_id)["payment_intent"]
    payment = alice.sandbox.stripe.payment_intents.retrieve(intent).to_dict()
    assert (payment["metadata"], payment["description"]) == (expected, "100 credits")
    assert (payment["customer"], payment["amount"]) == (alice.customer, 1500)


def test_the_customer_is_made_once_before_the_first_session_and_never_adopted_by_address(
    desk: Flask, alice: Shopper
) -> None:
    stranger = alice.sandbox.stripe.customers.create({"email": alice.email})["id"]
    with over_a_wire(desk, alice.sandbox) as wire:
        sessions = [alice.order("pro"), alice.order("basic"), alice.buy()]
        made = [sent.path for sent in wire.writes]
    assert made.count("/v1/customers") == 1
    assert made.index("/v1/customers") < made.index("/v1/checkout/sessions")
    assert {at_stripe(alice, one)["customer"] for one in sessions} == {alice.customer}
    assert alice.customer not in ("", stranger)


def test_our_row_knows_the_session_as_stripe_opened_it_until_its_time_is_over(desk: Flask) -> None:
    bob = shopper(desk, "bob@example.com")
    answer = bob.post("/checkout", plan="pro", interval="month")
    session_id = session_of(answer)
    [row], found = rows_of(bob), at_stripe(bob, session_id)
    assert (row.stripe_id, row.status) == (session_id, "open")
    assert answer.location == row.url == found["url"]
    assert "referral_code" not in found["metadata"], "nobody invited him"
    assert row.expires_at is not None
    assert int(row.expires_at.timestamp()) == found["expires_at"]
    assert (row.mode, row.item, row.price_id) == ("subscription", "pro", price_of("pro_month_eur"))
    row.expires_at = row.created_at
    db.session.commit()
    assert bob.order("pro") != session_id, "even before Stripe says so"


def test_one_open_session_is_used_again_for_the_same_and_closed_for_something_else(
    desk: Flask, alice: Shopper
) -> None:
    first = alice.order("pro")
    assert [alice.order("pro"), alice.order("pro")] == [first, first]
    yearly = alice.order("pro", "year")
    assert yearly != first
    assert at_stripe(alice, first)["status"] == "expired"
    assert open_at_stripe(alice) == open_here(alice) == [yearly]
    credits_ = alice.buy()
    assert set(open_here(alice)) == {yearly, credits_}, "a purchase does not disturb a subscription's"
    catch_up(desk)
    assert [row.status for row in rows_of(alice)] == ["expired", "open", "open"]


def press_at_once(alice: Shopper, forms: list[dict[str, str]]) -> list[tuple[int, str]]:
    """Send all these forms at the same moment, from tabs of one browser. Each answer's status and address."""
    token = csrf_of(alice.client)
    cookie = alice.client.get_cookie("dunlin")
    assert cookie is not None
    tabs = [alice.desk.test_client() for _ in forms]
    for tab in tabs:
        tab.set_cookie("dunlin", cookie.value)
    start, answers = threading.Barrier(len(tabs)), []

    def press(tab: FlaskClient, form: dict[str, str]) -> None:
        start.wait(60)
        answer = tab.post("/checkout", data={"csrf_token": token, **form})
        answers.append((answer.status_code, answer.headers.get("Location", "")))

    threads = [threading.Thread(target=press, args=pair) for pair in zip(tabs, forms, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_fifty_presses_in_two_tabs_open_one_session(desk: Flask, alice: Shopper) -> None:
    with Lines() as logged:
        answers = press_at_once(alice, [{"plan": "pro", "interval": "month"}] * 50)
    assert "IntegrityError" not in logged.text, "they must come one after the other, not into each other"
    assert {status for status, _ in answers} <= {303, 429, 503}
    [url] = {location for status, location in answers if status == 303}
    assert open_at_stripe(alice) == open_here(alice) == [url.rpartition("/")[2]]
    assert (count(CheckoutSession), count(StripeWrite, operation="customer.create")) == (1, 1)


def test_presses_for_two_prices_at_once_leave_one_session_that_can_be_paid(
    desk: Flask, alice: Shopper
) -> None:
    month, year = {"plan": "pro", "interval": "month"}, {"plan": "pro", "interval": "year"}
    answers = press_at_once(alice, [month, year] * 4)
    assert {status for status, _ in answers} <= {303, 409, 429, 503}
    assert 303 in {status for status, _ in answers}
    catch_up(desk)
    sweep()
    assert len(open_here(alice)) <= 1
    assert open_at_stripe(alice) == open_here(alice)


def test_an_order_whose_answer_was_lost_is_the_same_session_at_the_next_press(
    desk: Flask, alice: Shopper
) -> None:
    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = lambda sent: (
            wire.lose_answer(sent) if sent.path == "/v1/checkout/sessions" else wire.pass_on(sent)
        )
        lost = alice.post("/checkout", plan="pro", interval="month")
        assert (lost.status_code, open_here(alice)) == (503, [])
        assert "You haven’t been charged" in lost.text
        wire.answer = wire.pass_on
        assert [alice.order("pro")] == open_at_stripe(alice) == open_here(alice)


def test_an_event_that_overtakes_the_answer_finds_its_row_and_the_answer_changes_nothing_then(
    desk: Flask, alice: Shopper
) -> None:
    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = lambda sent: (
            wire.lose_answer(sent) if sent.path == "/v1/checkout/sessions" else wire.pass_on(sent)
        )
        alice.post("/checkout", plan="pro", interval="month")
        wire.answer = wire.pass_on
        [session_id] = open_at_stripe(alice)
        alice.pay(session_id)
        catch_up(desk)
        assert [(row.stripe_id, row.status) for row in rows_of(alice)] == [(session_id, "complete")]
        assert sweep() == 1
        assert [(row.stripe_id, row.status) for row in rows_of(alice)] == [(session_id, "complete")]
        assert alice.standing.access


def test_a_500_frees_the_place_since_stripe_may_repeat_it_but_not_the_place_of_a_session_that_is_open(
    desk: Flask, alice: Shopper
) -> None:
    alice.order("basic")
    alice.sandbox.control("trouble", api="applied_then_500", api_path="/v1/checkout/sessions")
    assert alice.post("/buy/credits-100").status_code == 503
    alice.sandbox.calm()
    bought = alice.buy()
    assert bought in open_here(alice)
    request = request_of(alice, rows_of(alice, stripe_id=bought)[0])
    alice.sandbox.control("trouble", api="error_500", api_path="/v1/checkout/sessions")
    with pytest.raises(StripeUnavailable):
        writes.perform(db.session(), request)
    assert bought in open_here(alice), "it can still be paid: a second one beside it would be paid twice"


def request_of(person: Shopper, row: CheckoutSession) -> WriteRequest:
    """What a second press sends that came while the first was being answered."""
    title, config = "100 credits", config_of(person.desk)
    return opening.create_request(row, person.user, title, config, public_id(db.session()))


def test_a_session_that_stripe_refused_to_open_frees_the_place(desk: Flask, alice: Shopper) -> None:
    price = price_of("pro_month_eur")
    prices = alice.sandbox.stripe.prices
    prices.update(price, {"active": False})
    try:
        refused = alice.post("/checkout", plan="pro", interval="month")
    finally:
        prices.update(price, {"active": True})
    assert refused.status_code == 409
    assert "This price is no longer sold." in refused.text
    assert alice.order("pro") in open_here(alice)


def test_a_session_of_unknown_fate_frees_the_place_after_the_23_hours(desk: Flask, alice: Shopper) -> None:
    alice.order("basic")
    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = lambda sent: None
        assert alice.post("/buy/credits-100").status_code == 503
    time_passes(timedelta(hours=24))
    writes.finish_open(db.session())
    [_, lost] = rows_of(alice)
    assert (lost.status, lost.superseded_at is None) == ("creating", False)
    assert alice.buy() in open_here(alice)


def say(session: dict[str, Any], types: tuple[str, ...] = ()) -> str | None:
    """Write what Stripe says of a Session, as the job does. Why it was ignored, if it was."""
    cause = Cause(events()[0].event_id, 9, public_id(db.session()), now(), frozenset(types))
    outcome = checkout.write(db.session(), checkout.Fetched(session, None), cause)
    db.session.commit()
    return outcome.ignored


FOREIGN: list[dict[str, Any]] = [
    {"metadata": {"installation": "somebody-else"}},
    {"customer": "cus_somebody_else"},
    {"customer": None},
    {"id": "cs_test_copied"},
    {"id": "cs_test_made_by_hand", "metadata": {}},
    {"id": "cs_test_made_by_hand", "metadata": {"checkout": "999999"}},
    {"id": "cs_test_made_by_hand", "metadata": {"checkout": "1 or 1=1"}},
]


def test_a_session_that_is_not_of_this_person_and_installation_changes_nothing(
    desk: Flask, alice: Shopper
) -> None:
    session_id = alice.order("pro")
    catch_up(desk)
    for change in FOREIGN:
        told = {**at_stripe(alice, session_id), "status": "complete", "subscription": "sub_x", **change}
        assert say(told) == "not ours: no Checkout Session of this installation", change
        assert [row.status for row in rows_of(alice)] == ["open"], change


def test_metadata_that_names_another_persons_row_is_not_believed(desk: Flask, alice: Shopper) -> None:
    mallory = shopper(desk, "mallory@example.com")
    foreign = at_stripe(mallory, mallory.order("pro"))
    with over_a_wire(desk, alice.sandbox) as wire:
        wire.answer = lambda sent: wire.pass_on(sent) if sent.path == "/v1/customers" else None
        alice.post("/checkout", plan="pro", interval="month")
    [row] = rows_of(alice)
    catch_up(desk)
    forged = {**foreign, "id": "cs_test_forged", "metadata": {**foreign["metadata"], "checkout": str(row.id)}}
    assert say(forged) is not None
    assert fresh(CheckoutSession, row.id).stripe_id is None


def test_a_bank_payment_that_failed_stays_failed_until_it_is_paid(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("pro")
    catch_up(desk)
    unpaid = {**at_stripe(alice, session_id), "status": "complete", "payment_status": "unpaid"}
    seen = []
    for told, types in (
        (unpaid, ("checkout.session.completed",)),
        (unpaid, ("checkout.session.async_payment_failed",)),
        (unpaid, ("checkout.session.completed",)),
        ({**unpaid, "payment_status": "paid"}, ("checkout.session.async_payment_succeeded",)),
    ):
        say(told, types)
        seen.append(rows_of(alice)[0].async_failed)
    assert seen == [False, True, True, False]

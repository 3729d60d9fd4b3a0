"""Seats: how many are bought, what more of them cost now, and that fewer begin when the paid period ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from billing.extensions import db
from billing.models import CheckoutSession, PlanPrice
from local.mailsink import MailSink
from tests.counter import (
    DAY,
    HOUR,
    Counter,
    Quoted,
    at_stripe,
    charged,
    look,
    newest_invoice,
    open_counter,
    quoted,
    text_of,
    until,
    wait,
)
from tests.story import FAILS_LATER, Shopper, count
from tests.support import Databases, Sandbox


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        yield found


def paying(counter: Counter, seats: int = 1) -> Shopper:
    """Somebody whose trial is over and who pays for so many seats, 5 days into a period."""
    person = counter.newcomer()
    answer = person.post("/checkout", plan="team", interval="month", seats=str(seats))
    assert person.pay(answer.location.rpartition("/")[2]).status == 303
    look(person)
    end = person.row.trial_end
    assert end is not None
    until(person, int(end.timestamp()) + 5 * DAY)
    assert (person.row.status, person.row.quantity) == ("active", seats)
    return person


def said(person: Shopper) -> str:
    return text_of(person.get("/billing").text)


def test_the_check_page_says_what_so_many_seats_cost_and_exactly_they_are_bought(counter: Counter) -> None:
    person = counter.newcomer()
    page = person.get("/subscribe/team?interval=year&seats=7")
    assert "€5,530.00 on" in text_of(page.text)
    assert 'name="seats" value="7"' in page.text
    person.post("/checkout", plan="team", interval="year", seats="7")
    row = db.session.query(CheckoutSession).filter_by(user_id=person.id).one()
    [line] = person.sandbox.stripe.checkout.sessions.line_items.list(row.stripe_id)["data"]
    assert (row.quantity, line["quantity"]) == (7, 7)
    back = person.get(f"/subscribe/team?canceled={row.id}")
    assert 'name="seats" value="7"' in back.text, "the choice is kept"


def test_another_number_of_seats_closes_the_payment_page_of_the_first(counter: Counter) -> None:
    person = counter.newcomer()
    places = [
        person.post("/checkout", plan="team", interval="month", seats=seats).location
        for seats in ("2", "3", "3")
    ]
    assert places[0] != places[1] == places[2]
    rows = db.session.query(CheckoutSession).filter_by(user_id=person.id, superseded_at=None)
    assert [row.quantity for row in rows] == [3]


@pytest.mark.parametrize("sent", ["0", "51", "-1", "1.5", "many", "", "١", "1e1", "999999999999"])
def test_a_number_of_seats_that_can_not_be_had_is_named_and_sells_nothing(
    counter: Counter, sent: str
) -> None:
    person = counter.newcomer()
    page = person.client.get("/subscribe/team", query_string={"seats": sent})
    assert (page.status_code, "Enter a whole number from 1 to 50." in page.text) == (422, True)
    assert "Continue to payment" not in page.text
    answer = person.post("/checkout", plan="team", interval="month", seats=sent)
    assert person.get(answer.location).status_code == 422
    assert count(CheckoutSession, user_id=person.id) == 0


def test_a_plan_without_seats_is_sold_once_whatever_the_form_says(counter: Counter) -> None:
    person = counter.newcomer()
    person.post("/checkout", plan="pro", interval="month", seats="9")
    assert db.session.query(CheckoutSession).filter_by(user_id=person.id).one().quantity == 1


def test_more_seats_cost_now_what_the_page_said_and_later_too(counter: Counter) -> None:
    person = paying(counter, 2)
    page = quoted(person, "/billing/seats?seats=5")
    assert "You have 5 seats at once." in page.words
    assert "Change to 5 seats and pay €" in page.words
    before = charged(person)
    assert page.send().location == "/billing"
    assert charged(person) - before == page.today == sum(page.parts) > 0
    assert (person.row.quantity, at_stripe(person)["items"]["data"][0]["quantity"]) == (5, 5)
    words = said(person)
    assert "You have 5 seats." in words
    assert "Seats 5" in words
    end = person.row.current_period_end
    assert end is not None
    until(person, int(end.timestamp()) + 2 * HOUR)
    assert newest_invoice(person)["total"] == page.then == 5 * 7900


def test_fewer_seats_begin_when_the_paid_period_ends_and_can_be_taken_back(counter: Counter) -> None:
    person = paying(counter, 5)
    before, page = charged(person), quoted(person, "/billing/seats?seats=2")
    assert "You keep 5 seats until" in page.words
    page.send()
    words = said(person)
    assert "You’ll have 2 seats from" in words
    assert "you’ll have 2 seats. Next payment: €158.00 on" in words
    assert (person.row.quantity, charged(person)) == (5, before)
    person.post("/billing/stay")
    assert (person.row.quantity, person.row.coming) == (5, None)
    quoted(person, "/billing/seats?seats=3").send()
    end = person.row.current_period_end
    assert end is not None
    until(person, int(end.timestamp()) + 2 * HOUR)
    assert (person.row.quantity, person.row.coming) == (3, None)
    assert newest_invoice(person)["total"] == 3 * 7900


def test_in_a_trial_seats_change_for_nothing_and_the_trial_goes_on(counter: Counter) -> None:
    person = counter.newcomer("team")
    ends, page = person.row.trial_end, quoted(person, "/billing/seats?seats=4")
    assert "You have 4 seats at once, and your trial goes on until" in page.words
    page.send()
    assert (person.row.quantity, person.row.trial_end, charged(person)) == (4, ends, 0)
    assert page.then == 4 * 7900


def test_two_tabs_that_set_five_and_seven_end_in_one_of_them_charged_as_its_own_page_said(
    counter: Counter,
) -> None:
    person = paying(counter)
    five, seven = quoted(person, "/billing/seats?seats=5"), quoted(person, "/billing/seats?seats=7")
    before = charged(person)
    assert five.send().status_code == 303
    paid_for_five = charged(person) - before
    answer = seven.send()
    assert answer.status_code == 422, "seven from one was quoted, and by now it is seven from five"
    assert (person.row.quantity, paid_for_five) == (5, five.today)
    anew = Quoted(person, "/billing/seats", answer.text)
    assert "Something changed while this page was open." in anew.words
    anew.send()
    assert (person.row.quantity, charged(person) - before - paid_for_five) == (7, anew.today)
    assert five.today + anew.today == seven.today, "no second of a seat is paid twice"


def test_two_tabs_at_the_same_moment_change_the_seats_one_after_the_other(counter: Counter) -> None:
    person = paying(counter)
    pages = [quoted(person, f"/billing/seats?seats={seats}") for seats in (5, 7)]
    before, start, statuses = charged(person), threading.Barrier(2), []

    def send(page: Quoted) -> None:
        start.wait(30)
        statuses.append(page.send().status_code)

    threads = [threading.Thread(target=send, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    look(person)
    assert sorted(statuses) == [303, 422]
    won = next(page for page in pages if page.fields["seats"] == str(person.row.quantity))
    assert charged(person) - before == won.today


def test_a_declined_card_leaves_the_seats_as_they_were_and_charges_nothing(counter: Counter) -> None:
    person = paying(counter)
    person.use_card(FAILS_LATER)
    before = charged(person)
    quoted(person, "/billing/seats?seats=9").send()
    assert "Your card was declined, so you’re still on Team. Nothing changed." in said(person)
    assert (person.row.quantity, person.row.coming, charged(person)) == (1, None, before)


def test_the_page_asks_for_a_number_first_and_says_what_is_wrong_with_one(counter: Counter) -> None:
    person = counter.newcomer("team")
    assert "You have 1 seat on Team." in text_of(person.get("/billing/seats").text)
    wrong = person.get("/billing/seats?seats=99")
    assert (wrong.status_code, "Enter a whole number from 1 to 50." in wrong.text) == (422, True)
    assert 'value="99"' in wrong.text
    same = person.get("/billing/seats?seats=1")
    assert (same.status_code, "You have 1 seat already." in same.text) == (422, True)
    assert quoted(person, "/billing/seats?seats=3").send(seats="200").status_code == 422
    assert quoted(person, "/billing/seats?seats=3").send(seats="30").status_code == 422
    assert person.row.quantity == 1


def test_where_a_plan_has_no_seats_the_page_says_so_and_what_to_do(counter: Counter) -> None:
    person = counter.newcomer("pro")
    page = person.get("/billing/seats")
    assert (page.status_code, "Pro isn’t sold by the seat." in page.text) == (409, True)
    assert 'class="btn" href="/plans"' in page.text
    assert counter.newcomer().get("/billing/seats").location == "/plans"
    assert "Change seats" not in said(person)


def test_who_has_a_price_that_is_sold_no_more_keeps_it_for_further_seats(counter: Counter) -> None:
    person = paying(counter)
    sold = db.session.get_one(PlanPrice, "team_month_eur")
    kept = (sold.price_id, sold.amount)
    sold.price_id, sold.amount = "price_dearer", 9900
    db.session.commit()
    try:
        page, before = quoted(person, "/billing/seats?seats=2"), charged(person)
        assert page.then == 2 * 7900
        page.send()
        look(person)
    finally:
        sold = db.session.get_one(PlanPrice, "team_month_eur")
        sold.price_id, sold.amount = kept
        db.session.commit()
    assert (person.row.quantity, charged(person) - before) == (2, page.today)


def test_seats_come_along_to_another_interval_of_the_plan(counter: Counter) -> None:
    person = paying(counter, 3)
    page = quoted(person, "/billing/change/team?interval=year")
    assert "3 × Team until" in page.words
    before = charged(person)
    page.send()
    assert (person.row.quantity, person.row.interval) == (3, "year")
    assert charged(person) - before == page.today
    wait(person, HOUR)

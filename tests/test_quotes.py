"""What is said before is what is charged after: today, on the next date, and once a discount has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from billing import catalogue
from billing.extensions import db
from billing.plans import Catalogue, Plan, Price
from billing.words import day
from local.mailsink import MailSink
from tests.counter import (
    DAY,
    HOUR,
    Counter,
    Quoted,
    charged,
    look,
    newest_invoice,
    open_counter,
    quoted,
    until,
    wait,
)
from tests.second_plans import another
from tests.snapshots import Moments
from tests.story import FAILS_LATER, GOOD, Shopper
from tests.support import Databases, Sandbox


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        Moments(found.app)
        yield found


HALF = {"percent_off": 50}
Special = Callable[[Shopper], None]


def discount(**terms: Any) -> Special:
    """A coupon that support put on the subscription."""

    def give(person: Shopper) -> None:
        coupon = person.sandbox.stripe.coupons.create(terms)
        changes = {"discounts": [{"coupon": coupon["id"]}]}
        person.sandbox.stripe.subscriptions.update(person.row.stripe_id, changes)

    return give


def account(amount: int) -> Special:
    """What Stripe owes the person (below 0), or they owe, without an invoice."""

    def give(person: Shopper) -> None:
        terms = {"amount": amount, "currency": "eur"}
        person.sandbox.stripe.customers.balance_transactions.create(person.customer, terms)

    return give


def quantity(number: int) -> Special:
    def give(person: Shopper) -> None:
        stripe = person.sandbox.stripe.subscriptions
        item = stripe.retrieve(person.row.stripe_id)["items"]["data"][0]["id"]
        changes = {"items": [{"id": item, "quantity": number}], "proration_behavior": "none"}
        stripe.update(person.row.stripe_id, changes)
        look(person)

    return give


def once_changed(person: Shopper) -> None:
    quoted(person, "/billing/change/pro").send()
    wait(person, 5 * DAY)


def taken_back(person: Shopper) -> None:
    quoted(person, "/billing/change/basic").send()
    wait(person, HOUR)
    person.post("/billing/stay")
    wait(person, HOUR)


def came_down(person: Shopper) -> None:
    """Moved down at the end of a period: the schedule that did it is still there."""
    quoted(person, "/billing/change/pro").send()
    end = person.row.current_period_end
    assert end is not None
    until(person, int(end.timestamp()) + 2 * HOUR)
    assert person.row.plan == "pro"


def declined_before(person: Shopper) -> None:
    person.use_card(FAILS_LATER)
    quoted(person, "/billing/change/team").send()
    assert (person.row.plan, person.row.coming) == ("basic", None)
    person.use_card(GOOD)


def to_the_end(seconds: int) -> Special:
    """Until so many seconds after the present period's end."""

    def pass_(person: Shopper) -> None:
        end = person.row.current_period_end
        assert end is not None
        until(person, int(end.timestamp()) + seconds)

    return pass_


def for_a_month_of_which_some_is_over(person: Shopper) -> None:
    discount(**HALF, duration="repeating", duration_in_months=1)(person)
    to_the_end(2 * HOUR)(person)


def second_plan(person: Shopper) -> None:
    another(person)
    look(person)


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


@dataclass(frozen=True)
class Case:
    """Somebody with a plan, after some days and something special, wants another; ``renewals``: how many later
    invoices are looked at."""

    have: str
    want: str
    days: float = 9.3
    special: Special = look
    at: int | None = None
    says: str = ""
    renewals: int = 1


CASES = {
    "a discount that goes on for two more periods": Case(
        "basic", "pro", special=discount(**HALF, duration="repeating", duration_in_months=2), renewals=3
    ),
    "a discount that ends before the next payment": Case(
        "basic", "pro", 20, for_a_month_of_which_some_is_over, says="€29.00 on"
    ),
    "a discount for one invoice": Case("basic", "pro", special=discount(**HALF, duration="once"), renewals=2),
    "a discount for one invoice, used up today": Case(
        "basic", "basic/year", special=discount(**HALF, duration="once"), says="Taken off by your discount"
    ),
    "a discount that ends within the year": Case(
        "pro",
        "pro/year",
        special=discount(**HALF, duration="repeating", duration_in_months=3),
        says="Taken off by your discount",
    ),
    "some euros off for good, up": Case(
        "basic", "team", special=discount(amount_off=500, currency="eur", duration="forever")
    ),
    "some euros off for good, down": Case(
        "pro", "basic", special=discount(amount_off=500, currency="eur", duration="forever"), says="€4.00 on"
    ),
    "a quarter off for good, down": Case(
        "pro", "basic", special=discount(percent_off=25, duration="forever"), says="€6.75 on"
    ),
    "a quarter off for good, from year to month": Case(
        "pro/year", "pro", special=discount(percent_off=25, duration="forever"), says="€21.75 on"
    ),
    "a discount that ends while the old plan runs out": Case(
        "pro", "basic", 20, for_a_month_of_which_some_is_over, says="€9.00 on"
    ),
    "a quarter off in a trial": Case(
        "team", "pro", special=discount(percent_off=25, duration="forever"), says="€21.75 on"
    ),
    "credit that is more than enough": Case(
        "basic", "pro", special=account(-5000), says="Paid from what we owe you"
    ),
    "credit, down": Case("pro", "basic", special=account(-700), says="€7.00 that we owe you is taken off"),
    "a debt, up": Case("basic", "pro", special=account(500), says="Left from before"),
    "a debt, down": Case("pro", "basic", special=account(300), says="€3.00 left from before is added"),
    "a debt that what comes back pays": Case(
        "basic/year", "team", 20, account(900), says="Pays what was left from before"
    ),
    "so little that it can't be charged": Case(
        "basic", "pro", special=to_the_end(-HOUR), says="too small to"
    ),
    "one second before the period ends": Case("basic", "pro", special=to_the_end(-1)),
    "in the very second in which the period ends": Case("basic", "pro", special=to_the_end(0)),
    "one second after the period ended": Case("basic", "team", special=to_the_end(1)),
    "three of a plan": Case("basic", "basic/year", special=quantity(3), says="3 × Basic"),
    "from five seats to a plan without seats": Case("team/year", "pro", 40, quantity(5)),
    "a second change in one period": Case("basic", "team", special=once_changed),
    "a change that was taken back and is made again": Case("pro", "basic", special=taken_back),
    "a smaller plan right after a smaller plan": Case("team/paid", "basic", special=came_down),
    "a larger plan right after a smaller plan": Case("team/paid", "team", special=came_down),
    "another card after one that was declined": Case("basic", "team", special=declined_before),
    "somebody who has a second plan": Case("basic", "pro", special=second_plan),
    "begun on the 31st, up": Case("basic", "pro", 10, at=at(2027, 1, 31, 12)),
    "begun on the 31st, down": Case("pro", "basic", 30, at=at(2027, 1, 31, 12), renewals=2),
    "begun on the 31st, from month to year": Case("basic", "basic/year", 28, at=at(2027, 1, 31, 23)),
    "over the change to summer time": Case("basic", "pro", 14, at=at(2027, 3, 15, 0, 30)),
    "over a leap day": Case("basic/year", "pro/year", 60, at=at(2028, 1, 31, 3)),
}


SECOND = 1 / DAY
QUARTER_OFF, FIVE_OFF = {"percent_off": 25}, {"amount_off": 500, "currency": "eur"}
# Nothing special but when it is asked for, to the second; what is paid later is the price.
UPWARDS = [
    Case("basic", "pro", 0),
    Case("basic", "pro", SECOND),
    Case("basic", "pro", 10 + 777 * SECOND),
    Case("basic", "team", 27),
    Case("pro", "team", 15 + 13 * SECOND),
    Case("basic", "basic/year", 7),
    Case("pro", "pro/year", 20 + SECOND),
    Case("basic", "pro/year", 3),
    Case("basic/year", "pro/year", 100 + 5 * SECOND),
    Case("basic/year", "team", 30),
    Case("basic/year", "team", 200),
    Case("basic", "pro", 10, quantity(3)),
    Case("pro", "team/year", 5, quantity(3)),
    Case("basic", "pro", 11, discount(**QUARTER_OFF, duration="forever")),
    Case("pro", "pro/year", 11, discount(**QUARTER_OFF, duration="forever")),
    Case("basic", "team", 9, discount(**FIVE_OFF, duration="forever")),
    Case("basic", "pro", 12, account(-700)),
]


@pytest.mark.parametrize(
    "case", UPWARDS, ids=lambda case: f"{case.have} to {case.want} after {case.days:.5f} days"
)
def test_what_an_upgrade_charges_is_what_the_page_said_to_the_unit(counter: Counter, case: Case) -> None:
    person = newcomer(counter, case)
    if case.days:
        wait(person, round(case.days * DAY))
    case.special(person)
    before, credit = charged(person), -moves(person)
    page = quoted(person, path_to(case.want))
    assert page.send().location == "/billing"
    assert charged(person) - before == page.today == sum(page.parts)
    plan, _, interval = case.want.partition("/")
    assert (person.row.plan, person.row.interval, person.row.coming) == (plan, interval or "month", None)
    assert person.standing.access
    kept = page.said(r"(€[\d,.]+) stays as credit") or 0
    assert kept == max(0, -moves(person) - credit)


def newcomer(counter: Counter, case: Case) -> Shopper:
    plan, _, interval = case.have.partition("/")
    moments: Moments = counter.app.extensions["moments"]

    def prepare() -> Shopper:
        person = counter.newcomer(plan, "year" if interval == "year" else "month", at=case.at)
        if interval == "paid":
            to_the_end(2 * HOUR)(person)
        return person

    person = moments.of(f"{case.have} {case.at}", prepare)  # nobody else is at the counter meanwhile
    person.another_browser()
    return person


def path_to(want: str) -> str:
    plan, _, interval = want.partition("/")
    return f"/billing/change/{plan}?interval={interval or 'month'}"


def moves(person: Shopper) -> int:
    """Below 0: a credit that is used before the card."""
    return int(person.sandbox.stripe.customers.retrieve(person.customer)["balance"])


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_costs_today_and_later_is_what_was_said(counter: Counter, name: str) -> None:
    case = CASES[name]
    person = newcomer(counter, case)
    wait(person, int(case.days * DAY))
    case.special(person)
    page = quoted(person, path_to(case.want))
    assert case.says in page.words
    before = charged(person)
    answer = page.send()
    assert answer.location == "/billing", Quoted(person, "", answer.text).words
    look(person)
    assert charged(person) - before == page.today == sum(page.parts)
    expected = [page.then, *[page.later or page.then] * (case.renewals - 1)]
    if page.later and case.renewals == 3:
        expected[1] = page.then  # the discount lasts for two of them
    for number, amount in enumerate(expected):
        renewed_for(person, page, amount, first=number == 0)


def renewed_for(person: Shopper, page: Quoted, amount: int | None, *, first: bool) -> None:
    """The present period ends, on the day that was said, and what is invoiced is what was said."""
    end = person.row.trial_end if person.row.status == "trialing" else person.row.current_period_end
    assert end is not None
    assert not first or f"on {day(end)}" in page.words
    balance = moves(person)
    until(person, int(end.timestamp()) + 2 * HOUR)
    invoice = newest_invoice(person)
    assert (invoice["total"], invoice["billing_reason"]) == (amount, "subscription_cycle")
    step = 10 if page.currency == "kwd" else 100 if page.currency == "isk" else 1
    assert abs(invoice["amount_paid"] - max(0, (amount or 0) + balance)) < step


def sold_in(counter: Counter, currency: str, amounts: tuple[int, int]) -> None:
    plans = tuple(
        Plan(name, name.title(), "", (), (), 0, (Price(name, amount, currency, "month"),))
        for name, amount in zip((f"small-{currency}", f"large-{currency}"), amounts, strict=True)
    )
    counter.app.extensions["catalogue"] = Catalogue(plans, ())
    catalogue.push(db.session(), counter.app.extensions["catalogue"])


@pytest.mark.parametrize(
    ("currency", "amounts"),
    [("jpy", (1333, 4001)), ("kwd", (2750, 9110)), ("isk", (130000, 470000)), ("usd", (999, 3333))],
)
def test_in_every_kind_of_currency_what_is_said_is_charged(
    counter: Counter, currency: str, amounts: tuple[int, int]
) -> None:
    whole = counter.app.extensions["catalogue"]
    sold_in(counter, currency, amounts)
    try:
        person = counter.newcomer(f"small-{currency}")
        wait(person, 11 * DAY + 123)
        before, page = charged(person), quoted(person, f"/billing/change/large-{currency}", currency)
        page.send()
        assert charged(person) - before == page.today == sum(page.parts)
        assert page.then == amounts[1]
        down = quoted(person, f"/billing/change/small-{currency}", currency)
        down.send()
        renewed_for(person, down, amounts[0], first=True)
    finally:
        counter.app.extensions["catalogue"] = whole

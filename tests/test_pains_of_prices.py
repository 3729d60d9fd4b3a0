"""What people would suffer from a catalogue that moves under them, and from money that is reckoned wrongly."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask

from billing import catalogue, refresh
from billing.extensions import db
from billing.models import PlanPrice
from billing.money import format_money, step
from billing.plans import Catalogue, Plan, Price
from local.mailsink import MailSink
from tests.story import DAY, HOUR, Shopper, config_of, fresh, shopper
from tests.test_plan_change import charged, offer, renew, said

_numbers = itertools.count(1)


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


def plan(*amounts: int, currency: str = "eur") -> Plan:
    """A plan that this Stripe has never seen: by the month, and by the year where a second amount is given."""
    name = f"moving{next(_numbers)}"
    pairs = zip(("month", "year"), amounts, strict=False)
    return Plan(
        name,
        name.capitalize(),
        "",
        (),
        (),
        0,
        tuple(Price(name, sum_, currency, each) for each, sum_ in pairs),
    )


def sell(desk: Flask, *plans: Plan, archive: bool = False) -> None:
    """The file says these plans from now on, and is pushed."""
    shop = Catalogue(plans, desk.extensions["catalogue"].products)
    desk.extensions["catalogue"] = shop
    catalogue.push(db.session(), shop, archive=archive)


def bills(person: Shopper) -> list[tuple[int, str]]:
    return [(one.amount_paid, one.currency) for one in person.invoices if one.status == "paid"]


def changes_at_the_periods_end_and_back(alice: Shopper, other: Plan) -> None:
    old = alice.row.price_id
    offer(alice, other.name).send()
    assert (alice.standing.code, alice.standing.facts.change_price) == ("changing", "€9.00")
    assert alice.post("/billing/stay").status_code == 303
    assert (alice.row.coming, alice.row.price_id, alice.standing.code) == (None, old, "active")


def changes_at_once(alice: Shopper, other: Plan) -> None:
    offer(alice, other.name).send()
    assert (alice.row.plan, alice.standing.code) == (other.name, "active")


@pytest.mark.parametrize(
    ("archived", "other", "changes"),
    [(False, 900, changes_at_the_periods_end_and_back), (True, 9900, changes_at_once)],
)
def test_i_am_moved_to_a_new_price_or_locked_out_when_the_price_of_my_plan_changes(
    desk: Flask, alice: Shopper, archived: bool, other: int, changes: Callable[[Shopper, Plan], None]
) -> None:
    """``archived``: somebody also archived the old price in Stripe's dashboard; we don't while anybody has it."""
    pro, another = plan(2900), plan(other)
    sell(desk, pro, another)
    alice.subscribe(pro.name)
    old, api = alice.row.price_id, alice.sandbox.stripe.prices
    sell(desk, replace(pro, prices=(replace(pro.prices[0], amount=3900),)), another, archive=True)
    assert api.retrieve(old)["active"]
    api.update(old, {"metadata": {"plan": ""}, "active": not archived})

    renew(alice)
    bob = shopper(desk, "bob@example.com")
    bob.subscribe(pro.name)
    assert (bills(alice), bills(bob)) == ([(2900, "eur"), (2900, "eur")], [(3900, "eur")])
    for person in (alice, bob):
        refresh.person(db.session(), person.user, config_of(desk), "operator")
    for person, price in ((alice, "€29.00"), (bob, "€39.00")):
        assert (person.row.plan, person.standing.code, person.standing.access) == (pro.name, "active", True)
        assert f"{price} a month" in said(person)
    assert alice.row.price_id == old
    assert "You keep your price. It costs others €39.00 now." in alice.get("/plans").text
    changes(alice, another)


def test_my_change_at_the_periods_end_is_forgotten_when_the_price_that_i_agreed_to_is_replaced(
    desk: Flask, alice: Shopper
) -> None:
    pro, basic = plan(2900), plan(900)
    sell(desk, pro, basic)
    alice.subscribe(pro.name)
    offer(alice, basic.name).send()
    sell(desk, pro, replace(basic, prices=(replace(basic.prices[0], amount=1100),)), archive=True)
    facts = alice.standing.facts
    assert (alice.standing.code, facts.change_to, facts.change_price) == ("changing", basic.title, "€9.00")
    renew(alice)
    assert (alice.row.plan, alice.standing.code, bills(alice)[-1]) == (basic.name, "active", (900, "eur"))


def test_i_have_a_plan_that_is_no_longer_sold_and_am_told_that_it_is_unknown(
    desk: Flask, alice: Shopper
) -> None:
    gone, pro = plan(1900), plan(2900)
    sell(desk, gone, pro)
    alice.subscribe(gone.name)
    sell(desk, pro, archive=True)
    renew(alice)
    assert (alice.row.plan, alice.standing.code, bills(alice)) == (gone.name, "active", [(1900, "eur")] * 2)
    assert "€19.00 a month" in said(alice)
    assert f"/billing/change/{pro.name}" in alice.get("/plans").text
    offer(alice, pro.name).send()
    assert (alice.row.plan, alice.standing.code) == (pro.name, "active")


def test_i_am_charged_what_the_new_file_says_though_the_page_showed_the_old_price(
    desk: Flask, alice: Shopper
) -> None:
    """A release with another amount runs, and `plans push` has not: page and charge are the old ones."""
    pro = plan(2900)
    sell(desk, pro)
    dearer = replace(pro, prices=(replace(pro.prices[0], amount=3900),))
    desk.extensions["catalogue"] = Catalogue((dearer,), ())
    assert "€29.00" in alice.get("/plans").text
    check = alice.get(f"/subscribe/{pro.name}").text
    assert "€29.00 today" in check
    assert "€39.00" not in check
    alice.subscribe(pro.name)
    assert bills(alice) == [(2900, "eur")]


# Pain 23. Currency, the amounts of a small and a large plan by the month, and the small one as people read it.
SUMS = [
    ("jpy", 1400, 4600, "¥1,400"),
    ("kwd", 2500, 8120, "KWD\u00a02.500"),
    ("isk", 120_000, 400_000, "ISK\u00a01,200"),
]


@pytest.mark.parametrize(("currency", "small", "large", "text"), SUMS)
def test_i_am_charged_a_hundred_times_too_much_or_too_little_in_my_currency(
    desk: Flask, alice: Shopper, mails: MailSink, currency: str, small: int, large: int, text: str
) -> None:
    low, high = plan(small, currency=currency), plan(large, currency=currency)
    sell(desk, low, high)
    assert text in alice.get(f"/plans?currency={currency}").text
    assert f"{text} today" in alice.get(f"/subscribe/{low.name}?currency={currency}").text
    alice.subscribe(low.name)
    [charge] = alice.sandbox.stripe.charges.list({"customer": alice.customer})["data"]
    assert (charge["amount"], charge["currency"]) == (small, currency)
    assert bills(alice) == [(small, currency)]
    for page in ("/billing", "/invoices"):
        assert text in alice.get(page).text, page
    assert any(text in one.message.get_body(("plain",)).get_content() for one in mails.messages)

    renew(alice)
    assert charged(alice) == 2 * small
    alice.advance_by(10 * DAY + HOUR)
    before, quoted = charged(alice), offer(alice, high.name)
    quoted.send()
    paid = charged(alice) - before
    assert alice.row.plan == high.name
    assert 0 < paid < large - small
    assert paid % step(currency) == 0
    assert f"To pay today {format_money(paid, currency)} ".replace("\u00a0", " ") in quoted.words


def test_i_pay_in_euros_and_am_shown_dollars_that_stripe_then_refuses(desk: Flask, alice: Shopper) -> None:
    alice.has("basic")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    alice.advance_by(HOUR)
    page = alice.get("/plans?currency=usd")
    assert "Your account is billed in euros." in page.text
    assert "$" not in page.text
    refused = alice.post("/checkout", plan="pro", interval="month", currency="usd")
    assert refused.status_code == 409
    assert "Your account is billed in euros." in refused.text
    session_id = alice.order("pro", currency="eur")
    made = alice.sandbox.stripe.checkout.sessions.retrieve(session_id)
    assert (made["currency"], made["amount_total"]) == ("eur", 2900)


def test_my_browser_buys_in_dollars_and_the_price_is_the_dollar_price(desk: Flask, alice: Shopper) -> None:
    session_id = alice.order("pro", "year", currency="usd")
    assert alice.pay(session_id).status == 303
    wanted = fresh(PlanPrice, "pro_year_usd").amount
    alice.advance_by(HOUR)
    assert bills(alice) == [(wanted, "usd")]
    page = alice.get("/plans?currency=eur&interval=year").text
    assert "Your account is billed in US dollars." in page
    assert "/billing/change/team?interval=year" in page
    quoted = offer(alice, "team", "year")
    quoted.send()
    assert (alice.row.plan, alice.row.currency) == ("team", "usd")

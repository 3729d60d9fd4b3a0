"""Bringing the catalogue to Stripe: made once, never edited, found again by lookup key."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from billing import catalogue, leases, prices
from billing.comparison import compare
from billing.errors import PushUnderWay, StripeRefused, StripeUnavailable
from billing.extensions import db
from billing.models import PlanPrice, User
from billing.plans import Catalogue, Plan, Price, Product
from tests.admin_rows import subscription
from tests.registry import over_a_wire, sweep, time_passes
from tests.story import count
from tests.support import Sandbox
from tests.watching import all_rows
from tests.wire import Wire, cut, error

_numbers = itertools.count(1)


@pytest.fixture
def wire(app: Flask, sandbox_process: Sandbox) -> Iterator[Wire]:
    with over_a_wire(app, sandbox_process) as found:
        yield found


@pytest.fixture
def plan() -> Plan:
    """A plan that this Stripe has never seen, by the month and by the year."""
    name = f"plan{next(_numbers)}"
    prices = (Price(name, 2900, "eur", "month"), Price(name, 29000, "eur", "year"))
    return Plan(name, "Pro", "", (), (), 0, prices)


def push(*plans: Plan, products: tuple[Product, ...] = (), archive: bool = False) -> list[str]:
    return catalogue.push(db.session(), Catalogue(plans, products), archive=archive)


def compared(*plans: Plan, products: tuple[Product, ...] = (), archive: bool = False) -> list[str]:
    """What the operator reads before anything is done."""
    return [step.says() for step in compare(db.session(), Catalogue(plans, products), archive=archive)]


def costing(plan: Plan, amount: int, currency: str = "eur") -> Plan:
    """The plan with another price by the month."""
    month = replace(plan.prices[0], amount=amount, currency=currency)
    return replace(plan, prices=(month, *plan.prices[1:]))


def known(price: Price) -> PlanPrice:
    db.session.rollback()
    return db.session.get_one(PlanPrice, price.lookup_key, populate_existing=True)


def at_stripe(app: Flask, product: str) -> list[Any]:
    """Every price of a product at Stripe, oldest first."""
    found = app.extensions["sandbox"].stripe.prices.list({"product": product, "limit": 100})
    return list(reversed(found["data"]))


def paths(wire: Wire) -> list[str]:
    return [sent.path for sent in wire.writes]


def test_what_stripe_lacks_is_made_and_remembered(app: Flask, wire: Wire, plan: Plan) -> None:
    item = f"{plan.name}-credits"
    once = Product(item, "Credits", "", Price(item, 1500, "eur", None))
    lines = [
        f"{plan.name}: the product “Pro”: made",
        f"{plan.name}_month_eur: €29.00 a month: made",
        f"{plan.name}_year_eur: €290.00 a year: made",
        f"{item}: the product “Credits”: made",
        f"{item}_eur: €15.00: made",
    ]
    assert compared(plan, products=(once,)) == [line.replace("made", "would be made") for line in lines]
    assert push(plan, products=(once,)) == lines
    assert paths(wire) == ["/v1/products", "/v1/prices", "/v1/prices", "/v1/products", "/v1/prices"]
    for price in (*plan.prices, once.price):
        row = known(price)
        assert (row.item, row.amount, row.interval) == (price.item, price.amount, price.interval)
        [found] = [one for one in at_stripe(app, row.product_id) if one["lookup_key"] == price.lookup_key]
        interval = found["recurring"]["interval"] if found["recurring"] else None
        made = (found["id"], found["unit_amount"], found["currency"], interval)
        assert made == (row.price_id, price.amount, "eur", price.interval)
        assert found["metadata"]["plan"] == price.item, "an old price must still say which plan it is"
    assert known(plan.prices[0]).product_id == known(plan.prices[1]).product_id


def test_doing_it_again_writes_nothing(app: Flask, wire: Wire, plan: Plan) -> None:
    push(plan)
    rows, sent = all_rows(db.session()) | {"leases": ""}, len(wire.writes)
    for _ in range(2):
        assert all(line.endswith(": there") for line in compared(plan))
        assert push(plan) == []
    assert (len(wire.writes), all_rows(db.session()) | {"leases": ""}) == (sent, rows)


def test_the_comparison_writes_nothing(app: Flask, wire: Wire, plan: Plan) -> None:
    before = all_rows(db.session())
    assert len(compared(plan)) == 3
    assert (paths(wire), all_rows(db.session())) == ([], before)
    push(plan)
    before, sent = all_rows(db.session()), len(wire.writes)
    dearer = replace(costing(plan, 3900), title="Pro plus")
    assert compared(dearer) == [
        f"{plan.name}: the product is called “Pro”: would be called “Pro plus”",
        f"{plan.name}_month_eur: €29.00 a month: would be replaced by €39.00 a month; who has the old price keeps it",
        f"{plan.name}_year_eur: €290.00 a year: there",
    ]
    assert (len(wire.writes), all_rows(db.session())) == (sent, before)


def test_another_amount_makes_a_successor_under_the_same_key_and_leaves_the_old_price_alone(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    product, first = known(plan.prices[0]).product_id, known(plan.prices[0]).price_id
    for amount in (3900, 2900, 3900):
        push(costing(plan, amount))
    monthly = [one for one in at_stripe(app, product) if one["recurring"]["interval"] == "month"]
    assert [one["unit_amount"] for one in monthly] == [2900, 3900, 2900, 3900]
    assert [one["lookup_key"] for one in monthly] == [None, None, None, plan.prices[0].lookup_key]
    assert all(one["active"] for one in monthly), "those who have an old price keep it"
    assert monthly[0]["id"] == first
    assert known(plan.prices[0]).price_id == monthly[-1]["id"]
    assert known(plan.prices[0]).amount == 3900
    assert set(paths(wire)) == {"/v1/products", "/v1/prices"}, "no price is ever edited"


def test_a_push_that_broke_off_is_finished_by_the_next_one_without_a_second_price(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    for path in ("/v1/products", "/v1/prices"):
        wire.answer = lambda sent, path=path: (
            wire.lose_answer(sent) if sent.path == path else wire.pass_on(sent)
        )
        with pytest.raises(StripeUnavailable):
            push(plan)
    assert count(PlanPrice) == 0
    wire.answer = wire.pass_on
    push(plan)
    assert len(at_stripe(app, known(plan.prices[0]).product_id)) == 2
    assert len({sent.key for sent in wire.writes if sent.path == "/v1/products"}) == 1


def test_another_installation_on_the_account_finds_what_is_there(app: Flask, wire: Wire, plan: Plan) -> None:
    push(plan)
    price_id = known(plan.prices[0]).price_id
    db.session.execute(PlanPrice.__table__.delete())
    db.session.commit()
    sent = len(wire.writes)
    push(plan)
    assert (known(plan.prices[0]).price_id, len(wire.writes)) == (price_id, sent)


def test_a_new_currency_long_after_finds_the_product_that_was_made(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    """The keys of the first push are too old to be sent again."""
    monthly = replace(plan, prices=plan.prices[:1])
    push(monthly)
    product = known(plan.prices[0]).product_id
    time_passes(timedelta(days=30))
    dollars = costing(monthly, 3200, "usd")
    assert push(dollars) == [f"{plan.name}_month_usd: $32.00 a month: made"]
    left = "not in the file; left as it is (--archive ends its sale)"
    assert compared(dollars)[1:] == [f"{plan.name}_month_eur: €29.00 a month: {left}"]
    assert known(dollars.prices[0]).product_id == product
    assert paths(wire).count("/v1/products") == 1


def test_a_price_that_was_archived_at_stripe_gets_a_successor_that_can_be_sold(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    old = known(plan.prices[0])
    archived, product = old.price_id, old.product_id
    app.extensions["sandbox"].stripe.prices.update(archived, {"active": False})
    push(plan)
    [fresh] = [one for one in at_stripe(app, product) if one["lookup_key"] == plan.prices[0].lookup_key]
    assert (fresh["active"], fresh["unit_amount"]) == (True, 2900)
    assert known(plan.prices[0]).price_id == fresh["id"] != archived


def test_more_prices_than_stripe_takes_in_one_question_are_all_found(app: Flask, wire: Wire) -> None:
    name = f"many{next(_numbers)}"
    products = tuple(
        Product(f"{name}-{n}", "Thing", "", Price(f"{name}-{n}", 500 + n, "eur", None)) for n in range(12)
    )
    push(products=products)
    assert push(products=products) == []
    assert count(PlanPrice) == 12


def test_a_push_that_stripe_refused_half_way_is_repeated_once_the_cause_is_mended(
    wire: Wire, plan: Plan
) -> None:
    wire.answer = lambda sent: error(400) if sent.path == "/v1/prices" else wire.pass_on(sent)
    for _ in range(2):
        with pytest.raises(StripeRefused):
            push(plan)
    wire.answer = wire.pass_on
    time_passes(timedelta(hours=24))
    assert [line.rpartition(": ")[2] for line in push(plan)] == ["made", "made"]
    assert paths(wire).count("/v1/products") == 1


def test_a_product_that_was_renamed_or_archived_is_brought_back_to_the_file_however_often(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    product = known(plan.prices[0]).product_id
    api = app.extensions["sandbox"].stripe.products
    for name, active in (("Profi", True), ("Pro", False), ("Profi", True), ("Old", False)):
        api.update(product, {"name": name, "active": active})
        assert len(push(plan)) == (name != "Pro") + (not active)
        assert (api.retrieve(product)["name"], api.retrieve(product)["active"]) == ("Pro", True)
    assert push(plan) == []


def test_what_left_the_file_is_archived_only_where_that_is_asked_for_and_comes_back_as_another_price(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    yearly, product = known(plan.prices[1]).price_id, known(plan.prices[0]).product_id
    monthly = replace(plan, prices=plan.prices[:1])
    assert push(monthly) == []
    assert all(one["active"] for one in at_stripe(app, product))
    line = f"{plan.name}_year_eur: €290.00 a year: archived"
    assert compared(monthly, archive=True)[1:] == [line.replace("archived", "would be archived")]
    assert push(monthly, archive=True) == [line]
    assert [one["active"] for one in at_stripe(app, product)] == [True, False]
    assert prices.sold(db.session(), plan.prices[1]) is None, "what is archived is sold to nobody"
    assert prices.known(db.session(), yearly) is not None
    assert push(monthly, archive=True) == []
    [back] = push(plan)
    assert back.startswith(f"{plan.name}_year_eur: €290.00 a year, archived: replaced by €290.00 a year")
    assert known(plan.prices[1]).price_id not in (yearly, known(plan.prices[0]).price_id)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"price_id": "yearly"}, "left, since somebody has it"),
        ({"coming": {"kind": "scheduled", "price": "yearly"}}, "left, since somebody has it"),
        ({"price_id": "yearly", "status": "canceled"}, "would be archived"),
    ],
)
def test_a_price_that_somebody_has_or_is_about_to_have_is_not_archived(
    app: Flask, wire: Wire, plan: Plan, alice: User, row: dict[str, Any], said: str
) -> None:
    push(plan)
    yearly = known(plan.prices[1])
    named = json.loads(json.dumps(row).replace("yearly", yearly.price_id))
    subscription(db.session(), alice, **named)
    monthly = replace(plan, prices=plan.prices[:1])
    assert compared(monthly, archive=True)[-1].endswith(said)
    push(monthly, archive=True)
    actives = {one["id"]: one["active"] for one in at_stripe(app, yearly.product_id)}
    assert actives[yearly.price_id] is ("archived" not in said)


def test_a_replaced_price_is_archived_by_the_push_that_replaces_it_where_that_is_asked_for(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    old = known(plan.prices[0])
    said = push(costing(plan, 3900), archive=True)
    assert [line.split(": ")[2].split()[0] for line in said] == ["replaced", "archived"]
    actives = {one["unit_amount"]: one["active"] for one in at_stripe(app, old.product_id)}
    assert actives == {2900: False, 29000: True, 3900: True}
    assert known(plan.prices[0]).amount == 3900


def test_nothing_is_done_that_the_operator_did_not_say_yes_to(app: Flask, wire: Wire, plan: Plan) -> None:
    push(plan)
    agreed = compare(db.session(), Catalogue((plan,), ()))
    app.extensions["sandbox"].stripe.products.update(known(plan.prices[0]).product_id, {"name": "Other"})
    sent = len(wire.writes)
    with pytest.raises(PushUnderWay, match="Nothing was done"):
        catalogue.push(db.session(), Catalogue((plan,), ()), agreed=agreed)
    assert len(wire.writes) == sent
    assert len(push(plan)) == 1, "and the next push is not kept waiting"


def test_a_push_that_broke_off_with_another_amount_does_not_come_back_over_the_next_one(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    """Its write is open, and the completer would send it whenever it likes."""
    push(plan)
    product = known(plan.prices[0]).product_id
    wire.answer = lambda sent: (
        cut(sent) if sent.path == "/v1/prices" and sent.method == "POST" else wire.pass_on(sent)
    )
    with pytest.raises(StripeUnavailable):
        push(costing(plan, 3900))
    wire.answer = wire.pass_on
    push(costing(plan, 4900))
    assert sweep() == 0, "nothing is left for the completer"
    [sold] = [one for one in at_stripe(app, product) if one["lookup_key"] == plan.prices[0].lookup_key]
    assert (sold["unit_amount"], known(plan.prices[0]).price_id) == (4900, sold["id"])


def test_a_lookup_key_that_was_taken_away_at_stripe_is_given_to_a_new_price(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    old = known(plan.prices[0]).price_id
    app.extensions["sandbox"].stripe.prices.update(old, {"lookup_key": ""})
    assert push(plan) == [f"{plan.name}_month_eur: €29.00 a month: made"]
    assert known(plan.prices[0]).price_id != old
    assert prices.known(db.session(), old) is not None


def test_two_pushes_at_once_make_one_product_and_one_price_of_each(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    def one() -> list[str]:
        with app.app_context():
            return push(plan)

    with ThreadPoolExecutor(2) as pool:
        said = [job.result() for job in [pool.submit(one), pool.submit(one)]]
    assert sorted(map(len, said)) == [0, 3], "one waits for the other, and finds it done"
    assert len(at_stripe(app, known(plan.prices[0]).product_id)) == 2
    assert paths(wire).count("/v1/products") == 1


def test_a_push_is_told_that_another_one_is_under_way_where_that_takes_long(
    app: Flask, wire: Wire, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "WAIT_SECONDS", 0)
    assert leases.take(db.session(), catalogue.LEASE) is not None
    with pytest.raises(PushUnderWay, match="run it again"):
        push(plan)
    assert wire.writes == []


def test_a_push_that_breaks_off_before_it_archived_a_price_sells_it_to_nobody_and_the_next_one_archives_it(
    app: Flask, wire: Wire, plan: Plan
) -> None:
    push(plan)
    yearly, monthly = known(plan.prices[1]).price_id, replace(plan, prices=plan.prices[:1])
    wire.answer = lambda sent: cut(sent) if sent.path.endswith(yearly) else wire.pass_on(sent)
    with pytest.raises(StripeUnavailable):
        push(monthly, archive=True)
    assert prices.sold(db.session(), plan.prices[1]) is None
    wire.answer = wire.pass_on
    push(monthly, archive=True)
    assert not app.extensions["sandbox"].stripe.prices.retrieve(yearly)["active"]

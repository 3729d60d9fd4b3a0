"""The arithmetic of invoices: worked examples, and that nothing is ever lost."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import money
from sandbox.engine import totals
from sandbox.engine.totals import Due, Rule

Json = dict[str, Any]


def line(amount: int, discountable: bool = True, product: str = "prod_a", id_: str = "il_1") -> Json:
    details = {"price": "price_a", "product": product}
    return {
        "id": id_,
        "amount": amount,
        "discountable": discountable,
        "pricing": {"price_details": details, "type": "price_details", "unit_amount_decimal": None},
    }


def percent(value: str, id_: str = "di_1", products: frozenset[str] | None = None) -> Rule:
    return Rule(id_, percent_off=Fraction(value), products=products)


def taken(lines: list[Json], *rules: Rule) -> list[int]:
    return [sum(off.values()) for off in totals.amounts(lines, rules)]


@pytest.mark.parametrize(
    ("value", "whole"), [("1/2", 1), ("3/2", 2), ("-1/2", -1), ("-3/2", -2), ("249/100", 2), ("-249/100", -2)]
)
def test_halves_are_rounded_away_from_zero(value: str, whole: int) -> None:
    assert totals.rounded(Fraction(value)) == whole


def test_a_percentage_is_rounded_once_for_all_lines() -> None:
    """15 % of 9.99 is 1.4985; of three such lines 4.4955, and so 4.50 rather than three times 1.50."""
    assert taken([line(999)], percent("15")) == [150]
    assert taken([line(999)] * 3, percent("15")) == [150, 150, 150]
    assert taken([line(101)] * 3, percent("50")) == [51, 51, 50]
    assert taken([line(1000)], percent("25.5")) == [255]


def test_an_amount_off_is_split_in_proportion_to_the_unit() -> None:
    assert taken([line(1000), line(2000), line(3000)], Rule("di_1", amount_off=1000)) == [167, 333, 500]
    assert taken([line(100), line(100), line(100)], Rule("di_1", amount_off=100)) == [34, 33, 33]
    assert taken([line(300), line(200)], Rule("di_1", amount_off=9999)) == [300, 200]


def test_discounts_apply_one_after_the_other() -> None:
    """Half off 20.00 and then 5.00 leaves 5.00; the other way round 7.50."""
    half, five = percent("50", "di_half"), Rule("di_five", amount_off=500)
    assert totals.amounts([line(2000)], [half, five]) == [{"di_half": 1000, "di_five": 500}]
    assert totals.amounts([line(2000)], [five, half]) == [{"di_five": 500, "di_half": 750}]


def test_only_what_may_be_discounted_is() -> None:
    lines = [line(1000), line(1000, discountable=False), line(-400), line(1000, product="prod_b")]
    assert taken(lines, percent("10")) == [100, 0, 0, 100]
    assert taken(lines, percent("10", products=frozenset({"prod_b"}))) == [0, 0, 0, 100]


@pytest.mark.parametrize(
    ("total", "balance", "least", "step", "expected"),
    [
        (2000, 0, 50, 1, Due(2000, 0)),
        (2000, -500, 50, 1, Due(1500, 0, (("applied_to_invoice", 500),))),
        (2000, -5000, 50, 1, Due(0, -3000, (("applied_to_invoice", 2000),))),
        (2000, 700, 50, 1, Due(2700, 0, (("applied_to_invoice", -700),))),
        (-800, -100, 50, 1, Due(0, -900, (("applied_to_invoice", -800),))),
        (0, 700, 50, 1, Due(0, 700)),
        (30, 0, 50, 1, Due(0, 30, (("invoice_too_small", 30),))),
        (2000, -1970, 50, 1, Due(0, 30, (("applied_to_invoice", 1970), ("invoice_too_small", 30)))),
        (49, 0, 50, 1, Due(0, 49, (("invoice_too_small", 49),))),
        (15050, 0, 100, 100, Due(15100, -50, (("invoice_too_small", -50),))),
        (1234, 0, 1, 10, Due(1230, 4, (("invoice_too_small", 4),))),
    ],
)
def test_what_is_due_and_what_the_balance_keeps(
    total: int, balance: int, least: int, step: int, expected: Due
) -> None:
    """Facts 1.5 (what is too small to be charged) and 1.2 (ISK and UGX in hundreds, thousandths in tens)."""
    assert totals.due(total, balance, least, step) == expected


@pytest.mark.parametrize(
    ("currency", "step", "least", "words"),
    [
        ("jpy", 1, 50, "¥1,000"),
        ("kwd", 10, 1, "1.000 KWD"),
        ("isk", 100, 1, "10.00 ISK"),
        ("huf", 1, 17500, "10.00 HUF"),
    ],
)
def test_currencies_have_their_own_units(currency: str, step: int, least: int, words: str) -> None:
    assert (money.step(currency), money.minimum(currency)) == (step, least)
    assert money.words(1000, currency) == words


calm = settings(deadline=None, database=None, derandomize=True)

AMOUNTS = st.integers(min_value=-1_000_000, max_value=99_999_999)
PRODUCTS = st.sampled_from(["prod_a", "prod_b"])
LINES = st.lists(st.tuples(AMOUNTS, st.booleans(), PRODUCTS), max_size=12)
RULES = st.lists(
    st.tuples(
        st.one_of(
            st.integers(1, 10000).map(lambda n: ("percent", n)),
            st.integers(1, 10**8).map(lambda n: ("amount", n)),
        ),
        st.sampled_from([None, frozenset({"prod_a"})]),
    ),
    max_size=4,
)


def rule(number: int, what: tuple[str, int], products: frozenset[str] | None) -> Rule:
    kind, value = what
    if kind == "percent":
        return Rule(f"di_{number}", percent_off=Fraction(value, 100), products=products)
    return Rule(f"di_{number}", amount_off=value, products=products)


@calm
@given(LINES, RULES, RULES, st.integers(-(10**8), 10**8), st.sampled_from(sorted(money.KNOWN)))
def test_an_invoice_always_reconciles(
    shown: list[Any], own: list[Any], common: list[Any], balance: int, currency: str
) -> None:
    """Lines less their discounts are the subtotal, less the others the total; with the balance, what is due."""
    lines = [line(*each, id_=f"il_{n}") for n, each in enumerate(shown)]
    invoice: Json = {"lines": {"data": lines}}
    of_line = {lines[0]["id"]: [rule(n, *each) for n, each in enumerate(own)]} if lines else {}
    of_all = [rule(100 + n, *each) for n, each in enumerate(common)]
    totals.apply(invoice, of_line, of_all)

    off = [{each["discount"]: each["amount"] for each in shown["discount_amounts"]} for shown in lines]
    names = {each.id for each in of_all}
    own_off = sum(amount for each in off for id_, amount in each.items() if id_ not in names)
    common_off = sum(amount for each in off for id_, amount in each.items() if id_ in names)
    assert sum(each["amount"] for each in lines) - own_off == invoice["subtotal"]
    assert invoice["subtotal"] - common_off == invoice["total"]
    assert sum(each["amount"] for each in invoice["total_discount_amounts"]) == own_off + common_off
    for each, amounts in zip(lines, off, strict=True):
        assert all(amount >= 0 for amount in amounts.values())
        assert 0 <= sum(amounts.values()) <= max(each["amount"], 0)

    due = totals.due(invoice["total"], balance, money.minimum(currency), money.step(currency))
    assert balance + sum(amount for _, amount in due.moves) == due.ending_balance
    assert due.amount_due == 0 or due.amount_due >= money.minimum(currency)
    assert due.amount_due % money.step(currency) == 0
    assert invoice["total"] + balance == due.amount_due + due.ending_balance


@calm
@given(st.integers(0, 10**8), st.lists(st.integers(0, 10**8), min_size=1, max_size=20))
def test_shares_add_up_and_none_is_more_than_its_weight(part: int, weights: list[int]) -> None:
    total = min(part, sum(weights))
    split = totals.shares(total, weights)
    assert sum(split) == total
    assert all(0 <= share <= weight for share, weight in zip(split, weights, strict=True))

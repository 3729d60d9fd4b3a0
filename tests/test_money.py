"""Money is an integer in Stripe's minor unit, in every class of currency; only the formatter makes text of it."""

from __future__ import annotations

import ast
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import money
from billing.money import check_amount, format_money, to_decimal

BILLING = Path(money.__file__).parent
NBSP = "\u00a0"
# Stripe's table (docs.stripe.com/currencies), written out once more so that a slip in ours is seen.
NO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
THREE_DECIMALS = "bhd jod kwd omr tnd".split()
calm = settings(deadline=None, database=None)
any_currency = st.sampled_from((*NO_DECIMALS, *THREE_DECIMALS, "eur", "usd", "gbp", "huf", "twd"))


SHOWN = [
    (2900, "eur", "€29.00"),
    (5, "usd", "$0.05"),
    (0, "eur", "€0.00"),
    (123_456_789, "usd", "$1,234,567.89"),
    (2900, "jpy", "¥2,900"),
    (5000, "clp", f"CLP{NBSP}5,000"),
    (2500, "kwd", f"KWD{NBSP}2.500"),
    (500_000, "isk", f"ISK{NBSP}5,000"),
    (360_000, "ugx", f"UGX{NBSP}3,600"),
    (10_045, "huf", f"HUF{NBSP}100.45"),
    (10_000, "chf", f"CHF{NBSP}100.00"),
    (-500, "eur", "-€5.00"),
    (-2500, "kwd", f"-KWD{NBSP}2.500"),
]


@pytest.mark.parametrize(("amount", "currency", "text"), SHOWN)
def test_a_sum_is_shown_with_its_currencys_decimals_and_a_code_that_keeps_to_its_digits(
    amount: int, currency: str, text: str
) -> None:
    assert format_money(amount, currency) == text


def test_a_reader_of_another_language_sees_the_same_sum_their_way() -> None:
    assert format_money(123_450, "eur", "de") == f"1.234,50{NBSP}€"
    assert format_money(2500, "kwd", "de") == f"2,500{NBSP}KWD"


@pytest.mark.parametrize("currency", NO_DECIMALS)
def test_a_currency_without_cents_is_charged_and_shown_in_whole_units(currency: str) -> None:
    assert to_decimal(1234, currency) == Decimal(1234)
    assert format_money(1234, currency).endswith("1,234")


@pytest.mark.parametrize("currency", THREE_DECIMALS)
def test_a_currency_with_three_decimals_shows_three_and_ends_in_0(currency: str) -> None:
    assert to_decimal(1230, currency) == Decimal("1.230")
    assert format_money(1230, currency).endswith("1.230")
    assert check_amount(1230, currency) is None
    assert check_amount(1234, currency) == f"{currency.upper()} amounts must end in 0."


@pytest.mark.parametrize("currency", ["isk", "ugx"])
def test_isk_and_ugx_are_sent_with_two_decimals_that_are_00_and_shown_without(currency: str) -> None:
    assert to_decimal(5000, currency) == Decimal(50)
    assert format_money(5000, currency) == f"{currency.upper()}{NBSP}50"
    assert check_amount(5000, currency) is None
    assert check_amount(5050, currency) == f"{currency.upper()} amounts must be multiples of 100."


@pytest.mark.parametrize("currency", ["huf", "twd"])
def test_huf_and_twd_are_whole_in_payouts_only_so_a_price_keeps_its_decimals(currency: str) -> None:
    assert to_decimal(17_550, currency) == Decimal("175.50")
    assert check_amount(17_550, currency) is None


@calm
@given(amount=st.integers(-(10**15), 10**15), currency=any_currency)
def test_no_cent_is_lost_or_rounded_whatever_the_sum(amount: int, currency: str) -> None:
    value = to_decimal(amount, currency)
    assert type(value) is Decimal
    assert int(value.scaleb(money.decimals(currency))) == amount
    digits = "".join(char for char in format_money(amount, currency) if char.isdecimal())
    assert int(digits) == abs(amount)


WRONG: list[tuple[Any, str]] = [
    (0, "eur"),
    (-1, "eur"),
    (True, "eur"),
    (29.0, "eur"),
    ("2900", "eur"),
    (None, "eur"),
    (100_000_000, "eur"),
    (2900, "euro"),
    (2900, ""),
    (2900, "e1r"),
]


@pytest.mark.parametrize(("amount", "currency"), WRONG)
def test_what_stripe_would_refuse_as_a_price_is_refused_in_one_sentence(amount: Any, currency: str) -> None:
    said = check_amount(amount, currency)
    assert said is not None
    assert said.endswith(".")


def test_the_largest_and_the_smallest_price_are_good() -> None:
    assert check_amount(1, "eur") is None
    assert check_amount(money.LARGEST, "eur") is None


def test_no_code_that_holds_money_ever_makes_a_float_or_divides_into_one() -> None:
    holding = ("money", "plans", "catalogue", "payments", "invoices", "checkout", "subscriptions", "facts")
    modules = (*holding, "portal", "orders", "dunning", "models/money", "models/subscriptions")
    found = [
        f"{name}.py:{getattr(node, 'lineno', 0)}"
        for name in modules
        for node in ast.walk(ast.parse((BILLING / f"{name}.py").read_text()))
        if _is_inexact(node)
    ]
    assert found == []


def _is_inexact(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    return isinstance(node, ast.Name) and node.id in ("float", "round")

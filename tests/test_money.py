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
    (2900, "eud"),
    (49, "eur"),
]


@pytest.mark.parametrize(("amount", "currency"), WRONG)
def test_what_stripe_would_refuse_as_a_price_is_refused_in_one_sentence(amount: Any, currency: str) -> None:
    said = check_amount(amount, currency)
    assert said is not None
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("currency", "least", "largest"),
    [
        ("eur", 50, 99_999_999),
        ("jpy", 50, 99_999_999),
        ("huf", 17_500, 99_999_999),
        ("isk", 100, 99_999_900),
        ("kwd", 10, 99_999_990),
        ("idr", 1, 999_999_999_999),
    ],
)
def test_the_least_that_stripe_charges_and_the_most_are_good_and_what_is_beyond_is_not(
    currency: str, least: int, largest: int
) -> None:
    step = money.step(currency)
    assert [check_amount(amount, currency) for amount in (least, largest)] == [None, None]
    for amount in (least - step, largest + step):
        assert check_amount(amount, currency) is not None, amount


def test_a_price_that_stripe_would_not_charge_names_both_sums() -> None:
    assert (
        check_amount(100, "huf")
        == f"Stripe charges no less than HUF{NBSP}175.00, and this price is HUF{NBSP}1.00."
    )


# C4. The sums are 1,234.50 of each currency, or what is nearest to it: the formatter alone decides.
GOLDEN = {
    ("eur", 123_450): ("€1,234.50", "1.234,50_€", "1~234,50_€", "€1,234.50"),
    ("usd", 123_450): ("$1,234.50", "1.234,50_$", "1~234,50_$US", "$1,234.50"),
    ("jpy", 1_234): ("¥1,234", "1.234_¥", "1~234_JPY", "￥1,234"),
    ("isk", 123_400): ("ISK_1,234", "1.234_ISK", "1~234_ISK", "ISK_1,234"),
    ("huf", 123_450): ("HUF_1,234.50", "1.234,50_HUF", "1~234,50_HUF", "HUF_1,234.50"),
    ("ugx", 123_400): ("UGX_1,234", "1.234_UGX", "1~234_UGX", "UGX_1,234"),
    ("kwd", 1_234_500): ("KWD_1,234.500", "1.234,500_KWD", "1~234,500_KWD", "KWD_1,234.500"),
}


@pytest.mark.parametrize(("sum_", "texts"), GOLDEN.items())
def test_a_sum_is_written_as_each_language_writes_it_and_never_breaks_across_lines(
    sum_: tuple[str, int], texts: tuple[str, ...]
) -> None:
    currency, amount = sum_
    shown = [format_money(amount, currency, locale) for locale in ("en", "de", "fr", "ja")]
    assert shown == [text.replace("_", NBSP).replace("~", "\u202f") for text in texts]


@pytest.mark.parametrize(
    ("amount", "parts", "currency", "one"),
    [
        (29_000, 12, "eur", 2417),  # 2416.67
        (9000, 12, "eur", 750),
        (46_000, 12, "jpy", 3833),
        (1_000_000, 12, "isk", 83_300),  # 83,333 is no amount of this currency
        (100_000, 12, "kwd", 8330),
        (6, 12, "eur", 1),  # half a cent
        (5, 12, "eur", 0),
    ],
)
def test_a_share_is_rounded_to_what_the_currency_has(
    amount: int, parts: int, currency: str, one: int
) -> None:
    assert money.share(amount, parts, currency) == one


@pytest.mark.parametrize(
    ("amount", "percent", "off"),
    [(2900, 25, 725), (2900, 12.5, 363), (999, 33.33, 333), (1, 50, 1), (2900, 0, 0)],
)
def test_percents_are_taken_to_the_unit(amount: int, percent: float, off: int) -> None:
    assert money.part(amount, percent) == off


def test_no_code_that_holds_money_ever_makes_a_float_or_divides_into_one() -> None:
    holding = "money plans plan_file prices pricing comparison catalogue payments invoices checkout subscriptions facts"
    modules = (*holding.split(), "portal", "orders", "dunning", "models/money", "models/subscriptions")
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

"""Small rules without a server: cards, money, periods, form encoding, differences."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import cards, money, periods, signing
from sandbox.api import form
from sandbox.errors import ApiError
from sandbox.events import difference


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


def test_every_test_card_but_one_has_a_right_check_digit() -> None:
    assert [card.number for card in cards.TABLE if not cards.luhn(card.number)] == []
    assert not cards.luhn("4242424242424241")
    assert not cards.luhn("４２４２４２４２４２４２４２４２")


@pytest.mark.parametrize(
    ("alias", "number"),
    [
        ("pm_card_visa", "4242424242424242"),
        ("tok_visa", "4242424242424242"),
        ("pm_card_chargeDeclined", "4000000000000002"),
        ("tok_chargeCustomerFail", "4000000000000341"),
        ("pm_card_authenticationRequired", "4000002760003184"),
    ],
)
def test_aliases_name_cards(alias: str, number: str) -> None:
    card = cards.alias(alias)
    assert card is not None
    assert card.number == number
    assert cards.alias("pm_card_gold") is None


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [(2500, "usd", "$25.00"), (500, "jpy", "¥500"), (1230, "kwd", "1.230 KWD"), (-99, "eur", "-€0.99")],
)
def test_amounts_are_said_in_their_currency(amount: int, currency: str, words: str) -> None:
    assert money.words(amount, currency) == words


def test_months_are_counted_from_the_anchor() -> None:
    month = {"interval": "month", "interval_count": 1}
    anchor = at(2027, 1, 31, 12)
    assert [periods.boundary(anchor, month, n) for n in (1, 2, 3)] == [
        at(2027, 2, 28, 12), at(2027, 3, 31, 12), at(2027, 4, 30, 12)
    ]  # fmt: skip
    year = {"interval": "year", "interval_count": 1}
    assert periods.boundary(at(2028, 2, 29), year, 1) == at(2029, 2, 28)
    assert periods.boundary(at(2028, 2, 29), year, 4) == at(2032, 2, 29)
    assert periods.boundary(anchor, {"interval": "week", "interval_count": 2}, 1) == anchor + 14 * 86400


@given(
    st.integers(min_value=0, max_value=4_000_000_000),
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(min_value=1, max_value=3),
)
def test_each_boundary_is_later_than_the_last(anchor: int, interval: str, count: int) -> None:
    recurring = {"interval": interval, "interval_count": count}
    ends = [periods.boundary(anchor, recurring, n) for n in range(1, 6)]
    assert ends == sorted(set(ends))
    assert ends[0] > anchor
    assert periods.following(anchor, recurring, ends[2]) == ends[3]


def test_brackets_become_a_tree() -> None:
    tree = form.decode("a=1&b[c][0]=x&b[c][1]=y&expand%5B%5D=p&expand%5B%5D=q&e=")
    assert tree == {"a": "1", "b": {"c": {"0": "x", "1": "y"}}, "expand": {"0": "p", "1": "q"}, "e": ""}
    params = form.Params(tree)
    assert params.child("b").texts("c") == ["x", "y"]
    assert (params.has("e"), params.text("e")) == (True, None)


@pytest.mark.parametrize("path", ["a[b]", "rows[0][x]", "deep[1][y]"])
def test_a_parameter_that_is_not_listed_is_named(path: str) -> None:
    accepted = frozenset({"a", "rows.#.y", "metadata.*"})
    with pytest.raises(ApiError) as caught:
        form.check(form.decode(f"{path}=1"), accepted)
    assert caught.value.error["param"] == path
    form.check(form.decode("a=1&rows[3][y]=2&metadata[any thing]=3&rows="), accepted)


def test_differences_are_nested_for_objects_and_whole_for_lists() -> None:
    old = {"a": 1, "b": {"c": None, "d": 2}, "e": [1, 2], "f": 0}
    new = {"a": 1, "b": {"c": 5, "d": 2}, "e": [1, 3], "f": 0, "g": 7}
    assert difference(old, new) == {"b": {"c": None}, "e": [1, 2], "g": None}


def test_a_signature_carries_one_v1_for_each_secret() -> None:
    header = signing.header(b"{}", ["whsec_old", "whsec_new"], at=1)
    assert header.startswith("t=1,v1=")
    assert header.count("v1=") == 2
    assert header.count("v0=") == 1

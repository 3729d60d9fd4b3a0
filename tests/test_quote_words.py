"""The words of a quote: what they name, and that each language has all of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from billing import language, quote_words
from billing.previews import Part
from billing.quote_words import Names
from billing.quoting import Quote

DECEMBER, JANUARY = 1796306400, 1798984800  # 3 December 2026 and 3 January 2027
QUOTE = Quote(
    subscription="sub_1",
    item="si_1",
    price="price_new",
    quantity=1,
    had=("price_old", 1),
    timing="now",
    moment=DECEMBER,
    currency="eur",
    then=4900,
    then_on=JANUARY,
    interval="month",
    period_end=JANUARY,
    due=1142,
)
NAMES = Names("Team", "Pro", {"price_old": "Pro", "price_new": "Team"})
SEATS = replace(NAMES, seats=True)
CASES = {
    "now": (
        QUOTE,
        NAMES,
        "Team begins at once. €11.42 today. Then €49.00 on 3 January 2027 and every month.",
    ),
    "another interval": (
        replace(QUOTE, interval="year", period_end=DECEMBER),
        NAMES,
        "Your billing date moves: you next pay on 3 January 2027, not on 3 December 2026.",
    ),
    "a discount ends": (
        replace(QUOTE, later=5900),
        NAMES,
        "Then €49.00 on 3 January 2027, and €59.00 every month once your discount has ended.",
    ),
    "later": (
        replace(QUOTE, timing="period_end", due=0),
        NAMES,
        "You keep Pro until 3 January 2027. Nothing to pay today. Then €49.00 on 3 January 2027 and every month.",
    ),
    "trial": (replace(QUOTE, timing="trial", due=0), NAMES, "Your trial goes on until 3 January 2027."),
    "one seat": (replace(QUOTE, had=("p", 2)), SEATS, "You have 1 seat at once."),
    "fewer seats": (
        replace(QUOTE, timing="period_end", due=0, had=("p", 5)),
        SEATS,
        "You keep 5 seats until 3 January 2027.",
    ),
    "seats in a trial": (
        replace(QUOTE, timing="trial", due=0, quantity=4),
        SEATS,
        "You have 4 seats at once, and your trial goes on until 3 January 2027.",
    ),
    "kept": (
        replace(QUOTE, due=0, parts=(Part("kept", 700),)),
        NAMES,
        "€7.00 stays as credit and pays for what comes.",
    ),
    "carried": (
        replace(QUOTE, due=0, parts=(Part("carried", -30),)),
        NAMES,
        "€0.30 is too small to charge and is added to your next payment.",
    ),
    "credit later": (
        replace(QUOTE, timing="trial", due=0, balance=-700),
        NAMES,
        "€7.00 that we owe you is taken off what you pay then.",
    ),
    "debt later": (
        replace(QUOTE, timing="period_end", due=0, balance=300),
        NAMES,
        "€3.00 left from before is added to what you pay then.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_sentences_say_when_and_how_much(name: str) -> None:
    quoted, names, words = CASES[name]
    assert words in " ".join(quote_words.sentences(quoted, names))


@pytest.mark.parametrize(
    ("quoted", "names", "words"),
    [
        (QUOTE, NAMES, "Change to Team and pay €11.42"),
        (replace(QUOTE, due=0), NAMES, "Change to Team"),
        (replace(QUOTE, timing="period_end", due=0), NAMES, "Change to Team on 3 January 2027"),
        (replace(QUOTE, quantity=5), SEATS, "Change to 5 seats and pay €11.42"),
        (replace(QUOTE, timing="period_end", due=0), SEATS, "Change to 1 seat on 3 January 2027"),
        (replace(QUOTE, timing="trial", due=0, quantity=3), SEATS, "Change to 3 seats"),
    ],
)
def test_the_button_says_what_it_does_and_what_it_costs(quoted: Quote, names: Names, words: str) -> None:
    assert quote_words.button(quoted, names) == words


def test_every_part_has_a_label_and_words() -> None:
    parts = [
        Part("credit", -630, "price_old", 1, JANUARY),
        Part("charge", 3000, "price_new", 3, JANUARY),
        Part("other", 500, None, 1, JANUARY, "Setting up"),
        Part("tax", 190),
    ]
    assert quote_words.rows(replace(QUOTE, parts=tuple(parts)), NAMES) == [
        ("Credit", "Pro, paid and not used until 3 January 2027", -630),
        ("Charge", "3 × Team until 3 January 2027", 3000),
        ("Also due", "Setting up", 500),
        ("Tax", "Added to the price", 190),
    ]
    assert set(quote_words.SAID) | {"credit", "charge", "other"} == set(quote_words.LABELS)


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_it_stays_english_in_german(name: str) -> None:
    quoted, names, _words = CASES[name]
    english = {*quote_words.sentences(quoted, names), quote_words.button(quoted, names)}
    with language.speaking("de"):
        german = {*quote_words.sentences(quoted, names), quote_words.button(quoted, names)}
    assert not english & german


def test_every_label_is_german_in_german() -> None:
    labels = {*quote_words.LABELS.values(), *quote_words.SAID.values()}
    with language.speaking("de"):
        assert not labels & {language._(label) for label in labels}

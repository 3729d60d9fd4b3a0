"""The plans page: what is charged, how often and in which currency, without an account and with one."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import language, plan_cards, prices
from billing.models import PlanPrice, User
from billing.plans import Catalogue, Plan, Price, Seats
from tests.admin_rows import invoice, queries, subscription
from tests.shelf import put_on_sale

NBSP = "\u00a0"
FOLDER = Path(__file__).parent.parent


@pytest.fixture
def shop(app: Flask) -> Catalogue:
    """What we ship, on sale."""
    return put_on_sale(app)


@pytest.fixture
def browser(client: FlaskClient, alice: User, sign_in: Callable[[FlaskClient, User], None]) -> FlaskClient:
    sign_in(client, alice)
    return client


def read(client: FlaskClient, path: str = "/plans", accept: str = "") -> str:
    """The page as a person reads it."""
    page = client.get(path, headers={"Accept-Language": accept})
    assert page.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.text)).split(" ")).replace("\n", " ")


def cards(client: FlaskClient, path: str = "/plans", accept: str = "") -> dict[str, str]:
    page = client.get(path, headers={"Accept-Language": accept}).text
    found = re.findall(
        r'<section class="plan" aria-labelledby="plan-([\w-]+)">(.*?)</section>', page, re.DOTALL
    )
    return {
        name: " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).replace(NBSP, "_").split())
        for name, text in found
    }


def links(client: FlaskClient, path: str, label: str) -> dict[str, tuple[str, bool]]:
    """The links of one choice: words, and where each leads and whether it is where we are."""
    page = client.get(path).text
    part = re.search(rf'<nav aria-label="{label}">(.*?)</nav>', page, re.DOTALL)
    found = re.findall(r'<a href="([^"]*)"( aria-current="true")?>([^<]*)</a>', part[1] if part else "")
    return {words: (unescape(href), bool(now)) for href, now, words in found}


def sell(app: Flask, *given: Plan) -> None:
    put_on_sale(app, Catalogue(given, ()))


def plan(name: str, *terms: tuple[str, str, int], **more: Any) -> Plan:
    found = tuple(Price(name, amount, currency, interval) for interval, currency, amount in terms)
    return Plan(name, name.capitalize(), "For this test.", (), (), more.pop("trial_days", 0), found, **more)


def test_interval_and_currency_are_links_that_keep_each_other(client: FlaskClient, shop: Catalogue) -> None:
    for path in ("/", "/plans"):
        by_month = f"{path}?interval=month&currency=usd"
        assert links(client, f"{path}?interval=year&currency=usd", "How often you pay") == {
            "Monthly": (by_month, False),
            "Yearly": (f"{path}?interval=year&currency=usd", True),
        }
        assert links(client, by_month, "Currency") == {
            code.upper(): (f"{path}?interval=month&currency={code}", code == "usd")
            for code in ("eur", "usd", "jpy")
        }


@pytest.mark.parametrize(
    ("path", "basic"),
    [
        ("/plans", "€9.00 a month"),
        ("/plans?currency=usd", "$10.00 a month"),
        ("/plans?currency=USD", "$10.00 a month"),
        ("/plans?interval=year&currency=jpy", "¥14,000 a year works out at ¥1,167 a month; 2 months free"),
        ("/plans?currency=chf", "€9.00 a month"),
        ("/plans?currency=", "€9.00 a month"),
        ("/plans?currency=%00&interval=%00", "€9.00 a month"),
    ],
)
def test_the_sum_that_is_charged_comes_first_in_the_currency_that_was_asked_for(
    client: FlaskClient, shop: Catalogue, path: str, basic: str
) -> None:
    card = cards(client, path)["basic"]
    assert card.startswith(f"Basic {basic}")
    interval, currency = (
        "year" if " a year" in basic else "month",
        {"€": "eur", "$": "usd", "¥": "jpy"}[basic[0]],
    )
    href = f'href="/subscribe/basic?interval={interval}&amp;currency={currency}"'
    assert href in client.get(path).text


@pytest.mark.parametrize(
    ("accept", "sign"),
    [
        ("", "€"),
        ("en-US,en;q=0.9", "$"),
        ("ja-JP", "¥"),
        ("de-AT", "€"),
        ("en-GB,en-US;q=0.8", "€"),  # pounds are not sold, and dollars are not theirs
        ("de,en-US;q=0.7,en;q=0.3", "€"),  # how a browser that is set to German says so
        ("de-DE;q=0.5,en-US;q=0.9", "$"),
        ("zh-Hans-JP", "¥"),
        ("en-XX, *", "€"),
        ("x" * 500, "€"),
    ],
)
def test_the_region_of_the_first_language_chooses_where_nobody_else_did(
    client: FlaskClient, shop: Catalogue, accept: str, sign: str
) -> None:
    price = cards(client, "/plans", accept)["pro"].split(" a month")[0].split(" im Monat")[0]
    assert sign in price, "before the amount or behind it, as the language has it"
    assert "€" in cards(client, "/plans?currency=eur", accept)["pro"]


def test_a_region_whose_currency_not_every_plan_has_chooses_nothing(app: Flask, client: FlaskClient) -> None:
    sell(app, plan("one", ("month", "eur", 900), ("month", "jpy", 1400)), plan("two", ("month", "eur", 1900)))
    assert list(cards(client, "/plans", "ja-JP")) == ["one", "two"]
    page = read(client, "/plans?currency=jpy")
    assert "Not sold in Japanese yen by the month: Two." in page
    assert "See all plans" in page
    assert list(cards(client, "/plans?currency=jpy")) == ["one"]


def test_an_interval_that_nothing_is_sold_by_is_not_offered(app: Flask, client: FlaskClient) -> None:
    sell(app, plan("one", ("month", "eur", 900), ("year", "usd", 9900)))
    assert cards(client, "/plans?interval=year")["one"].startswith("One €9.00 a month")
    assert cards(client, "/plans?currency=usd")["one"].startswith(
        "One $99.00 a year works out at $8.25 a month"
    )
    assert links(client, "/plans", "How often you pay") == {}


@pytest.mark.parametrize(
    ("currency", "month", "year", "note"),
    [
        ("eur", 2900, 29_000, "works out at €24.17 a month; 2 months free"),
        ("eur", 2900, 31_900, "works out at €26.58 a month; 1 month free"),
        ("eur", 2900, 30_000, "works out at €25.00 a month"),  # 1.66 months: no whole number is true
        ("eur", 2900, 34_800, "works out at €29.00 a month"),  # nothing is free
        ("eur", 2900, 40_000, "works out at €33.33 a month"),
        ("jpy", 1400, 14_000, "works out at ¥1,167 a month; 2 months free"),
        ("isk", 120_000, 1_200_000, "works out at ISK_1,000 a month; 2 months free"),
        ("isk", 120_000, 1_300_000, "works out at ISK_1,083 a month"),
        ("kwd", 2500, 25_000, "works out at KWD_2.080 a month; 2 months free"),
        ("huf", 290_000, 2_900_000, "works out at HUF_2,416.67 a month; 2 months free"),
        ("ugx", 3_600_000, 36_000_000, "works out at UGX_30,000 a month; 2 months free"),
    ],
)
def test_a_year_by_the_month_is_reckoned_in_what_the_currency_has_and_only_whole_months_are_free(
    app: Flask, client: FlaskClient, currency: str, month: int, year: int, note: str
) -> None:
    sell(app, plan("one", ("month", currency, month), ("year", currency, year)))
    card = cards(client, "/plans?interval=year")["one"]
    assert card.startswith(f"One {card.split()[1]} a year {note} For this test."), card


TRIALS = [
    ({}, "Your card is asked for at the start and charged when the trial ends, unless you cancel."),
    (
        {"payment_method_collection": "if_required"},
        "No card needed. One stops when the trial ends unless you add a card.",
    ),
    (
        {"payment_method_collection": "if_required", "missing_payment_method": "pause"},
        "No card needed. One pauses when the trial ends until you add a card.",
    ),
    (
        {"payment_method_collection": "if_required", "missing_payment_method": "create_invoice"},
        "No card needed. The first invoice comes when the trial ends.",
    ),
]


@pytest.mark.parametrize(("terms", "said"), TRIALS)
def test_the_terms_of_a_trial_are_told_before_anybody_signs_up(
    app: Flask, client: FlaskClient, terms: dict[str, str], said: str
) -> None:
    sell(app, plan("one", ("month", "eur", 900), trial_days=14, **terms))
    assert f"The first 14 days are free. {said}" in cards(client)["one"]


def test_tax_and_the_way_out_are_told_and_a_seat_is_named_as_what_the_price_is_for(
    app: Flask, client: FlaskClient
) -> None:
    sell(app, plan("one", ("month", "eur", 900), seats=Seats(1, 20)))
    page = read(client)
    assert "Any tax is shown on the payment page before you pay." in page
    assert "Cancel any time in Billing; you keep access until the end of the period you paid for." in page
    assert "€9.00 a month for each seat" in cards(client)["one"]


def test_what_was_not_brought_to_stripe_is_not_shown_and_another_amount_there_is_the_one_that_counts(
    client: FlaskClient, shop: Catalogue, db_session: Session
) -> None:
    """The new file is live before `plans push` has run, or the other way round."""
    db_session.get_one(PlanPrice, "pro_month_eur").amount = 3900
    db_session.delete(db_session.get_one(PlanPrice, "team_month_eur"))
    db_session.commit()
    shown = cards(client)
    assert shown["pro"].startswith("Pro €39.00 a month")
    assert list(shown) == ["basic", "pro"]
    price = shop.plans[1].prices[0]
    assert prices.at_stripe(db_session, price).amount == 3900


def test_nothing_on_sale_says_so_and_tells_an_admin_what_to_do(
    client: FlaskClient, admin: User, sign_in: Callable[[FlaskClient, User], None]
) -> None:
    assert "No plans are on sale yet." in read(client)
    assert "flask setup" not in read(client)
    assert 'href="mailto:' in client.get("/plans").text
    sign_in(client, admin)
    assert "Run flask setup to bring the prices" in " ".join(read(client).split())


def test_whoever_was_billed_before_sees_their_own_currency_whatever_the_address_says(
    browser: FlaskClient, shop: Catalogue, db_session: Session, alice: User
) -> None:
    row = subscription(db_session, alice, status="canceled", currency="usd")
    for path in ("/plans", "/plans?currency=eur", "/plans?currency=jpy"):
        assert "Your account is billed in US dollars." in read(browser, path, "ja-JP")
        assert cards(browser, path, "ja-JP")["basic"].startswith("Basic $10.00 a month")
        assert links(browser, path, "Currency") == {}
    invoice(db_session, row, currency="usd")
    row.currency = "chf"
    db_session.commit()
    page = " ".join(read(browser).split())
    assert "Your account is billed in Swiss francs. No plan is sold in that currency now." in page
    assert 'href="mailto:' in browser.get("/plans").text


def test_whoever_pays_an_old_price_sees_it_as_theirs_and_may_take_a_lower_new_one(
    browser: FlaskClient, shop: Catalogue, db_session: Session, alice: User
) -> None:
    row = subscription(db_session, alice, amount=1900)
    own = cards(browser)["pro"]
    assert own.startswith("Pro €19.00 a month You keep your price. It costs others €29.00 now.")
    assert own.endswith("Your plan See it in Billing")
    row.amount, row.quantity = 3900, 2
    db_session.commit()
    own = cards(browser)["pro"]
    assert own.startswith("Pro €78.00 a month 2 seats at €39.00 The price is €29.00 now.")
    assert own.endswith("Your plan Change to the new price")
    assert 'href="/billing/change/pro?interval=month"' in browser.get("/plans").text


def test_the_page_asks_the_database_eight_times_at_most(
    browser: FlaskClient, shop: Catalogue, db_session: Session, alice: User
) -> None:
    """D5."""
    browser.get("/plans")
    for row in (None, subscription(db_session, alice, status="canceled")):
        with queries() as seen:
            assert browser.get("/plans?interval=year").status_code == 200
        assert len(seen) <= 8, (row, seen)


@pytest.mark.parametrize(("terms", "said"), TRIALS)
def test_a_card_of_the_page_is_said_in_german_as_a_whole(terms: dict[str, str], said: str) -> None:
    one = plan("one", ("month", "eur", 2900), ("year", "eur", 29_000), trial_days=14, **terms)
    with language.speaking("de"):
        card = plan_cards.card(one, "year", "eur", plan_cards.Reader())
    assert card["notes"] == [f"das sind 24,17{NBSP}€ im Monat; 2 Monate geschenkt"]
    assert card["trial"][0] == "Die ersten 14 Tage sind kostenlos."
    assert card["trial"][1] not in said
    assert card["label"] == "One wählen"


# C12: words that no page of ours uses.
AVOIDED = re.compile(r"\b(please|sorry|oops|invalid|forbidden|valid|simply)\b|!|\.\.\.|[\"']", re.IGNORECASE)


def test_no_sentence_of_the_plans_page_uses_a_word_to_avoid_and_each_has_a_german_one() -> None:
    template = (FOLDER / "templates/plans/index.html").read_text() + (
        FOLDER / "templates/plans/none.html"
    ).read_text()
    said = re.findall(r"""_n?\((["'])(.+?)\1""", template + (FOLDER / "billing/plan_cards.py").read_text())
    sentences = {words for _, words in said} | set(plan_cards.WITHOUT_CARD.values())
    assert len(sentences) > 25
    with language.speaking("de"):
        # Of a sentence with a number the word for one; a Python may find it by ``_`` too, or not (3.11.2).
        german = language._translations("de")
        theirs = {words: {language._(words), german.ngettext(words, words, 1)} for words in sentences}
        same = [words for words in sentences if theirs[words] == {words} and "{count}" not in words]
    assert (same, [words for words in sentences if AVOIDED.search(words)]) == ([], [])

"""The pages people live with: what a plan costs, where they stand and what they paid, from our rows alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import facts, voice
from billing.clock import now
from billing.config import Config
from billing.models import User
from billing.voice import Action, Voice
from tests.admin_rows import NOW, invoice, owed, payment, subscription
from tests.shelf import put_on_sale


@pytest.fixture
def browser(client: FlaskClient, alice: User, sign_in: Callable[[FlaskClient, User], None]) -> FlaskClient:
    """Alice's, signed in."""
    sign_in(client, alice)
    return client


def text_of(html: str) -> str:
    """What a person reads of it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def cards(client: FlaskClient, path: str) -> dict[str, str]:
    """Each plan's card as a person reads it."""
    page = client.get(path).text
    found = re.findall(r'<section class="plan"(.*?)</section>', page, re.DOTALL)
    texts = [text_of(f"<{one}") for one in found]
    return {text.split()[0]: text for text in texts}


def heading(client: FlaskClient, path: str = "/billing") -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", client.get(path).text, re.DOTALL)
    assert found is not None
    return text_of(found[1])


def test_everybody_reads_what_each_plan_costs_by_the_month_and_by_the_year(
    client: FlaskClient, app: Flask
) -> None:
    put_on_sale(app)
    by_month = {"Basic": "€9.00 a month", "Pro": "€29.00 a month", "Team": "€79.00 a month"}
    for path in ("/", "/plans", "/plans?interval=month", "/plans?interval=decade", "/plans?interval="):
        shown = cards(client, path)
        assert list(shown) == ["Basic", "Pro", "Team"]
        for name, price in by_month.items():
            assert price in shown[name], path
            assert "works out" not in shown[name]
    by_year = {"Basic": ("€90.00", "€7.50"), "Pro": ("€290.00", "€24.17"), "Team": ("€790.00", "€65.83")}
    for name, (price, each_month) in by_year.items():
        card = cards(client, "/plans?interval=year")[name]
        assert f"{price} a year" in card
        assert f"works out at {each_month} a month; 2 months free" in card
    assert "The first 14 days are free." in cards(client, "/plans")["Team"]
    assert "free" not in cards(client, "/plans")["Pro"]
    assert 'href="/subscribe/pro?interval=year&amp;currency=eur"' in client.get("/plans?interval=year").text


def test_whoever_has_a_plan_sees_which_and_is_sold_no_second(
    app: Flask, browser: FlaskClient, db_session: Session, alice: User
) -> None:
    put_on_sale(app)
    assert all("Choose" in card for card in cards(browser, "/plans").values())
    row = subscription(db_session, alice)
    for status in ("active", "trialing", "past_due", "unpaid", "paused", "incomplete"):
        row.status = status
        db_session.commit()
        for path in ("/plans", "/plans?interval=year"):
            shown = cards(browser, path)
            assert ["Your plan" in card for card in shown.values()] == [False, True, False], status
            assert not any("Choose" in card for card in shown.values())
    row.status = "canceled"
    db_session.commit()
    assert all("Choose" in card for card in cards(browser, "/plans").values())


LATER = NOW + timedelta(days=9)
STANDINGS: list[tuple[str, dict[str, Any]]] = [
    ("active", {}),
    ("canceling", {"cancel_at": LATER}),
    ("canceling", {"cancel_at_period_end": True}),
    ("trialing", {"status": "trialing", "trial_end": LATER}),
    ("trialing_no_card", {"status": "trialing", "trial_end": LATER, "card_last4": None}),
    ("past_due", {"status": "past_due", "first_failed_at": NOW - timedelta(days=2)}),
    ("past_due_hold", {"status": "past_due", "first_failed_at": NOW - timedelta(days=20)}),
    ("unpaid", {"status": "unpaid"}),
    ("paused_asked", {"status": "paused", "status_reason": "pause_requested"}),
    ("collection_paused", {"pause_collection": {"behavior": "void", "resumes_at": None}}),
    ("unknown", {"status": "a_status_of_tomorrow"}),
    ("ended", {"status": "canceled", "ended_at": NOW}),
]


def test_the_billing_page_says_what_the_standing_says_and_offers_what_it_offers(
    browser: FlaskClient, db_session: Session, alice: User, config: Config
) -> None:
    assert heading(browser) == "You don’t have a plan yet."
    row = subscription(db_session, alice)
    owed(db_session, row)
    plain = {name: getattr(row, name) for _, changes in STANDINGS for name in changes}
    for code, changes in STANDINGS:
        for name, value in {**plain, **changes}.items():
            setattr(row, name, value)
        db_session.commit()
        said = spoken(db_session, alice, config)
        page = browser.get("/billing").text
        assert said.code == code
        assert heading(browser) == said.sentence
        assert said.body in text_of(page)
        assert f">{said.tag}</span>" in page
        assert said.primary is not None
        for action in (said.primary, *said.links):
            assert action.label in text_of(page), (code, action)
            attribute = "action" if action.method == "post" else "href"
            assert f'{attribute}="{action.href}"' in page, (code, action)


def spoken(session: Session, user: User, config: Config) -> Voice:
    session.rollback()
    standing = facts.standing_of(session, user.id, config, now())
    contact = f"mailto:{config.support_email}"
    return voice.speak(standing, product=Action("Go to Dunlin", "/app"), contact=contact)


def test_the_details_are_the_facts_and_what_is_not_known_is_left_out(
    browser: FlaskClient, db_session: Session, alice: User
) -> None:
    assert "Details" not in browser.get("/billing").text
    row = subscription(db_session, alice, status="past_due", first_failed_at=NOW)
    bill = owed(db_session, row, amount_remaining=1234)
    assert details(browser) == {
        "Plan": "Pro",
        "Price": "€29.00 a month",
        "Payment method": "Visa ending 4242",
        "Owed": f"€12.34, invoice {bill.number}",
    }
    assert "Checked with Stripe" in text_of(browser.get("/billing").text)
    row.status, row.card_last4, row.amount = "active", None, None
    row.plan = "sold-no-more"
    db_session.commit()
    found = details(browser)
    assert found.keys() == {"Plan", "Owed", "Next try"}


def details(client: FlaskClient) -> dict[str, str]:
    page = client.get("/billing").text
    _, _, rest = page.partition('id="details-title"')
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", rest.partition("</section>")[0])
    return {text_of(label): text_of(value) for label, value in pairs}


NOTHING = "No invoices yet. Your first one will appear here after your first payment."


def entries(client: FlaskClient) -> list[list[str]]:
    """The invoices page, row by row: date, number, what for, state, amount, and what can be opened."""
    page = client.get("/invoices").text
    rows = re.findall(r'<tr role="row">(.*?)</tr>', page.partition("<tbody")[2], re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)] for row in rows]


def test_invoices_and_purchases_are_listed_newest_first_with_their_state_and_no_draft_or_stranger(
    browser: FlaskClient, db_session: Session, alice: User, bob: User
) -> None:
    assert NOTHING in text_of(browser.get("/invoices").text)
    assert NOTHING in text_of(browser.get("/billing").text)
    row = subscription(db_session, alice)
    invoice(db_session, subscription(db_session, bob), number="BOBS")
    payment(db_session, bob)
    invoice(db_session, row, status="draft", number=None)
    payment(db_session, alice, status="requires_payment_method", fulfilled_at=None)
    assert entries(browser) == []
    assert NOTHING in text_of(browser.get("/billing").text)
    for days, state in ((5, "paid"), (4, "open"), (3, "void"), (1, "uncollectible")):
        invoice(db_session, row, status=state, number=f"A-{6 - days}", created=NOW - timedelta(days=days))
    payment(db_session, alice, created=NOW - timedelta(days=2))
    invoice(db_session, row, number="A-6", amount_refunded=2900, created=NOW)
    invoice(db_session, row, number="A-0", amount_refunded=1, created=NOW - timedelta(days=9), total=2900)
    found = entries(browser)
    assert [(one[1], one[2], one[3], one[4]) for one in found] == [
        ("A-6", "1 × Pro", "Refunded", "€29.00"),
        ("A-5", "1 × Pro", "Uncollectible", "€29.00"),
        ("–", "100 credits", "Paid", "€15.00"),
        ("A-3", "1 × Pro", "Void", "€29.00"),
        ("A-2", "1 × Pro", "Open", "€29.00"),
        ("A-1", "1 × Pro", "Paid", "€29.00"),
        ("A-0", "1 × Pro", "Partly refunded", "€29.00"),
    ]
    assert [one[5] for one in found] == [
        f"View invoice {one[1]} PDF of invoice {one[1]}" if one[1] != "–" else f"View order of {one[0]}"
        for one in found
    ]
    recent = text_of(browser.get("/billing").text.partition("entries-title")[2])
    assert recent.count("€29.00") + recent.count("€15.00") == 5

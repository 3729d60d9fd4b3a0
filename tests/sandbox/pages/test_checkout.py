"""Hosted Checkout as a person meets it: what it shows, what it refuses, and where it leads."""

from __future__ import annotations

import pytest

from tests.sandbox.pages.shop import CANCEL, RETURN, Shop
from tests.sandbox.pages.visitor import DECLINED, GOOD, NO_FUNDS, card


def test_the_page_says_what_is_bought_by_whom_and_for_how_much(shop: Shop) -> None:
    page = shop.visitor.get(shop.session().url)
    assert page.status == 200
    for words in (
        "Sandbox. No money moves.",
        "Subscribe to Pro",
        "€29.00 per month",
        "Total due today €29.00",
    ):
        assert words in page.text
    assert "alice@example.com" in page.text
    assert not page.document.all("input", name="email")  # the shop named the customer, so it is locked
    assert CANCEL in page.document.links
    assert GOOD in page.text


def test_a_session_without_a_customer_asks_for_the_email_address(shop: Shop) -> None:
    session = shop.session(customer=None)
    assert shop.visitor.get(session.url).document.field("email")["type"] == "email"
    refused = shop.pay(session, email="nobody")
    assert refused.status == 422
    assert "Enter an email address" in refused.text
    assert shop.pay(session, email="bob@example.com").status == 303
    assert shop.again(session).customer_details.email == "bob@example.com"


def test_a_good_card_leads_back_to_the_shop_with_the_session_id(shop: Shop) -> None:
    session = shop.session()
    answer = shop.pay(session)
    assert answer.status == 303
    assert answer.location == RETURN.replace("{CHECKOUT_SESSION_ID}", session.id)
    assert shop.again(session).status == "complete"


def test_a_one_off_payment_is_paid(shop: Shop) -> None:
    session = shop.session("payment")
    page = shop.visitor.get(session.url)
    assert "Pay for Pro" in page.text
    assert "per month" not in page.text
    assert shop.pay(session).status == 303
    assert shop.again(session).payment_status == "paid"


def test_a_trial_says_what_is_due_today_and_afterwards(shop: Shop) -> None:
    session = shop.session(subscription_data={"trial_period_days": 14})
    page = shop.visitor.get(session.url)
    for words in ("14 days free", "Then €29.00 per month", "Total due today €0.00", "Start trial"):
        assert words in page.text
    assert shop.pay(session).status == 303
    (subscription,) = shop.subscriptions(str(session.customer))
    assert subscription.status == "trialing"


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("number", "", "Enter a card number"),
        ("number", "4242 4242 4242 4241", "number"),
        ("expiry", "13 / 34", "Enter the expiry date"),
        ("expiry", "01 / 20", "past"),
        ("cvc", "12", "3 digits"),
    ],
)
def test_a_mistyped_field_is_named_and_the_rest_is_kept(
    shop: Shop, field: str, typed: str, words: str
) -> None:
    session = shop.session()
    page = shop.visitor.post(session.url, card() | {field: typed})
    assert page.status == 422
    assert "There is a problem" in page.text
    assert words in page.text
    assert "Error: Subscribe to Pro – Sandbox" in page.text
    assert f"#{field}" in page.document.links
    wrong = page.document.field(field)
    assert wrong["aria-invalid"] == "true"
    assert f"{field}-error" in wrong["aria-describedby"]
    assert page.document.field("name")["value"] == "Alice Ahrens"
    assert page.document.field("cvc")["value"] == ""
    assert shop.again(session).status == "open"


@pytest.mark.parametrize(
    ("number", "words"),
    [(DECLINED, "Your card was declined."), (NO_FUNDS, "Your card has insufficient funds.")],
)
def test_a_declined_card_stays_in_checkout_and_leaves_no_subscription(
    shop: Shop, number: str, words: str
) -> None:
    session = shop.session()
    page = shop.pay(session, number)
    assert page.status == 422
    assert words in page.text
    assert page.document.field("number")["value"] == number
    assert shop.again(session).status == "open"
    assert shop.subscriptions(str(session.customer)) == []
    assert shop.pay(session).status == 303  # another card may be tried on the same page


def test_a_paid_session_says_so_and_cannot_be_paid_twice(shop: Shop) -> None:
    session = shop.session()
    address = session.url
    assert shop.pay(session).status == 303
    page = shop.visitor.get(address)
    assert "This is already paid." in page.text
    assert RETURN.replace("{CHECKOUT_SESSION_ID}", session.id) in page.document.links
    assert shop.visitor.post(address, card()).location == f"/c/pay/{session.id}"
    assert len(shop.subscriptions(str(session.customer))) == 1


def test_an_expired_session_takes_no_card(shop: Shop) -> None:
    session = shop.session()
    address = session.url
    assert shop.visitor.post(f"/c/pay/{session.id}/expire").status == 303
    page = shop.visitor.get(address)
    assert page.status == 410
    assert "This Checkout Session has expired." in page.text
    assert CANCEL in page.document.links
    assert shop.visitor.post(address, card()).location == f"/c/pay/{session.id}"
    assert shop.subscriptions(str(session.customer)) == []


def test_an_unknown_session_is_not_found(shop: Shop) -> None:
    assert shop.visitor.get("/c/pay/cs_test_unknown").status == 404
    assert shop.visitor.post("/c/pay/cs_test_unknown", card()).status == 404
    assert shop.visitor.post("/c/pay/cs_test_unknown/expire").status == 404

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


@pytest.fixture
def code(shop: Shop) -> str:
    """A promotion code that takes a tenth off."""
    coupon = shop.client.v1.coupons.create({"percent_off": 10, "duration": "once"})
    made = shop.client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    return str(made.code)


def test_a_promotion_code_is_added_shown_and_removed(shop: Shop, code: str) -> None:
    session = shop.session(allow_promotion_codes=True)
    typed = card(do="code", promotion_code=code.lower())
    page = shop.visitor.post(session.url, typed)
    for words in ("Subtotal €29.00", f"Discount: {code}", "10% off", "-€2.90", "Total due today €26.10"):
        assert words in page.text
    assert page.document.field("number")["value"] == GOOD
    assert page.document.field("cvc")["value"] == ""
    removed = shop.visitor.post(session.url, card(do="remove_code"))
    assert "Total due today €29.00" in removed.text
    shop.visitor.post(session.url, typed)
    assert shop.pay(session).status == 303
    again = shop.again(session)
    assert (again.amount_total, again.total_details.amount_discount) == (2610, 290)


def test_a_wrong_code_is_named_at_its_field_and_nothing_is_paid(shop: Shop) -> None:
    session = shop.session(allow_promotion_codes=True)
    page = shop.visitor.post(session.url, card(promotion_code="NOTHING"))
    assert page.status == 422
    assert "This code is not valid." in page.text
    assert page.document.field("promotion_code")["value"] == "NOTHING"
    assert shop.again(session).status == "open"


def test_a_code_typed_and_not_added_is_heeded_before_paying(shop: Shop, code: str) -> None:
    session = shop.session(allow_promotion_codes=True)
    page = shop.pay(session, promotion_code=code)
    assert (page.status, "Your order changed." in page.text) == (200, True)
    assert shop.again(session).status == "open"


def test_a_code_of_a_session_that_takes_none_is_refused(shop: Shop, code: str) -> None:
    session = shop.session()
    assert not shop.visitor.get(session.url).document.all("input", name="promotion_code")
    assert shop.pay(session, promotion_code=code).status == 422


def test_an_expired_session_leads_to_its_recovery(shop: Shop) -> None:
    session = shop.session(after_expiration={"recovery": {"enabled": True}})
    shop.visitor.post(f"/c/pay/{session.id}/expire")
    page = shop.visitor.get(f"/c/pay/{session.id}")
    (link,) = [each for each in page.document.links if "/r/" in each]
    again = shop.visitor.get(link)
    assert again.status == 303
    assert shop.visitor.get(again.location).document.field("number")
    assert shop.visitor.get("/r/unknown").status == 404


def test_setup_mode_asks_for_a_payment_method_and_no_money(shop: Shop) -> None:
    params = {"mode": "setup", "currency": "eur", "customer": shop.customer(), "success_url": RETURN}
    session = shop.client.v1.checkout.sessions.create(params)  # type: ignore[arg-type]
    page = shop.visitor.get(str(session.url))
    assert "Save a payment method" in page.text
    assert "€" not in page.text
    assert shop.pay(session).status == 303
    assert shop.again(session).setup_intent is not None


def test_kinds_of_payment_are_chosen_where_there_are_several(shop: Shop) -> None:
    session = shop.session(allowed_payment_method_types=["card", "sepa_debit", "us_bank_account"])
    page = shop.visitor.get(session.url)
    assert [each["value"] for each in page.document.all("input", name="pay_with")] == ["card", "sepa_debit"]
    wrong = shop.visitor.post(
        session.url, {"pay_with": "sepa_debit", "iban": "AT00", "account_name": "Alice"}
    )
    assert (wrong.status, "This IBAN is not valid." in wrong.text) == (422, True)
    assert wrong.document.field("iban")["value"] == "AT00"
    assert shop.pay(session, pay_with="card").status == 303


def test_the_shops_words_are_shown(shop: Shop) -> None:
    words = {"submit": {"message": "Cancel any time."}, "after_submit": {"message": "See you soon."}}
    page = shop.visitor.get(shop.session(custom_text=words).url)
    assert "Cancel any time." in page.text
    assert "See you soon." in page.text


def test_a_trial_of_one_day_counts_rightly_and_names_what_discounts_come_off(shop: Shop, code: str) -> None:
    session = shop.session(subscription_data={"trial_period_days": 1}, allow_promotion_codes=True)
    assert "1 day free" in shop.visitor.get(session.url).text
    page = shop.visitor.post(session.url, {"do": "code", "promotion_code": code})
    for words in (
        "Then €29.00 per month, before discounts.",
        "Total after the trial, before discounts €29.00",
    ):
        assert words in page.text


def test_the_summary_lists_what_is_wrong_in_the_order_of_the_page(shop: Shop) -> None:
    field = {"key": "seat", "label": {"type": "custom", "custom": "Seat"}, "type": "text"}
    session = shop.session(
        customer=None,
        billing_address_collection="required",
        phone_number_collection={"enabled": True},
        consent_collection={"terms_of_service": "required"},
        custom_fields=[field],
    )
    document = shop.visitor.post(session.url).document
    wrong = [link[1:] for link in document.links if link.startswith("#") and link != "#main"]
    names = [each["name"] for tag, each in document.tags if tag == "input" and each.get("name") in wrong]
    assert wrong == names
    assert {"email", "phone", "number", "line1", "field-seat", "consent"} <= set(wrong)


def test_a_bank_account_alone_is_called_by_its_name(shop: Shop) -> None:
    session = shop.session(allowed_payment_method_types=["sepa_debit"])
    assert "Pay with SEPA debit" in shop.visitor.get(session.url).text

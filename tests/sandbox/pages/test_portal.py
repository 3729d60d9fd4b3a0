"""The Billing Portal: plans, card, invoices, the two deep links, and links that no longer work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.pages.shop import Shop
from tests.sandbox.pages.visitor import DECLINED, SHOP, card

AFTER = {"type": "redirect", "redirect": {"return_url": f"{SHOP}/billing?from=portal"}}


@pytest.fixture
def subscription(shop: Shop) -> Any:
    return shop.subscriber()


def test_the_home_shows_plan_card_and_invoices(shop: Shop, subscription: Any) -> None:
    page = shop.visitor.get(shop.portal(subscription.customer))
    for words in ("Pro", "€29.00 per month", "active", "Visa •••• 4242, expires 12/2034", "Default", "paid"):
        assert words in page.text
    assert f"{SHOP}/billing" in page.document.links
    assert any("/i/" in link for link in page.document.links)


def test_a_plan_is_canceled_at_the_end_of_its_period_with_the_reason(shop: Shop, subscription: Any) -> None:
    home = shop.portal(subscription.customer)
    confirm = f"{home}/cancel/{subscription.id}"
    assert confirm.removeprefix(shop.base) in shop.visitor.get(home).document.links
    page = shop.visitor.get(confirm)
    assert "Cancel Pro" in page.text
    reasons = page.document.all("input", name="feedback")
    assert len(reasons) == 8
    assert not any("checked" in reason for reason in reasons)
    done = shop.visitor.post(confirm, {"feedback": "too_expensive", "comment": "See you in spring"})
    assert done.status == 303
    now = shop.subscription(subscription.id)
    assert now.status == "active"
    assert now.cancel_at_period_end or now.cancel_at
    assert now.cancellation_details.feedback == "too_expensive"
    assert now.cancellation_details.comment == "See you in spring"
    assert "Cancels on" in shop.visitor.get(home).text


def test_a_reason_that_stripe_does_not_know_is_left_out(shop: Shop, subscription: Any) -> None:
    shop.visitor.post(f"{shop.portal(subscription.customer)}/cancel/{subscription.id}", {"feedback": "spite"})
    now = shop.subscription(subscription.id)
    assert now.cancel_at_period_end or now.cancel_at
    assert now.cancellation_details.feedback is None


def test_a_scheduled_end_is_taken_back(shop: Shop, subscription: Any) -> None:
    home = shop.portal(subscription.customer)
    shop.visitor.post(f"{home}/cancel/{subscription.id}")
    assert "Resume plan" in shop.visitor.get(home).text
    assert shop.visitor.post(f"{home}/resume/{subscription.id}").status == 303
    now = shop.subscription(subscription.id)
    assert (now.cancel_at_period_end, now.cancel_at) == (False, None)


def test_another_card_becomes_the_one_that_is_charged(shop: Shop, subscription: Any) -> None:
    home = shop.portal(subscription.customer)
    assert shop.visitor.post(f"{home}/card", card("5555 5555 5555 4444")).status == 303
    customer: Any = shop.client.v1.customers.retrieve(subscription.customer)
    chosen: Any = shop.client.v1.payment_methods.retrieve(customer.invoice_settings.default_payment_method)
    assert chosen.card.last4 == "4444"
    assert "Mastercard •••• 4444" in shop.visitor.get(home).text


def test_a_declined_card_is_not_saved(shop: Shop, subscription: Any) -> None:
    home = shop.portal(subscription.customer)
    page = shop.visitor.post(f"{home}/card", card(DECLINED))
    assert page.status == 422
    assert "Your card was declined." in page.text
    assert "0002" not in shop.visitor.get(home).text


def test_the_cancel_link_shows_that_page_alone_and_ends_at_the_shop(shop: Shop, subscription: Any) -> None:
    link = shop.portal(
        subscription.customer,
        type="subscription_cancel",
        subscription_cancel={"subscription": subscription.id},
        after_completion=AFTER,
    )
    page = shop.visitor.get(link)
    assert "Cancel plan" in page.text
    assert "Payment method" not in page.text
    assert f"{SHOP}/billing" in page.document.links  # “Don’t cancel” goes back to the shop
    assert shop.visitor.get(f"{link}/card").status == 303
    done = shop.visitor.post(f"{link}/cancel/{subscription.id}")
    assert (done.status, done.location) == (303, f"{SHOP}/billing?from=portal")


def test_the_card_link_shows_that_page_alone_and_ends_at_the_shop(shop: Shop, subscription: Any) -> None:
    link = shop.portal(subscription.customer, type="payment_method_update", after_completion=AFTER)
    page = shop.visitor.get(link)
    assert "Update payment method" in page.text
    assert "Invoices" not in page.text
    done = shop.visitor.post(f"{link}/card", card("5555 5555 5555 4444"))
    assert (done.status, done.location) == (303, f"{SHOP}/billing?from=portal")


def test_a_link_without_an_address_to_return_to_ends_at_the_home(shop: Shop, subscription: Any) -> None:
    link = shop.portal(subscription.customer, type="payment_method_update")
    done = shop.visitor.post(f"{link}/card", card("5555 5555 5555 4444"))
    assert done.status == 303
    home = shop.visitor.get(done.location)
    assert "Mastercard •••• 4444" in home.text
    assert "Invoices" in home.text


def test_a_link_may_end_with_the_words_of_the_shop(shop: Shop, subscription: Any) -> None:
    thanks = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "See you soon"}}
    link = shop.portal(
        subscription.customer,
        type="subscription_cancel",
        subscription_cancel={"subscription": subscription.id},
        after_completion=thanks,
    )
    page = shop.visitor.get(shop.visitor.post(f"{link}/cancel/{subscription.id}").location)
    assert "See you soon" in page.text
    assert f"{SHOP}/billing" in page.document.links


def test_somebody_elses_plan_is_out_of_reach(shop: Shop, subscription: Any) -> None:
    other = shop.portal(shop.customer("bob@example.com"))
    shop.visitor.get(f"{other}/cancel/{subscription.id}")
    shop.visitor.post(f"{other}/cancel/{subscription.id}")
    now = shop.subscription(subscription.id)
    assert (now.cancel_at_period_end, now.cancel_at) == (False, None)


def test_an_unknown_link_is_not_found(shop: Shop) -> None:
    for path in ("", "/card", "/cancel/sub_1"):
        assert shop.visitor.get(f"/p/session/unknown{path}").status == 404
    assert shop.visitor.post("/p/session/unknown/resume/sub_1").status == 404

"""The main story in a real browser, once with JavaScript and once without."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.e2e.person import DECLINED, FAILS_LATER, GOOD, POOR, SECURE, Person
from tests.support import wait_until

# Without script the same is walked in ``tests/pages/test_journey.py``.
with_script = pytest.mark.parametrize("context", [True], indirect=True, ids=["with-javascript"])


@with_script
def test_a_newcomer_signs_up_pays_and_sees_the_plan_date_and_card(ana: Person) -> None:
    ana.signs_up()
    ana.subscribes("Pro")
    ana.goes("/billing")
    ana.sees("Next payment: €29.00 on")
    ana.sees("Visa ending 4242")
    assert ana.has_access()
    ana.got("receipt")


@with_script
def test_declined_cards_stay_in_checkout_and_give_nothing(ana: Person) -> None:
    ana.is_signed_in()
    ana.goes_to_checkout()
    for number in (DECLINED, POOR):
        ana.pays(number)
        expect(ana.page.locator("body")).to_contain_text("declined" if number == DECLINED else "insufficient")
        assert "/c/pay/" in ana.page.url
    assert not ana.has_access()
    assert ana.row == {}


@with_script
def test_three_d_secure_failed_or_abandoned_gives_nothing_and_passed_gives_access(ana: Person) -> None:
    ana.is_signed_in()
    ana.goes_to_checkout()
    ana.pays(SECURE)
    ana.presses("Fail authentication")
    assert "/c/pay/" in ana.page.url
    ana.pays(SECURE)
    ana.follows("Leave without answering")
    assert ana.page.url.startswith(ana.portal)
    ana.sees_at_last("You haven’t been charged. Your choice is saved.")
    assert not ana.has_access()
    assert ana.row == {}
    ana.goes_to_checkout()
    ana.pays(SECURE)
    ana.presses("Complete authentication")
    ana.is_told_the_truth("You’re on Pro")
    assert ana.has_access()


@with_script
def test_canceling_keeps_access_and_can_be_taken_back(ana: Person) -> None:
    ana.is_signed_in()
    ana.subscribes("Basic")
    ana.goes("/billing")
    ana.follows("Cancel plan")
    ana.presses("Cancel Basic")
    expect(ana.page).to_have_url(f"{ana.portal}/billing")
    wait_until(lambda: ana.goes("/billing") or "is set to end on" in ana.heading(), "the end to be shown")
    assert ana.has_access()
    ana.goes("/billing")
    ana.presses("Keep Basic")
    wait_until(lambda: ana.goes("/billing") or "You’re on Basic" in ana.heading(), "the plan to be kept")
    ana.got("kept")


def test_the_card_is_updated_in_the_portal_and_the_new_one_is_shown(ana: Person) -> None:
    ana.is_signed_in()
    ana.subscribes()
    ana.goes("/billing")
    ana.presses("Update card")
    ana.pays("5555555555554444")
    expect(ana.page).to_have_url(f"{ana.portal}/billing/card/return")
    again = "/billing/card/return"
    wait_until(lambda: ana.goes(again) or "4444" in ana.heading(), "the new card to be known")
    ana.goes("/billing")
    ana.sees("4444")


def test_a_one_off_payment_is_bought_and_shown(ana: Person) -> None:
    ana.is_signed_in()
    ana.goes("/shop")
    ana.page.locator("main a[href='/buy/credits-100']").first.click()
    ana.presses("Continue to payment")
    ana.pays(GOOD)
    ana.is_told_the_truth("You bought 100 credits")
    ana.goes("/invoices")
    ana.sees("100 credits")
    ana.got("one_off_receipt")


@with_script
def test_a_failing_card_is_dunned_by_attempt_recovers_and_at_last_ends(ana: Person) -> None:
    ana.is_signed_in()
    ana.subscribes()
    ana.at_the_sandbox(f"customers/{ana.customer}/card", number=FAILS_LATER)
    end = ana.row["current_period_end"]
    ana.at_the_sandbox(f"customers/{ana.customer}/advance", to=int(end.timestamp()) + 7200)
    ana.becomes("past_due")
    ana.got("dun1")
    assert ana.has_access()
    ana.goes("/billing")
    ana.sees("We couldn’t take your last payment")
    for kind in ("dun2", "dun3"):
        ana.at_the_sandbox(f"customers/{ana.customer}/advance", to="next")
        ana.got(kind)
    ana.goes("/billing")
    ana.presses("Pay this invoice now")
    ana.pays(GOOD)
    ana.becomes("active")
    ana.got("recovered")
    assert ana.has_access()
    ana.at_the_sandbox(f"customers/{ana.customer}/card", number=FAILS_LATER)
    end = ana.row["current_period_end"]
    ana.at_the_sandbox(f"customers/{ana.customer}/advance", to=int(end.timestamp()) + 7200)
    ana.becomes("past_due")
    for _ in range(3):
        ana.at_the_sandbox(f"customers/{ana.customer}/advance", to="next")
    ana.becomes("canceled")
    ana.got("dun5")
    assert not ana.has_access()
    kinds = ana.kinds()
    assert kinds.count("dun5") == 1
    assert kinds.count("recovered") == 1


@with_script
def test_the_clock_page_moves_time_to_a_paid_renewal(ana: Person) -> None:
    ana.is_signed_in()
    ana.subscribes()
    before = ana.row["current_period_end"]
    ana.page.goto(ana.stack.addresses.clock)
    ana.page.get_by_text(ana.email).first.click()
    for _ in range(4):
        if ana.row["current_period_end"] > before:
            break
        ana.page.get_by_role("button", name="Advance to").first.click()
        wait_until(lambda: not ana.query(
            "select 1 from stripe_events e join users u on u.stripe_customer_id = e.customer_id"
            " where u.email = %s and e.state = 'pending'"), "events to be applied")  # fmt: skip
    assert wait_until(lambda: ana.row["current_period_end"] > before, "the next period")


@with_script
def test_an_admin_finds_the_subscriber_and_why_and_runs_an_event_again(
    ana: Person, chromium: Browser
) -> None:
    ana.is_signed_in()
    ana.subscribes()
    ana.goes("/admin/")
    ana.sees("You can’t open this page")
    context = chromium.new_context(locale="en-IE")
    admin = Person(ana.stack, context.new_page(), ana.stack.admin.email)
    admin.signs_in(ana.stack.admin.password)
    admin.goes(f"/admin/subscribers?q={ana.email}")
    admin.follows(ana.email)
    admin.sees("You’re on Pro")
    admin.sees("has access")
    admin.goes("/admin/events?type=customer.subscription.created")
    admin.presses("Run again")
    admin.sees("Nothing would change: what we hold is what Stripe says.")
    admin.presses("Run it again")
    admin.sees("applied")
    context.close()


def test_nobody_signed_out_sees_more_than_the_public_pages(stack: Stack, chromium: Browser) -> None:
    page = chromium.new_page()
    for path in (
        "/billing",
        "/invoices",
        "/account",
        "/admin/",
        "/app",
        "/checkout/return?session_id=cs_test_x",
    ):
        page.goto(stack.addresses.portal + path)
        assert "/login" in page.url
    page.close()

"""The whole way of a subscriber, by keys alone, without script, and where the script never arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from billing import outbox
from billing.extensions import db
from local.mailsink import MailSink
from tests.doors import code_in
from tests.pages.hands import Keys, Mouse
from tests.pages.house import cookie_for
from tests.pages.noise import Noise
from tests.story import GOOD, catch_up, config_of, shopper
from tests.support import PASSWORD

pytestmark = pytest.mark.browser
EMAIL = "ana@example.com"
# What is pressed to leave, from the billing page on.
LEAVING = ("Cancel plan", "Cancel Team")


@dataclass
class Way:
    """A browser that works in one way. ``script``: ours runs in it."""

    hands: Mouse
    script: bool
    noise: Noise


Open = Callable[..., Way]


@pytest.fixture
def opened(desk: Flask, chromium: Browser) -> Iterator[Open]:
    """``opened(Keys)``: a browser whose every complaint fails the test at its end."""
    ways = []

    def open_(hands: type[Mouse], *, script: bool = True, arrives: bool = True) -> Way:
        context = chromium.new_context(
            locale="en-IE", java_script_enabled=script, viewport={"width": 1280, "height": 900}
        )
        context.set_default_timeout(15_000)
        config = config_of(desk)
        noise = Noise(context, config.public_url, desk.extensions["sandbox"].url)
        if not arrives:
            context.route("**/static/*.js*", lambda route: route.abort())
        way = Way(hands(context.new_page()), script and arrives, noise)
        ways.append((context, noise))
        return way

    yield open_
    for context, noise in ways:
        context.close()
        assert noise.problems == []


def address(desk: Flask, path: str) -> str:
    return config_of(desk).public_url + path


def told(desk: Flask, way: Way) -> None:
    """What Stripe says has come in, and the page is looked at again."""
    catch_up(desk)
    way.hands.presses("Billing")


def signs_up(desk: Flask, way: Way, mails: MailSink) -> None:
    hands = way.hands
    hands.page.goto(address(desk, "/signup"))
    hands.fills("Email", EMAIL)
    hands.fills("Password", PASSWORD)
    hands.presses("Create")
    hands.sees("Check your email")
    outbox.send_due(db.session(), config_of(desk))
    hands.fills("Code", code_in(mails, EMAIL))
    hands.presses("Confirm email")
    hands.sees("Plans and prices")


def subscribes(desk: Flask, way: Way) -> None:
    hands = way.hands
    hands.presses("Choose Pro")
    hands.sees("Check your order")
    hands.presses("Continue to payment")
    for label, text in (
        ("Card number", GOOD),
        ("Expiry", "12 / 34"),
        ("CVC", "123"),
        ("Name on card", "Ana Demo"),
    ):
        hands.fills(label, text)
    hands.presses("Subscribe")
    hands.page.wait_for_url("**/checkout/return?*")
    catch_up(desk)  # the page looks at Stripe for some seconds only, which a busy machine may need for less
    hands.page.reload()
    hands.sees("You’re on Pro.")


def changes_leaves_and_stays(desk: Flask, way: Way) -> None:
    hands = way.hands
    hands.presses("Billing")
    hands.presses("Change plan")
    hands.presses("Change to Team")
    hands.sees("Change to Team")
    hands.presses("Change to Team and pay")
    told(desk, way)
    hands.sees("You’re on Team.")
    for words in LEAVING:
        hands.presses(words)
    told(desk, way)
    hands.sees("Team is set to end on")
    hands.presses("Keep Team")
    told(desk, way)
    hands.sees("You’re on Team.")


WAYS = [(Keys, True, True), (Mouse, False, True), (Mouse, True, False)]


@pytest.mark.parametrize(
    ("hands", "script", "arrives"), WAYS, ids=["by-keys", "without-script", "script-lost"]
)
def test_the_whole_way_from_signing_up_to_staying_after_all(
    desk: Flask, mails: MailSink, opened: Open, hands: type[Mouse], script: bool, arrives: bool
) -> None:
    way = opened(hands, script=script, arrives=arrives)
    with way.noise.expected() if not arrives else nullcontext():
        signs_up(desk, way, mails)
        subscribes(desk, way)
        changes_leaves_and_stays(desk, way)
        again_and_back(desk, way.hands.page)


def again_and_back(desk: Flask, page: Page) -> None:
    """Loading again sends nothing again; who signed out and goes back sees nothing of what was there."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.reload()
    assert sent == []
    page.get_by_role("button", name="Sign out").press("Enter")
    expect(page).to_have_url(address(desk, "/login"))
    page.go_back()
    expect(page).to_have_url(address(desk, "/login?next=/billing"))
    expect(page.locator("h1")).to_have_text("Sign in")


def test_a_button_pressed_twice_sends_once_and_works_again_after_the_way_back(
    desk: Flask, opened: Open
) -> None:
    ana = shopper(desk, EMAIL)
    page = opened(Mouse).hands.page
    page.context.add_cookies([cookie_for(ana.client, address(desk, "/"))])
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto(address(desk, "/subscribe/pro"))
    page.get_by_role("button", name="Continue to payment").dblclick()
    page.wait_for_url("**/c/pay/**")
    first = page.url
    assert sent == [address(desk, "/checkout")]
    page.go_back()
    button = page.get_by_role("button", name="Continue to payment")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    button.click()
    page.wait_for_url("**/c/pay/**")
    assert page.url == first
    assert len(sent) == 2

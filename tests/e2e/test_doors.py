"""What only a browser shows of the doors: the cursor, the clipboard, the back button, the language it asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from local.stack import Stack
from tests.e2e.person import Person
from tests.support import PASSWORD


@pytest.fixture
def ana(stack: Stack, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Person]:
    """Somebody whose browser is British, or asks for what the test says."""
    context = chromium.new_context(locale=getattr(request, "param", "en-GB"))
    context.set_default_timeout(15_000)
    name = request.node.name.removeprefix("test_")[:30].strip("_[]").replace("_", "-")
    yield Person(stack, context.new_page(), f"{name}@example.com")
    context.close()


def paste(page: Page, source: str, target: str) -> None:
    """Copy what stands in one field and paste it into another, with the keyboard."""
    page.locator(source).focus()
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    page.locator(target).focus()
    page.keyboard.press("Control+V")


def test_passwords_and_codes_can_be_pasted_and_a_mistake_is_read_first(ana: Person) -> None:
    page = ana.page
    ana.goes("/signup")
    page.locator("#email").fill("short")
    paste(page, "#email", "#password")
    expect(page.locator("#password")).to_have_value("short")
    ana.presses("Create account")
    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#email")).to_be_focused()
    expect(page.locator("#password")).to_have_value("")
    page.locator("#email").fill(ana.email)
    page.locator("#password").fill(PASSWORD)
    ana.presses("Create account")
    expect(page.locator("#code")).to_be_visible()
    page.evaluate("document.querySelector('main p').outerHTML = '<input id=other value=\"48 29 13\">'")
    paste(page, "#other", "#code")
    expect(page.locator("#code")).to_have_value("48 29 13")


def test_going_back_to_a_form_that_was_sent_lets_it_be_sent_again(ana: Person) -> None:
    page = ana.page
    ana.goes("/reset")
    for _ in range(2):
        page.locator("#email").fill(ana.email)
        ana.presses("Send link")
        ana.sees("has an account")
        page.go_back()
        expect(page.get_by_role("button", name="Send link")).not_to_have_attribute("aria-disabled", "true")


def test_going_back_after_signing_out_shows_the_door_and_no_data(ana: Person) -> None:
    page = ana.page
    ana.signs_up()
    ana.goes("/account")
    expect(page.locator("main")).to_contain_text(ana.email)
    ana.presses("Sign out")
    expect(page.get_by_role("navigation").get_by_role("link", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.locator("h1")).to_have_text("Sign in")
    expect(page.locator("body")).not_to_contain_text(ana.email)


@pytest.mark.parametrize("ana", ["de-DE"], indirect=True)
def test_a_german_browser_reads_german_until_its_reader_says_otherwise(ana: Person) -> None:
    page = ana.page
    ana.goes("/login")
    expect(page.locator("h1")).to_have_text("Anmelden")
    expect(page.get_by_role("button", name="Passwort anzeigen")).to_have_text("Anzeigen")
    page.get_by_role("button", name="English", exact=True).click()
    expect(page.locator("h1")).to_have_text("Sign in")
    expect(page).to_have_url(f"{ana.portal}/login")

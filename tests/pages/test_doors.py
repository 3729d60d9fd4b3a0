"""What only a browser shows of the doors: the cursor, the clipboard, the back button, the language it asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from billing.extensions import db
from tests.story import config_of
from tests.support import PASSWORD, make_user

pytestmark = pytest.mark.browser
EMAIL = "ana@example.com"


@pytest.fixture
def page(desk: Flask, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """In a British browser, or in one that asks for what the test says. Its addresses begin at our own."""
    context = chromium.new_context(
        locale=getattr(request, "param", "en-GB"), base_url=config_of(desk).public_url
    )
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def presses(page: Page, words: str) -> None:
    page.get_by_role("button", name=words).first.click()


def paste(page: Page, source: str, target: str) -> None:
    """Copy what stands in one field and paste it into another, with the keyboard."""
    page.locator(source).focus()
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    page.locator(target).focus()
    page.keyboard.press("Control+V")


def test_passwords_and_codes_can_be_pasted_and_a_mistake_is_read_first(page: Page) -> None:
    page.goto("/signup")
    page.locator("#email").fill("short")
    paste(page, "#email", "#password")
    expect(page.locator("#password")).to_have_value("short")
    presses(page, "Create account")
    expect(page.get_by_role("alert")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#email")).to_be_focused()
    expect(page.locator("#password")).to_have_value("")
    page.locator("#email").fill(EMAIL)
    page.locator("#password").fill(PASSWORD)
    presses(page, "Create account")
    expect(page.locator("#code")).to_be_visible()
    page.evaluate("document.querySelector('main p').outerHTML = '<input id=other value=\"48 29 13\">'")
    paste(page, "#other", "#code")
    expect(page.locator("#code")).to_have_value("48 29 13")


def test_going_back_to_a_form_that_was_sent_lets_it_be_sent_again(page: Page) -> None:
    page.goto("/reset")
    for _ in range(2):
        page.locator("#email").fill(EMAIL)
        presses(page, "Send link")
        expect(page.locator("main")).to_contain_text("has an account")
        page.go_back()
        expect(page.get_by_role("button", name="Send link")).not_to_have_attribute("aria-disabled", "true")


def test_going_back_after_signing_out_shows_the_door_and_no_data(page: Page) -> None:
    make_user(db.session(), EMAIL)
    page.goto("/login")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    presses(page, "Sign in")
    page.goto("/account")
    expect(page.locator("main")).to_contain_text(EMAIL)
    presses(page, "Sign out")
    expect(page.get_by_role("navigation").get_by_role("link", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.locator("h1")).to_have_text("Sign in")
    expect(page.locator("body")).not_to_contain_text(EMAIL)


@pytest.mark.parametrize("page", ["de-DE"], indirect=True)
def test_a_german_browser_reads_german_until_its_reader_says_otherwise(page: Page) -> None:
    page.goto("/login")
    expect(page.locator("h1")).to_have_text("Anmelden")
    expect(page.get_by_role("button", name="Passwort anzeigen")).to_have_text("Anzeigen")
    page.get_by_role("button", name="English", exact=True).click()
    expect(page.locator("h1")).to_have_text("Sign in")
    expect(page).to_have_url("/login")

"""What only a browser shows: mistakes read first, words that change in place, pasting, printing, the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from billing import web
from billing.extensions import db
from billing.models import CheckoutSession
from tests.conftest import make_config
from tests.pages.house import House
from tests.pages.sitemap import named
from tests.pages.survey import WIDE
from tests.watching import serving

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="en-IE", viewport=WIDE)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    "name",
    [
        "sign-up-mistakes",
        "sign-in-mistake",
        "confirm-mistake",
        "reset-mistake",
        "reset-new-mistake",
        "account-mistake",
    ],
)
def test_a_form_with_mistakes_says_them_first_and_beside_each_field(
    home: House, page: Page, name: str
) -> None:
    assert named(name).opened(home, page) == 422
    assert page.title().startswith("Error: ")
    summary = page.locator("[role=alert]")
    expect(summary).to_be_focused()
    expect(summary.locator("h2")).to_have_text("There is a problem")
    links = summary.locator("a")
    assert links.count() >= 1
    for link in links.all():
        said, field = link.inner_text(), page.locator(link.get_attribute("href") or "#none")
        link.press("Enter")
        expect(field).to_be_focused()
        if field.get_attribute("aria-invalid"):
            expect(field).to_have_accessible_description(re.compile(re.escape(said)))
    for secret in page.locator("main input[type=password]").all():
        assert secret.input_value() == ""


def test_the_skip_link_leads_into_the_page(home: House, page: Page) -> None:
    named("billing-active").opened(home, page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("() => Boolean(document.activeElement.closest('main'))")


def test_the_confirmed_payment_is_said_in_place_and_nothing_moves_the_cursor(home: House, page: Page) -> None:
    page.clock.install()
    named("return-open").opened(home, page)
    region, here = page.locator("[role=status]"), page.url
    expect(region).to_contain_text("We’re confirming your payment.")
    page.get_by_role("link", name="Check again").focus()
    row = db.session.query(CheckoutSession).filter_by(stripe_id="cs_open").one()
    row.status = "expired"
    db.session.commit()
    page.clock.run_for(1_000)
    expect(region).to_contain_text("This payment page has expired.")
    assert page.title().startswith("This payment page has expired.")
    assert page.evaluate("() => document.activeElement.dataset.part") == "action"
    assert page.url == here
    row.status = "open"
    db.session.commit()


@pytest.mark.parametrize(("name", "field"), [("sign-in", "password"), ("confirm", "code")])
def test_what_a_password_manager_or_mail_holds_can_be_pasted(
    home: House, page: Page, name: str, field: str
) -> None:
    named(name).opened(home, page)
    page.evaluate(
        "() => { const box = document.createElement('textarea'); box.id = 'box'; document.body.append(box); }"
    )
    page.locator("#box").fill("482 913")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("ControlOrMeta+c")
    page.locator(f"[name={field}]").focus()
    page.keyboard.press("ControlOrMeta+v")
    assert page.locator(f"[name={field}]").input_value() == "482 913"


@pytest.mark.parametrize("name", ["billing-past_due", "plans", "sign-in"])
def test_without_the_style_sheet_the_page_is_read_in_its_order(home: House, page: Page, name: str) -> None:
    page.route("**/static/css/*", lambda route: route.abort())
    named(name).opened(home, page)
    heading, rest = page.locator("main h1"), page.locator("main h1 ~ *").first
    assert heading.bounding_box()["y"] < rest.bounding_box()["y"]  # type: ignore[index]
    assert page.locator("main").inner_text().index(heading.inner_text()) < 60


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("name", ["invoices", "billing-active"])
def test_from_a_dark_screen_a_page_prints_dark_on_white_without_what_is_pressed(
    home: House, page: Page, name: str, paper: str
) -> None:
    page.emulate_media(color_scheme="dark")
    named(name).opened(home, page)
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in (".masthead", ".mode", ".foot", "main .actions", "main .btn"):
        for one in page.locator(hidden).all():
            expect(one).to_be_hidden()
    ink = page.evaluate("() => getComputedStyle(document.body).color")
    ground = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    assert lightness(ink) < 0.3
    assert lightness(ground) > 0.97
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=paper))) == 1


def lightness(colour: str) -> float:
    """Of an ``oklch(…)`` as the browser gives it."""
    return float(colour.removeprefix("oklch(").split()[0])


def test_a_form_may_lead_on_to_stripe_and_to_nobody_else(page: Page) -> None:
    """Chromium holds a form that is redirected to a host which the policy does not name."""
    arrived = Flask("arrived")
    arrived.add_url_rule("/", view_func=lambda: "<title>There</title>arrived")
    with serving(arrived) as named_port, serving(arrived) as other_port:
        config = make_config("postgresql://127.0.0.1:1/none", api_base=f"http://127.0.0.1:{named_port}")
        policy = web.content_security_policy(config)
        shop = Flask("shop")
        shop.add_url_rule(
            "/",
            view_func=lambda: (
                "<form method=post><button>Go</button></form>",
                {"Content-Security-Policy": policy},
            ),
        )
        target = {"port": named_port}
        shop.add_url_rule(
            "/",
            "on",
            lambda: ("", 303, {"Location": f"http://127.0.0.1:{target['port']}/"}),
            methods=["POST"],
        )
        with serving(shop) as port:
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_role("button").click()
            expect(page).to_have_title("There")
            target["port"] = other_port
            page.goto(f"http://127.0.0.1:{port}/")
            with page.expect_console_message(lambda line: "form-action" in line.text):
                page.get_by_role("button").click()
            assert page.url == f"http://127.0.0.1:{port}/"

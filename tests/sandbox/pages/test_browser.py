"""The pages in a real browser with script switched off: what only a browser enforces or shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import launched
from tests.pages.noise import Noise
from tests.sandbox.pages.shop import Shop
from tests.sandbox.pages.test_portal_flows import desk_of
from tests.sandbox.pages.visitor import ASKS_3DS, DECLINED, GOOD

pytestmark = pytest.mark.browser
NARROW = {"width": 320, "height": 640}


class _Thanks(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"<title>Shop</title><h1>At the shop</h1><p>{self.path.split('?')[0]}</p>".encode())

    def log_message(self, *_args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def storefront() -> Iterator[str]:
    """A shop's web server on another port, so another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Thanks)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(pages_address: str, chromium: Browser) -> Iterator[Page]:
    """A narrow page without JavaScript; whatever the browser complains of fails the test."""
    context = chromium.new_context(viewport=NARROW, java_script_enabled=False)  # type: ignore[arg-type]
    noise = Noise(context, pages_address)
    yield context.new_page()
    context.close()
    assert noise.problems == []


def _fill(page: Page, number: str) -> None:
    page.fill("[name=number]", number)
    page.fill("[name=expiry]", "12 / 34")
    page.fill("[name=cvc]", "123")
    page.click("#submit")


def test_a_person_is_declined_then_challenged_then_back_at_the_shop(
    shop: Shop, storefront: str, page: Page
) -> None:
    session = shop.session(success_url=f"{storefront}/thanks", cancel_url=f"{storefront}/plans")
    page.goto(session.url)
    _fill(page, DECLINED)
    expect(page.get_by_role("alert")).to_contain_text("Your card was declined.")
    expect(page.get_by_role("alert")).to_be_focused()
    _fill(page, ASKS_3DS)
    page.get_by_role("button", name="Complete authentication").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("At the shop")
    expect(page.get_by_text("/thanks")).to_be_visible()
    assert shop.again(session).status == "complete"


def test_leaving_checkout_leads_back_without_paying(shop: Shop, storefront: str, page: Page) -> None:
    session = shop.session(success_url=f"{storefront}/thanks", cancel_url=f"{storefront}/plans")
    page.goto(session.url)
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_text("/plans")).to_be_visible()
    assert shop.again(session).status == "open"


def test_a_plan_is_canceled_and_resumed_by_hand(shop: Shop, page: Page) -> None:
    subscription = shop.subscriber()
    page.goto(shop.portal(subscription.customer))
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_label("It is too expensive").check()
    page.get_by_role("button", name="Cancel plan").click()
    expect(page.get_by_text("Cancels on")).to_be_visible()
    page.get_by_role("button", name="Resume plan").click()
    expect(page.get_by_text("Next period starts on")).to_be_visible()


def test_time_passes_at_the_press_of_a_button(shop: Shop, page: Page) -> None:
    subscription = shop.subscriber(GOOD)
    page.goto(f"{shop.base}/clock?customer={subscription.customer}")
    page.get_by_role("button", name=": renewal").click()
    page.get_by_role("button", name="Advance 1 hour").click()
    page.get_by_role("button", name="Make the card fail").click()
    expect(page.get_by_text("active", exact=True)).to_be_visible()
    paid = shop.client.v1.invoices.list({"customer": str(subscription.customer), "status": "paid"})
    assert len(paid.data) == 2


@pytest.mark.parametrize("path", ["/", "/clock", "/deliveries", "/trouble"])
def test_the_panel_fits_a_narrow_screen(shop: Shop, page: Page, path: str) -> None:
    shop.subscriber()
    page.goto(shop.base + path)
    # Playwright's own evaluate works with the page's script switched off.
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0


def test_checkout_and_portal_fit_a_narrow_screen(shop: Shop, page: Page) -> None:
    desk = desk_of(shop)
    full = shop.session(
        allow_promotion_codes=True,
        allowed_payment_method_types=["card", "sepa_debit"],
        billing_address_collection="required",
    )
    home = desk.link()
    (invoice,) = desk.invoices()
    paths = (
        "",
        "/card",
        "/details",
        f"/change/{desk.sub.id}",
        f"/cancel/{desk.sub.id}",
        f"/pause/{desk.sub.id}",
    )
    for address in (full.url, invoice.hosted_invoice_url, *(home + path for path in paths)):
        page.goto(address)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, address


def test_only_the_fields_of_the_chosen_kind_are_shown(shop: Shop, page: Page) -> None:
    page.goto(shop.session(allowed_payment_method_types=["card", "sepa_debit"]).url)
    expect(page.get_by_label("Card number")).to_be_visible()
    expect(page.get_by_label("IBAN")).to_be_hidden()
    page.get_by_label("SEPA debit").check()
    expect(page.get_by_label("Card number")).to_be_hidden()
    page.get_by_label("IBAN").fill("AT61 1904 3002 3457 3201")
    page.get_by_label("Account holder").fill("Alice Ahrens")


def test_enter_in_the_code_field_adds_the_code_and_pays_nothing(shop: Shop, page: Page) -> None:
    coupon = shop.client.v1.coupons.create({"percent_off": 10, "duration": "once"})
    code = shop.client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    session = shop.session(allow_promotion_codes=True)
    page.goto(session.url)
    page.get_by_label("Promotion code").fill(str(code.code))
    page.get_by_label("Promotion code").press("Enter")
    expect(page.get_by_text("Your order changed.")).to_be_visible()
    expect(page.get_by_text("€26.10").last).to_be_visible()
    assert shop.again(session).status == "open"


def test_an_upgrade_is_made_by_hand(shop: Shop, page: Page) -> None:
    desk = desk_of(shop)
    page.goto(desk.link())
    page.get_by_role("link", name="Change plan").click()
    page.get_by_label("Large").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Due today")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Large")).to_be_visible()

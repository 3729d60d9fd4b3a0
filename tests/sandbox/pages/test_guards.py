"""What every page keeps: the policy, no inline style or script, this machine only, no foreign forms."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from tests.sandbox.pages.shop import Shop
from tests.sandbox.pages.test_portal_flows import desk_of
from tests.sandbox.pages.visitor import ASKS_3DS, DECLINED, SHOP, Answer, card

INLINE = re.compile(rb"<style|<script|\sstyle=|\son\w+=|javascript:", re.IGNORECASE)
AVOIDED = re.compile(r"\b(please|sorry|oops|invalid|forbidden|simply)\b|\.\.\.|!", re.IGNORECASE)


@pytest.fixture
def pages(shop: Shop) -> dict[str, Answer]:
    """Every kind of page once, by name."""
    invoice = shop.open_invoice()
    customer = str(invoice.customer)
    (subscription,) = shop.subscriptions(customer)
    home = shop.portal(customer)
    session, trial = shop.session(), shop.session(subscription_data={"trial_period_days": 14})
    expired, paid = shop.session(), shop.session()
    shop.visitor.post(f"/c/pay/{expired.id}/expire")
    shop.pay(paid)
    declined = shop.pay(session, DECLINED)
    challenge = shop.pay(session, ASKS_3DS).location
    desk = desk_of(shop)
    everything = shop.session(
        allow_promotion_codes=True,
        allowed_payment_method_types=["card", "sepa_debit"],
        billing_address_collection="required",
        phone_number_collection={"enabled": True},
        consent_collection={"terms_of_service": "required"},
        custom_fields=[{"key": "a", "label": {"type": "custom", "custom": "Team"}, "type": "text"}],
    )
    item = {"id": desk.sub.items.data[0].id, "price": desk.prices[1], "quantity": 2}
    asked = {"subscription": desk.sub.id, "items": [item]}
    (charge,) = shop.client.v1.charges.list({"customer": desk.sub.customer}).data
    addresses = {
        "checkout": session.url,
        "trial": trial.url,
        "expired": f"/c/pay/{expired.id}",
        "paid": f"/c/pay/{paid.id}",
        "3ds": challenge,
        "checkout with everything": everything.url,
        "portal change": f"{desk.link()}/change/{desk.sub.id}",
        "portal confirm": desk.link(type="subscription_update_confirm", subscription_update_confirm=asked),
        "portal pause": f"{desk.link()}/pause/{desk.sub.id}",
        "portal details": f"{desk.link()}/details",
        "receipt": str(charge.receipt_url),
        "portal": home,
        "portal card": f"{home}/card",
        "portal cancel": f"{home}/cancel/{subscription.id}",
        "invoice": invoice.hosted_invoice_url,
        "not found": "/i/unknown",
        "hub": "/",
        "clock people": "/clock",
        "clock": f"/clock?customer={customer}",
        "deliveries": "/deliveries",
        "trouble": "/trouble",
    }
    return {name: shop.visitor.get(address) for name, address in addresses.items()} | {"declined": declined}


def test_every_page_is_strict_and_says_that_it_is_a_sandbox(pages: dict[str, Answer]) -> None:
    for name, page in pages.items():
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert "frame-ancestors 'none'" in policy, name
        assert page.headers["cache-control"] == "no-store", name
        assert page.headers["x-content-type-options"] == "nosniff", name
        assert not INLINE.search(page.body), name
        assert "Sandbox. No money moves." in page.text, name


def test_every_page_has_one_heading_and_one_main_part(pages: dict[str, Answer]) -> None:
    for name, page in pages.items():
        assert len(page.document.all("h1")) == 1, name
        assert len(page.document.all("main", id="main")) == 1, name
        assert page.document.all("html", lang="en"), name
        levels = [int(tag[1]) for tag, _ in page.document.tags if re.fullmatch("h[1-6]", tag)]
        assert all(after - before <= 1 for before, after in pairwise(levels)), (name, levels)


def test_every_field_has_a_label(pages: dict[str, Answer]) -> None:
    for name, page in pages.items():
        labelled = {each["for"] for each in page.document.all("label")}
        fields = [each for each in page.document.all("input") if each.get("type") != "hidden"]
        assert {each["id"] for each in fields} <= labelled, name


def test_the_words_are_plain(pages: dict[str, Answer]) -> None:
    for name, page in pages.items():
        assert not AVOIDED.search(page.text), (name, AVOIDED.search(page.text))


def test_forms_may_end_at_the_shop_of_their_session_and_nowhere_else(pages: dict[str, Answer]) -> None:
    shown = (
        "checkout",
        "declined",
        "3ds",
        "portal",
        "portal card",
        "portal cancel",
        "portal change",
        "portal details",
    )
    for name in shown:
        assert pages[name].headers["content-security-policy"].endswith(f"form-action 'self' {SHOP}"), name
    for name in ("invoice", "hub", "clock", "trouble"):
        assert pages[name].headers["content-security-policy"].endswith("form-action 'self'"), name


def test_a_foreign_host_name_is_refused(shop: Shop) -> None:
    for host in ("sandbox.example", "127.0.0.1.example:8001", "localhost@evil.example", "[::1"):
        answer = shop.visitor.get("/", Host=host)
        assert answer.status == 400, host
        assert answer.body == b"The sandbox answers only at 127.0.0.1 or localhost.\n"
    port = shop.base.rsplit(":", 1)[1]
    assert shop.visitor.get("/", Host=f"localhost:{port}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": SHOP},
    ],
)
@pytest.mark.parametrize(
    "path", ["/trouble", "/deliveries/flush", "/sandbox/deliveries/flush", "/clock/advance"]
)
def test_a_form_of_another_site_changes_nothing(shop: Shop, path: str, headers: dict[str, str]) -> None:
    answer = shop.visitor.post(path, {"delivery": "drop", "api": "normal"}, **headers)
    assert answer.status == 403
    page = shop.visitor.get("/trouble")
    (chosen,) = [each for each in page.document.all("input", name="delivery") if "checked" in each]
    assert chosen["value"] == "normal"


@pytest.mark.parametrize("headers", [{"Sec_Fetch_Site": "same-origin"}, {"Origin": "own"}, {}])
def test_the_sandboxs_own_forms_are_taken(shop: Shop, headers: dict[str, str]) -> None:
    sent = {name: shop.base if value == "own" else value for name, value in headers.items()}
    assert shop.visitor.post("/trouble", {"delivery": "normal", "api": "normal"}, **sent).status == 303


def test_typed_text_is_shown_as_text(shop: Shop) -> None:
    page = shop.visitor.post(shop.session().url, card(name='"><script>x</script>', cvc=""))
    assert page.document.field("name")["value"] == '"><script>x</script>'
    assert not page.document.all("script")


def test_an_address_that_there_is_not_has_the_sandboxs_own_page(shop: Shop) -> None:
    page = shop.visitor.get("/nowhere")
    assert page.status == 404
    for words in ("Sandbox. No money moves.", "Page not found"):
        assert words in page.text


def test_the_address_of_a_form_is_explained_when_it_is_opened(shop: Shop) -> None:
    page = shop.visitor.get("/clock/advance")
    assert page.status == 405
    for words in ("Sandbox. No money moves.", "There is no page here"):
        assert words in page.text

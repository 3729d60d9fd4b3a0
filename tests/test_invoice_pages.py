"""An invoice as people read, print, pay and confirm it; and the pain of a bank that asks when nobody is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Page
from sqlalchemy.orm import Session

from billing import bills
from billing.models import User
from tests import admin_rows as rows
from tests.chromium import launched
from tests.doors import COOKIE, cookie_of
from tests.story import Shopper, catch_up, config_of, post_page
from tests.support import make_user
from tests.test_leaving import words
from tests.test_new_card import ASKS_THE_BANK, put_card, settle
from tests.test_plan_change import charged, renew
from tests.test_portal_ways import kept_in


@pytest.fixture
def alice(newcomer: Callable[[], Shopper]) -> Shopper:
    found = newcomer()
    found.subscribe()
    return found


@pytest.fixture
def browser(
    client: FlaskClient, db_session: Session, sign_in: Callable[[FlaskClient, User], None]
) -> FlaskClient:
    """Somebody's, signed in, with no Stripe behind."""
    sign_in(client, make_user(db_session, "reader@example.com"))
    return client


def test_a_bank_that_asks_at_a_renewal_leads_by_mail_and_page_to_confirming_and_nothing_is_half_done(
    alice: Shopper,
) -> None:
    """Pain 10: nobody is there when the renewal needs them, and the plan hangs between paid and unpaid."""
    put_card(alice, ASKS_THE_BANK)
    settle(alice)
    before = charged(alice)
    renew(alice)
    assert (alice.standing.code, alice.standing.access) == ("action_required", True)
    assert alice.mails()[-1] == "action_required"
    bill = alice.invoices[-1].stripe_id
    assert f'action="/invoices/{bill}/open"' in alice.get("/billing").text
    assert "Confirm payment" in words(alice.get(f"/invoices/{bill}").text)
    hosted = alice.post(f"/invoices/{bill}/open").location
    assert hosted == alice.sandbox.stripe.invoices.retrieve(bill).hosted_invoice_url
    asks = post_page(hosted, saved="1")
    assert "/3ds/" in asks.location
    assert (alice.standing.code, charged(alice)) == ("action_required", before), (
        "nothing is so before it is told"
    )
    done = post_page(urljoin(alice.sandbox.url, asks.location), answer="pass")
    assert done.status == 303
    catch_up(alice.desk)
    assert (alice.standing.code, alice.standing.access, charged(alice) - before) == ("active", True, 2900)
    assert alice.mails()[-1] == "recovered"


def test_each_invoice_says_what_it_is_for_who_sold_who_bought_and_what_paid_it(alice: Shopper) -> None:
    config = replace(
        config_of(alice.desk),
        seller_name="Acme Ltd",
        seller_address=("1 High Street", "London N1"),
        seller_tax_id="GB123456789",
    )
    alice.desk.extensions["config"] = config
    api = alice.sandbox.stripe
    coupon = api.coupons.create({"percent_off": 25, "duration": "forever"})
    api.subscriptions.update(alice.row.stripe_id, {"discounts": [{"coupon": coupon["id"]}]})
    alice.sandbox.stripe.customers.update(
        alice.customer,
        {
            "name": "Alice Ahrens",
            "address": {"line1": "Hauptstr. 1", "postal_code": "10115", "city": "Berlin"},
        },
    )
    renew(alice)
    bill = alice.invoices[-1]
    page = alice.get(f"/invoices/{bill.stripe_id}").text
    read = words(page)
    for part in (
        f"Invoice {bill.number}",
        "Paid",
        "Acme Ltd 1 High Street London N1 GB123456789",
        f"Alice Ahrens Hauptstr. 1 10115 Berlin {alice.email}",
        "1 × Pro",
        "Subtotal €29.00 Discount -€7.25 Total €21.75 Paid from Visa ending 4242 €21.75",
    ):
        assert part in read
    assert page.count('media="print"') == 1
    assert re.findall(r'class="btn[^"]*"', page.partition("<main")[2]) == []


def test_the_addresses_of_stripes_pages_are_fresh_the_owners_alone_and_kept_nowhere(
    alice: Shopper, newcomer: Callable[[], Shopper]
) -> None:
    bob = newcomer()
    mine = alice.invoices[0].stripe_id
    answer = alice.post(f"/invoices/{mine}/pdf")
    there = alice.sandbox.stripe.invoices.retrieve(mine)
    assert (answer.status_code, answer.location) == (303, there.invoice_pdf)
    assert kept_in(there.invoice_pdf) == kept_in(there.hosted_invoice_url) == set()
    for path in ("", "/pdf", "/open"):
        for stripe_id in (mine, "in_never", "x" * 300):
            ask = bob.post if path else bob.get
            assert ask(f"/invoices/{stripe_id}{path}").status_code == 404
    for page in ("/invoices", f"/invoices/{mine}"):
        assert there.hosted_invoice_url not in alice.get(page).text
        assert there.invoice_pdf not in alice.get(page).text
    alice.sandbox.control("trouble", api="error_500")
    page = alice.get(f"/invoices/{mine}")
    assert page.status_code == 200
    assert "this shows only the sums that we keep here" in words(page.text)
    assert "Total €29.00" in words(page.text)
    assert alice.post(f"/invoices/{mine}/pdf").status_code == 503


def test_what_is_paid_or_void_says_so_where_somebody_wants_to_pay_it(alice: Shopper) -> None:
    paid = alice.invoices[0].stripe_id
    answer = alice.post(f"/invoices/{paid}/open")
    assert (answer.status_code, answer.location) == (303, f"/invoices/{paid}")
    assert "This invoice is paid." in alice.get("/invoices").text
    put_card(alice, "chargeCustomerFail")
    settle(alice)
    renew(alice)
    bill = alice.invoices[-1].stripe_id
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.invoices.void_invoice(bill)
    assert alice.post(f"/invoices/{bill}/open").location == f"/invoices/{bill}"
    page = words(alice.get(f"/invoices/{bill}").text)
    assert "Void" in page, "our row was looked at"
    assert "This invoice was canceled. There is nothing to pay." in page
    assert "Pay €29.00 now" not in page


def test_an_invoice_that_stripe_has_not_tried_yet_is_not_called_unpaid(
    browser: FlaskClient, db_session: Session
) -> None:
    user = db_session.query(User).filter_by(email="reader@example.com").one()
    row = rows.subscription(db_session, user)
    for number, (age, more) in enumerate(
        [
            (timedelta(minutes=30), {"attempted": False}),
            (timedelta(hours=3), {"attempted": False}),
            (timedelta(minutes=30), {"attempted": True}),
        ]
    ):
        rows.invoice(
            db_session,
            row,
            status="open",
            number=f"N{number}",
            created=rows.NOW - age,
            attempt_count=0,
            **more,
        )
    page = words(browser.get("/invoices").text)
    states = dict(re.findall(r"(N\d) 1 × Pro (\w+)", page))
    assert states == {"N0": "Processing", "N1": "Open", "N2": "Open"}
    row.collection_method = "send_invoice"
    db_session.commit()
    assert "N0 1 × Pro Open" in words(browser.get("/invoices").text)


def whole(**more: Any) -> dict[str, Any]:
    plain = {
        "number": "A-1", "currency": "eur", "subtotal": 2900, "total": 2900, "amount_paid": 2900,
        "amount_remaining": 0, "total_taxes": [], "total_discount_amounts": [], "starting_balance": 0,
        "ending_balance": 0, "customer_email": "a@example.com",
    }  # fmt: skip
    return {**plain, **more}


@pytest.mark.parametrize(
    ("more", "sums"),
    [
        ({}, {}),
        ({"total_taxes": [{"amount": 551, "tax_behavior": "exclusive"}], "total": 3451}, {"tax": 551}),
        ({"total_taxes": [{"amount": 463, "tax_behavior": "inclusive"}]}, {"included": 463}),
        ({"total_discount_amounts": [{"amount": 725}, {"amount": 100}]}, {"discount": 825}),
        ({"starting_balance": -700, "ending_balance": 0}, {"from_credit": 700}),
        ({"starting_balance": -700, "ending_balance": None}, {}),
        ({"total": -400, "starting_balance": 0, "ending_balance": -400}, {"to_credit": 400}),
        (
            {"post_payment_credit_notes_amount": 300, "pre_payment_credit_notes_amount": 20},
            {"credit_notes": 320},
        ),
    ],
)
def test_the_sums_of_an_invoice_are_read_as_stripe_has_them(
    more: dict[str, Any], sums: dict[str, int]
) -> None:
    bill = bills.read(whole(**more), [], {})
    nothing = dict.fromkeys(("tax", "included", "discount", "from_credit", "to_credit", "credit_notes"), 0)
    assert {name: getattr(bill, name) for name in nothing} == {**nothing, **sums}


def twelve_lines(person: Shopper) -> str:
    """A paid invoice of as many lines; its id."""
    api, owner = person.sandbox.stripe, {"customer": person.customer, "currency": "eur"}
    made = api.invoices.create(owner)["id"]
    for number in range(12):
        text = f"Line {number + 1}: something that somebody ordered"
        api.invoice_items.create({**owner, "invoice": made, "amount": 100, "description": text})
    api.invoices.finalize_invoice(made)
    api.invoices.pay(made, {"payment_method": str((person.row.payment_methods or {})["own"])})
    catch_up(person.desk)
    return str(made)


def on_paper(page: Page, size: str) -> bytes:
    page.emulate_media(media="print", color_scheme="dark")
    return page.pdf(format=size, print_background=True)


def test_twelve_lines_are_one_page_of_paper_black_on_white_without_what_is_for_the_screen(
    alice: Shopper,
) -> None:
    made = twelve_lines(alice)
    base = config_of(alice.desk).public_url
    with launched() as chromium:
        context = chromium.new_context(color_scheme="dark")
        context.add_cookies([{"name": COOKIE, "value": cookie_of(alice.client), "url": base}])
        page = context.new_page()
        page.goto(f"{base}/invoices/{made}")
        sheets = {size: on_paper(page, size) for size in ("A4", "Letter")}
        shown = page.inner_text("body")
        colours = page.evaluate(
            "() => [document.documentElement, document.querySelector('main dt')].map("
            "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color])"
        )
    for size, sheet in sheets.items():
        assert len(re.findall(rb"/Type\s*/Page\b", sheet)) == 1, size
    for part in ("Line 1:", "Line 12:", "Total", "€12.00", alice.email, "Dunlin"):
        assert part in shown
    for part in ("Billing", "All invoices", "PDF", "Test mode", "Help:"):
        assert part not in shown
    assert colours[0] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert colours[1][1] == "rgb(0, 0, 0)"

"""The hosted invoice: paid with the saved card, with another one, or not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.pages.shop import Shop
from tests.sandbox.pages.visitor import ASKS_3DS, DECLINED, GOOD, card


@pytest.fixture
def invoice(shop: Shop) -> Any:
    """The renewal of somebody whose card fails."""
    return shop.open_invoice()


def test_an_open_invoice_says_what_is_due(shop: Shop, invoice: Any) -> None:
    page = shop.visitor.get(invoice.hosted_invoice_url)
    for words in (invoice.number, "€29.00", "Open", "alice@example.com", "Pay with saved card •••• 0341"):
        assert words in page.text


def test_a_saved_card_that_fails_again_is_said_plainly(shop: Shop, invoice: Any) -> None:
    page = shop.visitor.post(invoice.hosted_invoice_url, {"saved": "1"})
    assert page.status == 422
    assert "Your card was declined." in page.text
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "open"


def test_the_saved_card_pays_once_it_is_good(shop: Shop, invoice: Any) -> None:
    shop.control(f"customers/{invoice.customer}/card", number=GOOD.replace(" ", ""))
    assert shop.visitor.post(invoice.hosted_invoice_url, {"saved": "1"}).status == 303
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_another_card_pays_and_the_page_says_so(shop: Shop, invoice: Any) -> None:
    done = shop.visitor.post(invoice.hosted_invoice_url, card())
    assert done.status == 303
    page = shop.visitor.get(invoice.hosted_invoice_url)
    assert "This invoice is paid." in page.text
    assert not page.document.all("input", name="number")
    (subscription,) = shop.subscriptions(str(invoice.customer))
    assert subscription.status == "active"


def test_a_declined_or_mistyped_card_leaves_the_invoice_open(shop: Shop, invoice: Any) -> None:
    declined = shop.visitor.post(invoice.hosted_invoice_url, card(DECLINED))
    assert (declined.status, "Your card was declined." in declined.text) == (422, True)
    mistyped = shop.visitor.post(invoice.hosted_invoice_url, card(cvc=""))
    assert (mistyped.status, "Enter the security code" in mistyped.text) == (422, True)
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "open"


def test_a_card_that_asks_for_3d_secure_pays_after_the_challenge(shop: Shop, invoice: Any) -> None:
    asked = shop.visitor.post(invoice.hosted_invoice_url, card(ASKS_3DS))
    assert asked.location.removeprefix(shop.base).startswith("/3ds/")
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "open"
    failed = shop.visitor.post(asked.location, {"answer": "fail"})
    assert failed.location.removeprefix(shop.base) == invoice.hosted_invoice_url.removeprefix(shop.base)
    assert "There is a problem" in shop.visitor.get(failed.location).text
    asked = shop.visitor.post(invoice.hosted_invoice_url, card(ASKS_3DS))
    assert shop.visitor.post(asked.location, {"answer": "pass"}).status == 303
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_the_pdf_names_number_and_total(shop: Shop, invoice: Any) -> None:
    assert invoice.invoice_pdf.startswith(shop.base)
    answer = shop.visitor.get(invoice.invoice_pdf)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body.startswith(b"%PDF-")
    assert invoice.number.encode() in answer.body
    assert b"(Total) Tj" in answer.body
    assert b"(\x8029.00) Tj" in answer.body


def test_an_unknown_invoice_is_not_found(shop: Shop) -> None:
    assert shop.visitor.get("/i/unknown").status == 404
    assert shop.visitor.get("/i/unknown/pdf").status == 404
    assert shop.visitor.post("/i/unknown", {"saved": "1"}).status == 404


def test_a_bank_account_pays_and_the_page_says_that_it_takes_a_while(shop: Shop, invoice: Any) -> None:
    slow = "AT32 1904 3002 3547 3204"
    page = shop.visitor.post(
        invoice.hosted_invoice_url, {"pay_with": "sepa_debit", "iban": "x", "account_name": "A"}
    )
    assert (page.status, "This IBAN is not valid." in page.text) == (422, True)
    sent = {"pay_with": "sepa_debit", "iban": slow, "account_name": "Alice Ahrens"}
    assert shop.visitor.post(invoice.hosted_invoice_url, sent).status == 303
    page = shop.visitor.get(invoice.hosted_invoice_url)
    assert "A bank debit for this invoice is under way." in page.text
    assert not page.document.all("input", name="number")
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "open"


def test_a_void_invoice_says_so_and_takes_no_card(shop: Shop, invoice: Any) -> None:
    shop.client.v1.invoices.void_invoice(invoice.id)
    page = shop.visitor.get(invoice.hosted_invoice_url)
    assert "This invoice is void" in page.text
    assert not page.document.all("input", name="number")
    assert shop.visitor.post(invoice.hosted_invoice_url, card()).status == 303
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "void"


def test_an_uncollectible_invoice_can_still_be_paid(shop: Shop, invoice: Any) -> None:
    shop.client.v1.invoices.mark_uncollectible(invoice.id)
    assert "Uncollectible" in shop.visitor.get(invoice.hosted_invoice_url).text
    assert shop.visitor.post(invoice.hosted_invoice_url, card()).status == 303
    assert shop.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_discounts_are_listed_on_the_page_and_in_the_pdf(shop: Shop) -> None:
    coupon = shop.client.v1.coupons.create({"percent_off": 10, "duration": "forever", "name": "Friends"})
    subscription = shop.subscriber(discounts=[{"coupon": coupon.id}])
    (invoice,) = shop.client.v1.invoices.list({"customer": subscription.customer}).data
    page = shop.visitor.get(str(invoice.hosted_invoice_url))
    for words in ("Subtotal €29.00", "Discount: Friends -€2.90", "Total €26.10", "Amount paid -€26.10"):
        assert words in page.text
    file = shop.visitor.get(str(invoice.invoice_pdf)).body
    assert b"(Discount: Friends) Tj" in file
    assert b"(-\x802.90) Tj" in file


def test_a_receipt_shows_what_was_charged_and_given_back(shop: Shop) -> None:
    session = shop.session("payment")
    shop.pay(session)
    intent: Any = shop.client.v1.payment_intents.retrieve(
        str(shop.again(session).payment_intent), {"expand": ["latest_charge"]}
    )
    address = intent.latest_charge.receipt_url
    page = shop.visitor.get(address)
    for words in ("€29.00", "Visa •••• 4242", "Paid"):
        assert words in page.text
    shop.client.v1.refunds.create({"charge": intent.latest_charge.id, "amount": 900})
    charge = shop.client.v1.charges.retrieve(intent.latest_charge.id)
    page = shop.visitor.get(str(charge.receipt_url))
    assert "Partly refunded" in page.text
    assert "Refunded -€9.00" in page.text
    assert shop.visitor.get(address).text == page.text  # the address that was sent out before
    assert shop.visitor.get("/receipts/unknown").status == 404


def test_a_void_invoice_names_no_amount_due(shop: Shop, invoice: Any) -> None:
    shop.client.v1.invoices.void_invoice(invoice.id)
    assert "Amount due" not in shop.visitor.get(invoice.hosted_invoice_url).text
    assert b"(Amount due) Tj" not in shop.visitor.get(invoice.invoice_pdf).body


def test_the_pdf_writes_a_currency_without_a_letter_of_its_own_as_its_code(shop: Shop) -> None:
    product: Any = shop.client.v1.products.create({"name": "Pro"}).id
    price = shop.client.v1.prices.create(
        {"product": product, "currency": "inr", "unit_amount": 129900, "recurring": {"interval": "month"}}
    )
    subscription = shop.subscriber(line_items=[{"price": price.id, "quantity": 1}])
    (invoice,) = shop.client.v1.invoices.list({"customer": subscription.customer}).data
    file = shop.visitor.get(str(invoice.invoice_pdf)).body
    assert b"(1,299.00 INR) Tj" in file
    assert b"?1,299" not in file
    assert b"(To: alice@example.com) Tj" in file

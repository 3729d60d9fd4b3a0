"""Between choosing and paying: the sentence of each kind of offer, who is stopped and what they read, what goes along
to Stripe's page, and what a code that is entered there does to everything that we say."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from billing import offers, opening
from billing.clock import now
from billing.extensions import db
from billing.language import speaking
from billing.models import CheckoutSession, Invoice, Notice, PlanPrice, Subscription, User
from billing.offers import Offer
from billing.plans import Plan, Price
from tests import admin_rows
from tests.conftest import make_config
from tests.seen import charges, reads
from tests.story import Shopper, card_form, catch_up, config_of, count, post_page, shopper

MONTH = Price("pro", 2900, "eur", "month")
YEAR = replace(MONTH, amount=29000, interval="year")
PRO = Plan("pro", "Pro", "", (), (), 0, (MONTH, YEAR, replace(MONTH, currency="usd")))


@pytest.fixture
def buyer(desk: Flask) -> Shopper:
    return shopper(desk)


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def offer(price: Price, days: int = 0, **trial: Any) -> Offer:
    return Offer(replace(PRO, trial_days=days, **trial), price, price.amount, "price_1", days)


FIRST = now().replace(year=2026, month=11, day=23, hour=12)
SENTENCES = [
    (
        offer(MONTH),
        "€29.00 today, then €29.00 every month until you cancel. Cancel any time in Billing; you keep access until the "
        "end of the period you paid for.",
        "Heute 29,00 €, danach 29,00 € jeden Monat, bis Sie kündigen. Sie können jederzeit unter Abrechnung kündigen; "
        "Ihr Zugang bleibt bis zum Ende des bezahlten Zeitraums.",
    ),
    (
        offer(YEAR),
        "€290.00 today, then €290.00 every year until you cancel. Cancel any time in Billing; you keep access until "
        "the end of the period you paid for.",
        "Heute 290,00 €, danach 290,00 € jedes Jahr, bis Sie kündigen. Sie können jederzeit unter Abrechnung kündigen; "
        "Ihr Zugang bleibt bis zum Ende des bezahlten Zeitraums.",
    ),
    (
        offer(MONTH, 14),
        "Nothing to pay today. €29.00 on 7 December 2026, then every month until you cancel.",
        "Heute ist nichts zu zahlen. 29,00 € am 7. Dezember 2026, danach jeden Monat, bis Sie kündigen.",
    ),
    (
        offer(MONTH, 14, payment_method_collection="if_required"),
        "Nothing to pay and no card needed. Pro stops on 7 December 2026 unless you add a card.",
        "Es ist nichts zu zahlen, und Sie brauchen keine Karte. Pro endet am 7. Dezember 2026, wenn Sie bis dahin "
        "keine Karte hinterlegen.",
    ),
    (
        offer(YEAR, 14, payment_method_collection="if_required", missing_payment_method="create_invoice"),
        "Nothing to pay and no card needed today. €290.00 is due on 7 December 2026, then every year until you cancel.",
        "Heute ist nichts zu zahlen, und Sie brauchen keine Karte. Am 7. Dezember 2026 sind 290,00 € fällig, danach "
        "jedes Jahr, bis Sie kündigen.",
    ),
]


@pytest.mark.parametrize(("offered", "english", "german"), SENTENCES)
def test_one_sentence_says_what_is_taken_when_and_until_when(
    offered: Offer, english: str, german: str
) -> None:
    for language, sentence in (("en", english), ("de", german)):
        with speaking(language):
            assert offers.terms(offered, FIRST).replace("\u00a0", " ") == sentence


def test_a_price_is_found_by_interval_and_currency_and_never_another_one() -> None:
    usd = PRO.prices[2]
    assert PRO.price("month") is MONTH
    assert PRO.price("month", "usd") is usd
    assert PRO.price("year", "usd") is PRO.price("week") is None


def params_of(row: CheckoutSession, desk: Flask) -> dict[str, Any]:
    user = User(id=1, stripe_customer_id="cus_1")
    return opening.create_request(row, user, "Pro", config_of(desk), "here").params


def test_a_session_is_asked_for_with_what_was_chosen_at_the_press_whatever_the_settings_say_later(
    app: Flask,
) -> None:
    row = CheckoutSession(
        id=7, mode="subscription", item="pro", price_id="p", trial_days=14, trial_end_behavior="pause",
        promotion_codes=True, locale="de",
    )  # fmt: skip
    found = params_of(row, app)
    assert found["payment_method_collection"] == "if_required"
    assert found["subscription_data"]["trial_settings"] == {
        "end_behavior": {"missing_payment_method": "pause"}
    }
    assert (found["allow_promotion_codes"], found["locale"]) == (True, "de")
    plain = params_of(CheckoutSession(id=8, mode="subscription", item="pro", price_id="p", trial_days=0), app)
    asked = {
        "payment_method_collection",
        "allow_promotion_codes",
        "locale",
        "customer_email",
        "customer_update",
    }
    assert not asked & set(plain)
    once = CheckoutSession(id=9, mode="payment", item="c", price_id="p", promotion_codes=True, locale="en")
    assert "allow_promotion_codes" not in params_of(once, app)
    assert params_of(once, app)["locale"] == "en-GB"


def test_the_payment_page_speaks_the_persons_language_and_knows_their_address(
    desk: Flask, buyer: Shopper
) -> None:
    session_id = buyer.order()
    found = buyer.sandbox.stripe.checkout.sessions.retrieve(session_id)
    assert (found["locale"], found["customer_details"]["email"]) == ("en-GB", buyer.email)
    page = post_page(f"{buyer.sandbox.url}/c/pay/{session_id}", do="pay").text
    assert f"<dd>{buyer.email}</dd>" in page
    assert 'name="email"' not in page, "it is the customer's, not to be changed there"


# Guards


@pytest.fixture
def visitor(app: Flask) -> Shopper:
    """Somebody behind whom no Stripe stands: pages alone."""
    return shopper(app)


def said_to(visitor: Shopper, path: str) -> str:
    return words(reads(visitor, path))


def test_what_is_sold_no_longer_says_so_and_what_never_was_is_not_found(visitor: Shopper) -> None:
    for key, item, interval in (("gold_month_eur", "gold", "month"), ("pro_week_eur", "pro", "week")):
        db.session.add(
            PlanPrice(
                lookup_key=key, price_id=key, product_id="prod", item=item, amount=1, currency="eur",
                interval=interval,
            )
        )  # fmt: skip
    db.session.commit()
    for path in ("/subscribe/gold", "/subscribe/pro?interval=week"):
        said = said_to(visitor, path)
        assert (
            "This price is no longer sold. Nothing was charged. The plans show what is. Choose a plan" in said
        )
    sold = {"gold": 409, "pro": 409, "silver": 404}
    for plan, status in sold.items():
        assert visitor.post("/checkout", plan=plan, interval="week").status_code == status
    assert visitor.get("/subscribe/silver").status_code == 404


def test_who_is_billed_in_another_currency_is_led_to_the_plan_in_theirs(app: Flask, visitor: Shopper) -> None:
    catalogue = app.extensions["catalogue"]
    basic = catalogue.plan("basic")
    euros = replace(basic, prices=tuple(price for price in basic.prices if price.currency == "eur"))
    app.extensions["catalogue"] = replace(
        catalogue, plans=tuple(euros if one.name == "basic" else one for one in catalogue.plans)
    )
    row = admin_rows.subscription(db.session(), visitor.user, status="canceled")
    assert "Your account is billed in" not in said_to(visitor, "/subscribe/pro?currency=eur")
    db.session.execute(update(Subscription).where(Subscription.id == row.id).values(currency="usd"))
    db.session.commit()
    said = visitor.get("/subscribe/pro?currency=eur").text
    assert "Your account is billed in US dollars." in words(said)
    assert 'href="/subscribe/pro?interval=month&amp;currency=usd">See Pro in US dollars' in said
    form = {"plan": "pro", "interval": "month", "currency": "eur"}
    assert visitor.post("/checkout", **form).status_code == 409
    assert "$32.00" in said_to(visitor, "/subscribe/pro").replace("US$", "$"), "theirs, where none is named"
    assert "Basic isn’t sold in that currency." in said_to(visitor, "/subscribe/basic")


def test_a_payment_that_is_being_confirmed_is_said_before_anything_is_chosen(visitor: Shopper) -> None:
    db.session.add(
        CheckoutSession(
            stripe_id="cs_1", user_id=visitor.id, mode="subscription", item="pro", price_id="p",
            status="complete", subscription="sub_new",
        )
    )  # fmt: skip
    db.session.commit()
    page = visitor.get("/subscribe/basic")
    assert page.status_code == 200
    assert "Your last payment is still being confirmed. You don’t need to pay again." in words(page.text)
    assert 'href="/checkout/return?session_id=cs_1"' in page.text


def test_a_form_that_promised_something_else_is_shown_again_and_not_obeyed(visitor: Shopper) -> None:
    page = visitor.get("/subscribe/team").text
    [seal] = re.findall(r'name="offer" value="([^"]+)"', page)
    assert seal == "team_month_eur:7900:1:14:card"
    form = {"plan": "team", "interval": "month", "offer": seal}
    admin_rows.subscription(db.session(), visitor.user, status="canceled")
    again = visitor.post("/checkout", **form)
    assert again.status_code == 409
    said = words(again.text)
    assert "The offer has changed since you opened this page. Check it again." in said
    assert "You’ve had your free trial, so Team is paid from today." in said
    assert "€79.00 today, then €79.00 every month" in said
    assert count(CheckoutSession) == 0
    admin_rows.subscription(db.session(), visitor.user, stripe_id="sub_2")
    assert "You already have Pro." in words(visitor.post("/checkout", **form).text), (
        "bought in another window"
    )


def test_a_purchase_at_an_older_price_is_shown_again_too(visitor: Shopper) -> None:
    [seal] = re.findall(r'name="offer" value="([^"]+)"', visitor.get("/buy/credits-100").text)
    dearer = {"lookup_key": "credits-100_eur", "price_id": "p", "product_id": "x", "item": "credits-100"}
    db.session.add(PlanPrice(**dearer, amount=1900, currency="eur"))
    db.session.commit()
    again = visitor.post("/buy/credits-100", offer=seal)
    assert again.status_code == 409
    assert "The offer has changed since you opened this page." in words(again.text)
    assert "€19.00 today, once." in words(again.text)
    assert count(CheckoutSession) == 0


def test_terms_are_linked_and_codes_are_named_only_where_the_operator_says_so(
    app: Flask, visitor: Shopper
) -> None:
    note = "You can enter a promotion code on the payment page."
    plain = visitor.get("/subscribe/pro").text
    assert note not in plain
    assert "Terms" not in plain
    app.extensions["config"] = replace(
        app.extensions["config"], terms_url="https://example.com/terms", promotion_codes=True
    )
    said = visitor.get("/subscribe/pro").text
    form = said[said.index("<form class") : said.index("</form>", said.index("<form class"))]
    for found in (
        "€29.00 today",
        "until you cancel",
        "Any tax is shown",
        "To pay now",
        note,
        visitor.email,
    ):
        assert found in words(form), "beside the button, in the same form"
    assert '<a href="https://example.com/terms">Terms</a>' in form
    assert note not in visitor.get("/buy/credits-100").text


@pytest.mark.parametrize(("name", "value"), [("TERMS_URL", "example.com"), ("PROMOTION_CODES", "maybe")])
def test_settings_of_the_check_page_that_are_wrong_are_named(name: str, value: str) -> None:
    with pytest.raises(Exception, match=name):
        make_config("postgresql://127.0.0.1/x", **{name: value})


# Promotion codes


@pytest.mark.parametrize(("duration", "later"), [("once", "€29.00"), ("forever", "€21.75")])
def test_a_code_that_is_entered_on_stripes_page_is_in_everything_that_is_said_of_the_payment(
    desk: Flask, buyer: Shopper, duration: str, later: str
) -> None:
    config = desk.extensions["config"]
    desk.extensions["config"] = replace(config, promotion_codes=True)
    api = buyer.sandbox.stripe
    coupon = api.coupons.create({"percent_off": 25, "duration": duration})["id"]
    promotion: Any = {"type": "coupon", "coupon": coupon}
    api.promotion_codes.create({"code": f"AUTUMN-{duration}", "promotion": promotion})
    session_id = buyer.order()
    page = f"{buyer.sandbox.url}/c/pay/{session_id}"
    assert "€21.75" in post_page(page, do="code", promotion_code=f"AUTUMN-{duration}").text
    assert post_page(page, **card_form()).status == 303
    catch_up(desk)
    assert charges(buyer) == [2175]
    [bill] = buyer.invoices
    assert (bill.status, bill.total, bill.amount_paid, buyer.row.amount) == ("paid", 2175, 2175, 2900)
    assert db.session.query(CheckoutSession).one().amount_total == 2175
    details = dict(buyer.get(f"/checkout/state?session_id={session_id}").get_json()["details"])
    assert details["Paid"].startswith("€21.75 on ")
    assert details["Next payment"].startswith(f"{later} on ")
    assert f"Next payment: {later} on" in reads(buyer)
    assert "€21.75" in reads(buyer)
    assert "€21.75" in reads(buyer, "/invoices")
    receipt = db.session.query(Notice).filter_by(kind="receipt").one()
    assert receipt.facts["amount"] == "€21.75"
    assert count(Invoice) == 1
    if duration == "forever":
        buyer.advance("next")
        buyer.advance()
        assert set(charges(buyer)) == {2175}, "as it was said"

"""Checkout Sessions by the API: what they take, what they refuse, and what a completed one leaves behind."""

from __future__ import annotations

import re
from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import GENERIC, Sandbox, eventually

CREATED = "customer.subscription.created"


def code_of(caught: Any) -> tuple[str | None, str | None]:
    return caught.value.code, caught.value.param


def done(sandbox: Sandbox, session: Any, *expand: str, **fields: str) -> Any:
    answer = sandbox.card(session.url, **fields)
    assert answer.status == 303, answer.body
    return sandbox.api.checkout.sessions.retrieve(session.id, {"expand": list(expand)})


def test_setup_mode_saves_a_card_and_charges_nothing(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    params: Any = {
        "mode": "setup",
        "currency": "eur",
        "customer": customer.id,
        "success_url": "http://127.0.0.1:9/ok",
    }
    session = sandbox.api.checkout.sessions.create(
        {**params, "setup_intent_data": {"description": "For later", "metadata": {"order": "7"}}}
    )
    assert (session.amount_total, session.payment_status, session.total_details) == (
        0,
        "no_payment_required",
        None,
    )
    mark = sandbox.mark()
    again = done(sandbox, session, "setup_intent.payment_method")
    assert (again.status, again.payment_status, again.subscription) == (
        "complete",
        "no_payment_required",
        None,
    )
    intent = again.setup_intent
    assert (intent.status, intent.description, intent.metadata["order"]) == ("succeeded", "For later", "7")
    assert intent.payment_method.customer == customer.id
    assert sandbox.types(mark, customer.id) == [
        "setup_intent.created", "setup_intent.succeeded", "payment_method.attached", "checkout.session.completed",
    ]  # fmt: skip


def test_setup_mode_needs_a_currency_or_named_types(sandbox: Sandbox) -> None:
    params: Any = {"mode": "setup", "success_url": "http://127.0.0.1:9/ok"}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.checkout.sessions.create(params)
    assert code_of(caught) == ("parameter_missing", "currency")
    session = sandbox.api.checkout.sessions.create({**params, "allowed_payment_method_types": ["card"]})
    assert (session.currency, session.payment_method_types) == (None, ["card"])


def test_a_discount_reduces_the_session_the_invoice_and_what_is_charged(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 33, "duration": "forever"})
    session = sandbox.session(amount=999, discounts=[{"coupon": coupon.id}])
    assert (session.amount_subtotal, session.amount_total, session.total_details.amount_discount) == (
        999,
        669,
        330,
    )
    again = done(sandbox, session, "subscription", "invoice", "line_items")
    assert again.discounts[0].coupon == coupon.id
    assert again.line_items.data[0].amount_discount == 330
    assert (again.invoice.total, again.invoice.amount_paid) == (669, 669)
    assert again.subscription.discounts == again.invoice.discounts
    assert len(again.subscription.discounts) == 1
    assert sandbox.charges(session.customer)[-1]["amount"] == 669
    assert "customer.discount.created" in sandbox.types(about=session.customer)


def test_a_whole_discount_asks_for_no_payment(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 100, "duration": "once"})
    session = sandbox.session("payment", discounts=[{"coupon": coupon.id}])
    again = done(sandbox, session)
    assert (again.payment_status, again.payment_intent, again.amount_total) == (
        "no_payment_required",
        None,
        0,
    )
    assert sandbox.charges(session.customer) == []


def test_discounts_exclude_promotion_codes_and_come_alone(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 10, "duration": "once"})
    for more in (
        {"discounts": [{"coupon": coupon.id}], "allow_promotion_codes": True},
        {"discounts": [{"coupon": coupon.id}] * 2},
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            sandbox.session(**more)
        assert caught.value.param == "discounts"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session(discounts=[{"coupon": "nothing"}])
    assert code_of(caught) == ("resource_missing", "discounts[0][coupon]")


def test_a_one_time_price_is_on_the_first_invoice_alone(sandbox: Sandbox) -> None:
    lines = [
        {"price": sandbox.price(2500), "quantity": 1},
        {"price": sandbox.price(1000, None), "quantity": 2},
    ]
    session = sandbox.session(line_items=lines)
    assert session.amount_total == 4500
    again = done(sandbox, session, "invoice", "subscription")
    assert sorted(line.amount for line in again.invoice.lines.data) == [2000, 2500]
    assert (again.invoice.total, again.invoice.amount_paid) == (4500, 4500)
    assert len(again.subscription.items.data) == 1
    sandbox.advance(session.customer, again.subscription.items.data[0].current_period_end + 7200)
    newest = sandbox.api.invoices.list({"customer": session.customer}).data[0]
    assert (newest.billing_reason, newest.total) == ("subscription_cycle", 2500)


def test_a_one_time_price_is_paid_today_though_a_trial_begins(sandbox: Sandbox) -> None:
    lines = [
        {"price": sandbox.price(2500), "quantity": 1},
        {"price": sandbox.price(1000, None), "quantity": 1},
    ]
    session = sandbox.session(line_items=lines, subscription_data={"trial_period_days": 14})
    again = done(sandbox, session, "invoice", "subscription")
    assert (session.amount_total, again.payment_status) == (1000, "paid")
    assert (again.subscription.status, again.invoice.amount_paid) == ("trialing", 1000)


def test_a_price_is_charged_in_the_currency_that_the_session_asks_for(sandbox: Sandbox) -> None:
    product = sandbox.api.products.create({"name": "Mug"})
    price = sandbox.api.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 1000,
            "currency_options": {"eur": {"unit_amount": 900}},
        }
    )
    session = sandbox.session("payment", price=price.id, currency="eur")
    assert (session.currency, session.amount_total) == ("eur", 900)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session("payment", price=price.id, currency="gbp")
    assert caught.value.param == "line_items[0][price]"


def test_the_time_until_a_billing_anchor_is_charged_by_the_second(sandbox: Sandbox) -> None:
    customer = sandbox.api.customers.create({"email": "a@example.com"})
    clock: Any = {"frozen_time": 1798761600, "customer": customer.id}  # 2027-01-01
    sandbox.api.test_helpers.test_clocks.create(clock)
    anchor = 1798761600 + 10 * 86400  # 2027-01-11; the period before it began on 2026-12-11
    session = sandbox.session(
        amount=3100, customer=customer.id, subscription_data={"billing_cycle_anchor": anchor}
    )
    assert session.amount_total == 1000  # 10 of 31 days
    again = done(sandbox, session, "subscription", "invoice")
    item = again.subscription.items.data[0]
    assert (again.subscription.billing_cycle_anchor, item.current_period_end) == (anchor, anchor)
    assert again.invoice.amount_paid == 1000
    free = sandbox.session(
        amount=3100,
        customer=customer.id,
        subscription_data={"billing_cycle_anchor": anchor, "proration_behavior": "none"},
    )
    assert free.amount_total == 0


def test_invoice_creation_makes_a_paid_invoice_of_a_payment(sandbox: Sandbox) -> None:
    session = sandbox.session(
        "payment",
        customer_email="bob@example.com",
        invoice_creation={
            "enabled": True,
            "invoice_data": {"footer": "Thank you", "metadata": {"order": "7"}},
        },
    )
    mark = sandbox.mark()
    again = done(sandbox, session, "invoice")
    invoice = again.invoice
    assert (invoice.status, invoice.amount_paid, invoice.footer, invoice.metadata["order"]) == (
        "paid", 2500, "Thank you", "7",
    )  # fmt: skip
    assert again.customer is not None
    told = [each for each in sandbox.types(mark, str(again.customer)) if each.startswith("invoice.")]
    assert told == ["invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"]


def test_what_the_shop_asks_for_is_asked_kept_and_told(sandbox: Sandbox) -> None:
    session = sandbox.session(
        "payment",
        customer_email="bob@example.com",
        customer_creation="always",
        billing_address_collection="required",
        phone_number_collection={"enabled": True},
        consent_collection={"terms_of_service": "required"},
        custom_fields=[
            {"key": "engraving", "label": {"type": "custom", "custom": "Engraving"}, "type": "text"},
            {
                "key": "size",
                "label": {"type": "custom", "custom": "Size"},
                "type": "dropdown",
                "dropdown": {"options": [{"label": "Small", "value": "s"}, {"label": "Large", "value": "l"}]},
            },
            {
                "key": "code",
                "label": {"type": "custom", "custom": "Code"},
                "type": "numeric",
                "optional": True,
            },
        ],
    )
    wrong = sandbox.card(session.url, **{"field-code": "x"})
    for words in (
        b"Enter the street",
        b"phone number",
        b"Fill in Engraving",
        b"Fill in Size",
        b"digits only",
        b"Agree",
    ):
        assert words in wrong.body
    filled = {
        "line1": "Main St 1", "city": "Berlin", "country": "de", "postal_code": "10115", "phone": "+49 30 123456",
        "field-engraving": "Hi", "field-size": "l", "consent": "1",
    }  # fmt: skip
    again = done(sandbox, session, "customer", **filled)
    assert again.customer_details.address.country == "DE"
    assert again.customer_details.phone == "+49 30 123456"
    assert again.consent.terms_of_service == "accepted"
    values = {
        field.key: (field.text or field.dropdown or field.numeric).value for field in again.custom_fields
    }
    assert values == {"engraving": "Hi", "size": "l", "code": None}
    assert (again.customer.address.city, again.customer.phone) == ("Berlin", "+49 30 123456")


def test_a_known_customers_address_changes_only_where_the_shop_says_so(sandbox: Sandbox) -> None:
    filled = {"line1": "Main St 1", "city": "Berlin", "country": "DE"}
    kept = sandbox.session("payment", billing_address_collection="required")
    done(sandbox, kept, **filled)
    assert sandbox.api.customers.retrieve(kept.customer).address is None
    auto = sandbox.session(
        "payment", billing_address_collection="required", customer_update={"address": "auto"}
    )
    done(sandbox, auto, **filled)
    customer: Any = sandbox.api.customers.retrieve(auto.customer)
    assert customer.address.city == "Berlin"


def test_an_expired_session_is_recovered_as_a_new_one(sandbox: Sandbox) -> None:
    session = sandbox.session(
        after_expiration={"recovery": {"enabled": True, "allow_promotion_codes": True}}, amount=1900
    )
    expired = sandbox.api.checkout.sessions.expire(session.id)
    recovery = expired.after_expiration.recovery
    assert recovery.url.startswith(sandbox.base)
    assert recovery.expires_at > expired.expires_at
    told = sandbox.events(about=session.customer)[-1]
    assert told["data"]["object"]["after_expiration"]["recovery"]["url"] == recovery.url
    first = sandbox.http("GET", recovery.url.removeprefix(sandbox.base))
    second = sandbox.http("GET", recovery.url.removeprefix(sandbox.base))
    assert first.status == 303
    assert first.location == second.location
    new = sandbox.api.checkout.sessions.retrieve(first.location.rsplit("/", 1)[1])
    assert (new.recovered_from, new.status, new.amount_total, new.allow_promotion_codes) == (
        session.id, "open", 1900, True,
    )  # fmt: skip
    assert sandbox.card(first.location).status == 303


def test_the_old_way_of_making_subscriptions_is_a_setting(sandbox: Sandbox) -> None:
    """facts 3.1, REC-F: created incomplete, then updated to active."""
    sandbox.control("settings", checkout_subscription="legacy")
    try:
        sub = sandbox.subscriber()
    finally:
        sandbox.control("settings", checkout_subscription="after_payment")
    told = [
        each
        for each in sandbox.events(about=sub.customer)
        if each["type"].startswith("customer.subscription")
    ]
    assert [each["type"] for each in told] == [CREATED, "customer.subscription.updated"]
    assert told[0]["data"]["object"]["status"] == "incomplete"
    assert told[1]["data"]["previous_attributes"] == {"default_payment_method": None, "status": "incomplete"}
    assert sub.status == "active"


def test_the_redirect_may_wait_for_the_endpoints_answer(sandbox: Sandbox, endpoint: Any) -> None:
    """facts 2.2: Stripe's redirect waits for the answer to checkout.session.completed."""
    sandbox.control("settings", redirect_waits=10)
    try:
        session = sandbox.session("payment")
        sandbox.card(session.url)
    finally:
        sandbox.control("settings", redirect_waits=0)
    assert "checkout.session.completed" in endpoint.types()


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"automatic_tax": {"enabled": True}}, "sandbox_not_built", "automatic_tax[enabled]"),
        ({"tax_id_collection": {"enabled": True}}, "sandbox_not_built", "tax_id_collection[enabled]"),
        ({"optional_items": [{"price": "price_1", "quantity": 1}]}, "sandbox_not_built", "optional_items"),
        ({"ui_mode": "elements"}, "sandbox_not_built", "ui_mode"),
        ({"ui_mode": "hosted"}, None, "ui_mode"),
        ({"customer_creation": "always"}, None, "customer_creation"),
        ({"custom_fields": [{"key": "a"}] * 4}, None, "custom_fields"),
        (
            {"subscription_data": {"default_tax_rates": ["txr_1"]}},
            "sandbox_not_built",
            "subscription_data[default_tax_rates]",
        ),
        ({"payment_intent_data": {"description": "x"}}, None, "payment_intent_data"),
        ({"invoice_creation": {"enabled": True}}, None, "invoice_creation"),
        (
            {"allowed_payment_method_types": ["sepa_debit"]},
            "sandbox_not_built",
            "allowed_payment_method_types",
        ),
        ({"success_url": "ftp://x"}, "url_invalid", "success_url"),
        ({"custom_text": {"submit": {"message": "x" * 1201}}}, None, "custom_text[submit][message]"),
    ],
)
def test_what_checkout_cannot_do_is_refused_by_name(
    sandbox: Sandbox, params: Any, code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session(**params)
    assert code_of(caught) == (code, param)


def test_a_session_takes_twenty_recurring_lines_and_a_hundred_payments(sandbox: Sandbox) -> None:
    price = sandbox.price(100)
    with pytest.raises(stripe.InvalidRequestError, match="too many"):
        sandbox.session(line_items=[{"price": price, "quantity": 1}] * 21)
    once = sandbox.price(100, None)
    assert sandbox.session("payment", line_items=[{"price": once, "quantity": 1}] * 100).amount_total == 10000
    with pytest.raises(stripe.InvalidRequestError, match="too many"):
        sandbox.session("payment", line_items=[{"price": once, "quantity": 1}] * 101)


def test_only_metadata_of_a_hosted_session_is_updated(sandbox: Sandbox) -> None:
    session = sandbox.session()
    again = sandbox.api.checkout.sessions.update(session.id, {"metadata": {"order": "7"}})
    assert again.metadata["order"] == "7"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.checkout.sessions.update(
            session.id, {"line_items": [{"price": "price_1", "quantity": 2}]}
        )
    assert caught.value.param == "line_items"


def test_sessions_are_found_by_what_they_led_to(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.card(session.url, GENERIC)
    again = done(sandbox, session)
    for where in (
        {"subscription": str(again.subscription)},
        {"customer": str(session.customer), "status": "complete"},
    ):
        (found,) = sandbox.api.checkout.sessions.list(where).data  # type: ignore[arg-type]
        assert found.id == session.id
    assert (
        sandbox.api.checkout.sessions.list({"customer": str(session.customer), "status": "open"}).data == []
    )


def test_a_quantity_changed_on_the_page_is_charged_as_shown(sandbox: Sandbox) -> None:
    line = {
        "price": sandbox.price(500),
        "quantity": 2,
        "adjustable_quantity": {"enabled": True, "minimum": 1, "maximum": 5},
    }
    session = sandbox.session(line_items=[line])
    page = sandbox.http("GET", session.url.removeprefix(sandbox.base))
    (name,) = re.findall(r'name="(quantity-[^"]+)"', page.body.decode())
    assert sandbox.card(session.url, **{name: "6"}).status == 422
    changed = sandbox.card(session.url, **{name: "3"})  # the pay button, but the total was another
    assert changed.status == 200
    assert b"Your order changed" in changed.body
    assert sandbox.charges(session.customer) == []
    again = done(sandbox, session, "subscription", **{name: "3"})
    assert (again.amount_total, again.subscription.items.data[0].quantity) == (1500, 3)


def test_checkouts_own_page_is_confirmed_by_its_api(sandbox: Sandbox) -> None:
    """The addresses by which Stripe's CLI completes a session."""
    session = sandbox.session("payment", customer_email="bob@example.com")
    path = f"/v1/payment_pages/{session.id}"
    assert sandbox.raw("GET", path).json["id"] == session.id
    wrong = sandbox.raw("POST", f"{path}/confirm", "payment_method=pm_card_visa&expected_amount=1")
    assert (wrong.status, wrong.error["param"]) == (400, "expected_amount")
    declined = sandbox.raw("POST", f"{path}/confirm", "payment_method=pm_card_visa_chargeDeclined")
    assert declined.status == 402
    paid = sandbox.raw("POST", f"{path}/confirm", "payment_method=pm_card_visa&expected_amount=2500")
    assert (paid.status, paid.json["status"], paid.json["payment_status"]) == (200, "complete", "paid")


@pytest.mark.parametrize(
    ("iban", "ends", "status"),
    [
        ("AT611904300234573201", "succeeded", "paid"),
        ("AT861904300235473202", "failed", "unpaid"),
    ],
)
@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_a_bank_debit_completes_the_session_and_pays_it_later(
    sandbox: Sandbox, mode: str, iban: str, ends: str, status: str
) -> None:
    """facts 3.20; that a subscription is active meanwhile is ours."""
    recurring: Any = {"recurring": {"interval": "month"}} if mode == "subscription" else {}
    data = {"currency": "eur", "unit_amount": 2500, "product_data": {"name": "Pro"}, **recurring}
    session = sandbox.session(
        mode,
        line_items=[{"price_data": data, "quantity": 1}],
        allowed_payment_method_types=["card", "sepa_debit"],
    )
    assert session.payment_method_types == ["card", "sepa_debit"]
    mark = sandbox.mark()
    answer = sandbox.form(session.url, pay_with="sepa_debit", iban=iban, account_name="Alice Ahrens")
    assert answer.status == 303, answer.body
    told = f"checkout.session.async_payment_{ends}"
    eventually(lambda: told in sandbox.types(mark, session.customer), told)
    events = sandbox.events(mark, session.customer)
    types = [each["type"] for each in events]
    (completed,) = [each for each in events if each["type"] == "checkout.session.completed"]
    assert completed["data"]["object"]["payment_status"] == "unpaid"
    for first, then in (
        ("payment_intent.processing", "charge.pending"),
        ("charge.pending", "checkout.session.completed"),
        ("checkout.session.completed", f"charge.{ends}"),
        (f"charge.{ends}", told),
    ):
        assert types.index(first) < types.index(then), types
    again = sandbox.api.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    assert again.payment_status == status
    if mode == "subscription":
        assert again.invoice.status == ("paid" if status == "paid" else "open")
        assert again.subscription.status == ("active" if status == "paid" else "past_due")


def test_renewals_are_charged_in_the_currency_that_the_session_chose(sandbox: Sandbox) -> None:
    product = sandbox.api.products.create({"name": "Pro"})
    price = sandbox.api.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 1000,
            "recurring": {"interval": "month"},
            "currency_options": {"eur": {"unit_amount": 900}},
        }
    )
    sub = sandbox.subscriber(price=price.id, currency="eur")
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end + 7200)
    paid = [
        (each.currency, each.amount_paid)
        for each in sandbox.api.invoices.list({"customer": sub.customer}).data
    ]
    assert paid == [("eur", 900)] * 2

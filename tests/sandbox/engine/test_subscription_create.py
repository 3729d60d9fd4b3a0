"""POST /v1/subscriptions: statuses, first invoices, what is refused, and the golden sequences of facts 3.2 and 3.3."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox, eventually
from tests.sandbox.engine.test_bank_debits import FAILS, SLOW, quick, sepa

__all__ = ["quick"]  # a fixture

ASKS, DECLINES = "pm_card_authenticationRequired", "pm_card_chargeCustomerFail"


def test_a_good_card_makes_it_active_with_one_counted_attempt(sandbox: Sandbox) -> None:
    """facts 1.5: attempt_count 1 for a subscription made by API, period of the invoice empty."""
    customer = s.payer(sandbox)
    mark = sandbox.mark()
    sub = s.subscribe(sandbox, customer.id, metadata={"plan": "pro"}, description="Pro")
    assert (sub.status, sub.default_payment_method, sub.description) == ("active", None, "Pro")
    assert sub.items.data[0].current_period_end == s.START + 30 * s.DAY
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("paid", 1, True)
    assert invoice.billing_reason == "subscription_create"
    assert invoice.period_start == invoice.period_end == invoice.created == s.START
    assert invoice.number.endswith("-0001")
    assert s.told(sandbox, customer.id, mark) == [
        "customer.updated", "customer.subscription.created", "invoice.created", "invoice.finalized",
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "invoice.paid",
        "invoice.payment_succeeded",
    ]  # fmt: skip
    assert s.previous(sandbox, customer.id, mark, "customer.updated") == {"currency": None}


def test_3d_secure_leaves_it_incomplete_until_the_person_has_paid(sandbox: Sandbox) -> None:
    """facts 3.2, the API's part."""
    customer = s.payer(sandbox, ASKS)
    mark = sandbox.mark()
    sub = s.subscribe(sandbox, customer.id)
    assert sub.status == "incomplete"
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 0, True)
    assert (invoice.auto_advance, invoice.next_payment_attempt) == (True, None)
    assert s.told(sandbox, customer.id, mark) == [
        "customer.updated", "customer.subscription.created", "invoice.created", "invoice.finalized",
        "payment_intent.created", "payment_intent.requires_action", "invoice.payment_action_required",
        "invoice.updated",
    ]  # fmt: skip
    mark = sandbox.mark()
    challenge = sandbox.form(str(invoice.hosted_invoice_url), saved="1")
    sandbox.form(challenge.location, answer="pass")
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    assert set(s.told(sandbox, customer.id, mark)) >= {
        "payment_intent.succeeded", "charge.succeeded", "invoice.paid", "invoice.payment_succeeded",
        "customer.subscription.updated",
    }  # fmt: skip
    assert s.previous(sandbox, customer.id, mark) == {"status": "incomplete"}


def test_a_declined_card_leaves_it_incomplete_and_nothing_is_tried_again(sandbox: Sandbox) -> None:
    """facts 3.3, the API's part."""
    customer = s.payer(sandbox, DECLINES)
    mark = sandbox.mark()
    sub = s.subscribe(sandbox, customer.id)
    invoice = s.newest(sandbox, sub)
    assert (sub.status, invoice.status) == ("incomplete", "open")
    assert (invoice.attempt_count, invoice.next_payment_attempt) == (1, None)
    assert s.told(sandbox, customer.id, mark) == [
        "customer.updated", "customer.subscription.created", "invoice.created", "invoice.finalized",
        "payment_intent.created", "charge.failed", "payment_intent.payment_failed", "invoice.payment_failed",
        "invoice.updated",
    ]  # fmt: skip
    assert not sandbox.api.customers.retrieve(customer.id).delinquent


def test_incomplete_takes_only_metadata_and_expires_after_23_hours(sandbox: Sandbox) -> None:
    """facts 1.4 and 3.15."""
    sub = s.subscribe(sandbox, s.payer(sandbox, DECLINES).id)
    assert sandbox.api.subscriptions.update(sub.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"
    with pytest.raises(stripe.InvalidRequestError, match="incomplete"):
        sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    sandbox.advance(sub.customer, s.START + 23 * s.HOUR - 1)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "incomplete"
    mark = sandbox.mark()
    sandbox.advance(sub.customer, s.START + 23 * s.HOUR)
    over = sandbox.api.subscriptions.retrieve(sub.id)
    assert (over.status, over.ended_at) == ("incomplete_expired", s.START + 23 * s.HOUR)
    assert s.newest(sandbox, sub).status == "void"
    assert s.told(sandbox, sub.customer, mark) == [
        "payment_intent.canceled", "invoice.updated", "invoice.voided", "customer.subscription.updated"
    ]  # fmt: skip
    assert s.previous(sandbox, sub.customer, mark) == {"status": "incomplete", "ended_at": None}


def test_paying_the_first_invoice_through_the_api_makes_it_active(sandbox: Sandbox) -> None:
    sub = s.subscribe(
        sandbox,
        s.payer(sandbox, DECLINES).id,
        payment_settings={"save_default_payment_method": "on_subscription"},
    )
    s.give_card(sandbox, sub.customer, "pm_card_visa")
    mark = sandbox.mark()
    assert sandbox.api.invoices.pay(str(sub.latest_invoice)).status == "paid"
    now = sandbox.api.subscriptions.retrieve(sub.id)
    assert now.status == "active"
    assert str(now.default_payment_method).startswith("pm_")
    assert s.previous(sandbox, sub.customer, mark) == {"default_payment_method": None, "status": "incomplete"}


def test_without_a_card_it_is_refused_and_leaves_nothing(sandbox: Sandbox) -> None:
    """facts 1.0: resource_missing without a param."""
    customer = s.payer(sandbox, None)
    mark = sandbox.mark()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        s.subscribe(sandbox, customer.id)
    assert (refused.value.code, refused.value.param, refused.value.http_status) == (
        "resource_missing",
        None,
        400,
    )
    assert refused.value.headers is not None
    assert refused.value.headers["Stripe-Should-Retry"] == "false"
    assert sandbox.api.subscriptions.list({"customer": customer.id, "status": "all"}).data == []
    assert "customer.subscription.created" not in sandbox.types(mark, customer.id)


@pytest.mark.parametrize(
    ("card", "code"),
    [(DECLINES, "card_declined"), (ASKS, "subscription_payment_intent_requires_action")],
)
def test_error_if_incomplete_answers_402_and_leaves_nothing(sandbox: Sandbox, card: str, code: str) -> None:
    customer = s.payer(sandbox, card)
    price = sandbox.price(5000)
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError) as refused:
        s.subscribe(sandbox, customer.id, price, payment_behavior="error_if_incomplete")
    assert (refused.value.code, refused.value.http_status) == (code, 402)
    assert sandbox.types(mark, customer.id) == []
    assert sandbox.api.invoices.list({"customer": customer.id}).data == []


def test_default_incomplete_waits_for_the_person_even_without_a_card(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox, None)
    sub = s.subscribe(sandbox, customer.id, payment_behavior="default_incomplete")
    invoice = s.newest(sandbox, sub)
    assert (sub.status, invoice.status, invoice.attempted, invoice.attempt_count) == (
        "incomplete",
        "open",
        False,
        0,
    )
    assert sandbox.charges(customer.id) == []


def test_a_trial_needs_no_card_and_has_an_invoice_of_nothing(sandbox: Sandbox) -> None:
    """facts 1.4 (trial create) and 3.4."""
    customer = s.payer(sandbox, None)
    mark = sandbox.mark()
    sub = s.subscribe(sandbox, customer.id, trial_period_days=14)
    end = s.START + 14 * s.DAY
    assert (sub.status, sub.trial_end, sub.billing_cycle_anchor) == ("trialing", end, end)
    assert sub.items.data[0].current_period_end == end
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.amount_due, invoice.attempt_count, invoice.attempted) == (
        "paid",
        0,
        0,
        True,
    )
    assert invoice.lines.data[0].description == "Free trial for 1 × Pro"
    assert s.told(sandbox, customer.id, mark) == [
        "customer.updated", "customer.subscription.created", "invoice.created", "invoice.finalized", "invoice.paid",
        "invoice.payment_succeeded",
    ]  # fmt: skip


def test_a_trial_of_three_days_or_less_announces_its_end_at_once(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox, None)
    sub = s.subscribe(sandbox, customer.id, trial_period_days=1)
    assert sandbox.types(about=customer.id).count("customer.subscription.trial_will_end") == 1
    s.give_card(sandbox, customer.id, "pm_card_visa")
    sandbox.advance(customer.id, sub.trial_end + s.HOUR)
    assert sandbox.types(about=customer.id).count("customer.subscription.trial_will_end") == 1
    later = s.subscribe(sandbox, customer.id, trial_period_days=10)
    mark = sandbox.mark()
    sandbox.api.subscriptions.update(later.id, {"trial_end": later.trial_start + 2 * s.DAY})
    assert s.told(sandbox, customer.id, mark) == [
        "customer.subscription.updated", "customer.subscription.trial_will_end"
    ]  # fmt: skip


def test_a_later_anchor_charges_the_time_until_it(sandbox: Sandbox) -> None:
    """10 of the 31 days of March until the 1st of April."""
    customer = s.payer(sandbox, at=s.moment(2027, 3, 22))
    sub = s.subscribe(sandbox, customer.id, sandbox.price(3100), billing_cycle_anchor=s.START)
    invoice = s.newest(sandbox, sub)
    assert s.amounts(invoice) == [1000]
    assert invoice.lines.data[0].parent.subscription_item_details.proration
    assert sub.items.data[0].current_period_end == sub.billing_cycle_anchor == s.START
    assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub))) == [3100]


def test_a_later_anchor_without_prorations_is_free_and_has_no_invoice(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox, at=s.moment(2027, 3, 22))
    config: Any = {"day_of_month": 1, "hour": 0}
    sub = s.subscribe(sandbox, customer.id, billing_cycle_anchor_config=config, proration_behavior="none")
    assert (sub.status, sub.latest_invoice, sub.billing_cycle_anchor) == ("active", None, s.START)
    assert sub.billing_cycle_anchor_config.day_of_month == 1


def test_items_and_more_of_them_are_on_the_first_invoice(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    product = sandbox.api.products.create({"name": "Seats"}).id
    setup = sandbox.price(900, interval=None)
    data: Any = {
        "currency": "usd",
        "product": product,
        "unit_amount": 300,
        "recurring": {"interval": "month"},
    }
    sub = s.subscribe(
        sandbox,
        customer.id,
        items=[
            {"price": sandbox.price(5000), "quantity": 2},
            {"price_data": data, "metadata": {"kind": "seat"}},
        ],
        add_invoice_items=[{"price": setup, "quantity": 3}],
    )
    assert [item.quantity for item in sub.items.data] == [2, 1]
    assert sub.items.data[1].metadata["kind"] == "seat"
    assert sorted(s.amounts(s.newest(sandbox, sub))) == [300, 2700, 10000]
    assert sorted(s.amounts(s.newest(sandbox, s.renewed(sandbox, sub)))) == [300, 10000]


def test_an_invoice_that_is_sent_is_active_at_once_and_overdue_later(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox, None)
    sub = s.subscribe(sandbox, customer.id, collection_method="send_invoice", days_until_due=7)
    assert (sub.status, s.newest(sandbox, sub).status) == ("active", "draft")
    sandbox.advance(customer.id, s.START + s.HOUR)
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.next_payment_attempt) == ("open", None)
    assert invoice.due_date == s.START + 7 * s.DAY
    mark = sandbox.mark()
    sandbox.advance(customer.id, invoice.due_date)
    assert s.told(sandbox, customer.id, mark) == [
        "invoice.will_be_due", "invoice.overdue", "customer.subscription.updated", "customer.updated"
    ]  # fmt: skip
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "past_due"
    method = sandbox.api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    sandbox.api.invoices.pay(invoice.id, {"payment_method": method.id})
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"collection_method": "send_invoice"}, "parameter_missing", "days_until_due"),
        ({"days_until_due": 3}, None, "days_until_due"),
        ({"trial_period_days": 3, "trial_end": 1_900_000_000}, "parameters_exclusive", None),
        ({"backdate_start_date": 1_700_000_000}, "parameter_unknown", "backdate_start_date"),
        ({"billing_cycle_anchor": s.START + 40 * s.DAY}, None, "billing_cycle_anchor"),
        ({"items": [{"price": "price_none"}]}, "resource_missing", "items[0][price]"),
        ({"coupon": "A"}, "parameter_unknown", "coupon"),
    ],
)
def test_what_does_not_fit_is_refused(
    sandbox: Sandbox, more: Any, code: str | None, param: str | None
) -> None:
    customer = s.payer(sandbox)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        s.subscribe(sandbox, customer.id, **more)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_items_of_different_intervals_are_refused_clearly(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    items = [{"price": sandbox.price(5000)}, {"price": sandbox.price(50000, "year")}]
    with pytest.raises(stripe.InvalidRequestError, match="different intervals") as refused:
        s.subscribe(sandbox, customer.id, items=items)
    assert refused.value.code == "sandbox_not_built"


def test_a_coupon_reduces_the_first_invoice_and_renewals(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    sub = s.subscribe(sandbox, customer.id, discounts=[{"coupon": coupon(sandbox, 20, "forever")}])
    assert s.newest(sandbox, sub).total == 4000
    assert s.newest(sandbox, s.renewed(sandbox, sub)).total == 4000
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [4000, 4000]


def coupon(sandbox: Sandbox, percent: int, duration: Any) -> str:
    return sandbox.api.coupons.create({"percent_off": percent, "duration": duration}).id


def test_classic_billing_mode_is_kept_and_shown(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, billing_mode={"type": "classic"})
    assert (sub.billing_mode.type, sub.billing_mode.flexible) == ("classic", None)


def test_lists_filter_by_price_period_and_collection(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    second = sandbox.price(700)
    one = s.subscribe(sandbox, customer.id, items=[{"price": sandbox.price(600)}, {"price": second}])
    s.subscribe(sandbox, customer.id)
    listed = sandbox.api.subscriptions.list
    assert [each.id for each in listed({"customer": customer.id, "price": second}).data] == [one.id]
    end: Any = {"gt": s.START + 30 * s.DAY}
    assert listed({"customer": customer.id, "current_period_end": end}).data == []
    assert len(listed({"customer": customer.id, "collection_method": "charge_automatically"}).data) == 2


@pytest.mark.parametrize(("iban", "status"), [(SLOW, "active"), (FAILS, "past_due")])
def test_a_bank_debit_under_way_makes_it_active_and_its_end_decides(
    quick: Sandbox, iban: str, status: str
) -> None:
    """facts 3.20: the invoice stays open while the debit is processing."""
    customer = quick.customer()
    method = quick.api.payment_methods.attach(sepa(quick, iban), {"customer": customer.id})
    sub = quick.api.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": quick.price(5000, currency="eur")}],
            "default_payment_method": method.id,
        }
    )
    assert sub.status == "active"
    invoice_status = "paid" if status == "active" else "open"

    def answered() -> bool:
        now = quick.api.subscriptions.retrieve(sub.id)
        return now.status == status and s.newest(quick, sub).status == invoice_status

    eventually(answered, f"the subscription is {status}")

"""POST /v1/subscriptions/<id>: payment behaviours, pending updates, trials, collection, discounts."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox

DECLINES, ASKS = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"
AT_ONCE = "always_invoice"
PENDING = "pending_if_incomplete"


def halfway(sandbox: Sandbox, card: str | None = None, **more: Any) -> tuple[Any, str]:
    """Somebody with a good card who subscribed to 50 a month, in the middle of the month, now with that card; a price
    of 100 a month."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, **more)
    dearer = sandbox.price(10000)
    sandbox.advance(sub.customer, s.HALFWAY)
    if card is not None:
        s.give_card(sandbox, sub.customer, card)
    return sub, dearer


def test_a_declined_upgrade_is_made_and_leaves_it_past_due(sandbox: Sandbox) -> None:
    sub, dearer = halfway(sandbox, DECLINES)
    mark = sandbox.mark()
    changed = s.change(sandbox, sub, dearer, proration_behavior=AT_ONCE)
    assert (changed.status, changed.items.data[0].price.unit_amount) == ("past_due", 10000)
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.attempt_count, invoice.total) == ("open", 1, 2500)
    assert invoice.next_payment_attempt == s.HALFWAY + 3 * s.DAY
    assert s.previous(sandbox, sub.customer, mark) == {"status": "active"}
    s.give_card(sandbox, sub.customer, "pm_card_visa")
    sandbox.advance(sub.customer, s.HALFWAY + 3 * s.DAY)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


@pytest.mark.parametrize("card", [DECLINES, ASKS])
def test_error_if_incomplete_changes_nothing(sandbox: Sandbox, card: str) -> None:
    sub, dearer = halfway(sandbox, card)
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError) as refused:
        s.change(sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior="error_if_incomplete")
    assert refused.value.http_status == 402
    assert sandbox.types(mark, sub.customer) == []
    assert sandbox.api.subscriptions.retrieve(sub.id).items.data[0].price.unit_amount == 5000
    assert sandbox.api.invoice_items.list({"customer": sub.customer}).data == []


def test_default_incomplete_leaves_the_invoice_to_a_person(sandbox: Sandbox) -> None:
    sub, dearer = halfway(sandbox)
    changed = s.change(
        sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior="default_incomplete"
    )
    invoice = s.newest(sandbox, sub)
    assert (changed.status, invoice.status, invoice.attempted) == ("past_due", "open", False)
    sandbox.api.invoices.pay(invoice.id)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_voiding_the_invoice_of_a_pending_update_gives_the_update_up(sandbox: Sandbox) -> None:
    sub, dearer = halfway(sandbox, DECLINES)
    changed = s.change(sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior=PENDING)
    assert changed.pending_update is not None
    mark = sandbox.mark()
    sandbox.api.invoices.void_invoice(str(changed.latest_invoice))
    now = sandbox.api.subscriptions.retrieve(sub.id)
    assert (now.pending_update, now.items.data[0].price.unit_amount, now.status) == (None, 5000, "active")
    assert s.told(sandbox, sub.customer, mark)[-2:] == [
        "invoice.voided", "customer.subscription.pending_update_expired"
    ]  # fmt: skip


def test_a_pending_update_waits_for_its_invoice_and_is_applied_when_that_is_paid(sandbox: Sandbox) -> None:
    """facts 3.14."""
    sub, dearer = halfway(sandbox, DECLINES)
    mark = sandbox.mark()
    changed = s.change(sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior=PENDING)
    pending = changed.pending_update
    assert pending is not None
    assert pending.expires_at == s.HALFWAY + 23 * s.HOUR
    assert pending.subscription_items is not None
    assert pending.subscription_items[0].price.unit_amount == 10000
    assert (changed.status, changed.items.data[0].price.unit_amount) == ("active", 5000)
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created", "invoice.created",
        "invoice.finalized", "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
        "invoice.payment_failed", "invoice.updated",
    ]  # fmt: skip
    assert s.previous(sandbox, sub.customer, mark) == {
        "latest_invoice": sub.latest_invoice, "pending_update": None
    }  # fmt: skip
    s.give_card(sandbox, sub.customer, "pm_card_visa")
    mark = sandbox.mark()
    sandbox.api.invoices.pay(str(changed.latest_invoice))
    now = sandbox.api.subscriptions.retrieve(sub.id)
    assert (now.pending_update, now.items.data[0].price.unit_amount, now.status) == (None, 10000, "active")
    assert s.told(sandbox, sub.customer, mark)[-2:] == [
        "customer.subscription.updated", "customer.subscription.pending_update_applied"
    ]  # fmt: skip
    assert set(s.previous(sandbox, sub.customer, mark)) == {"items", "pending_update"}


def test_a_pending_update_that_is_not_paid_expires_with_its_invoice(sandbox: Sandbox) -> None:
    sub, dearer = halfway(sandbox, ASKS)
    changed = s.change(sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior=PENDING)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, s.HALFWAY + 23 * s.HOUR)
    now = sandbox.api.subscriptions.retrieve(sub.id)
    assert (now.pending_update, now.items.data[0].price.unit_amount, now.status) == (None, 5000, "active")
    assert sandbox.api.invoices.retrieve(str(changed.latest_invoice)).status == "void"
    assert s.told(sandbox, sub.customer, mark)[-1] == "customer.subscription.pending_update_expired"
    assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub))) == [5000]


def test_a_pending_update_that_pays_at_once_is_never_pending(sandbox: Sandbox) -> None:
    sub, dearer = halfway(sandbox)
    mark = sandbox.mark()
    changed = s.change(sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior=PENDING)
    assert (changed.pending_update, changed.items.data[0].price.unit_amount) == (None, 10000)
    assert "customer.subscription.pending_update_applied" not in sandbox.types(mark)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.api.subscriptions.update(sub.id, {"payment_behavior": PENDING, "metadata": {"a": "b"}})
    assert refused.value.param == "metadata"


def test_ending_a_trial_now_bills_the_first_period_at_once(sandbox: Sandbox) -> None:
    """facts 3.13: prev of a trial that the API ends."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, trial_period_days=14)
    at = s.START + 4 * s.DAY
    sandbox.advance(sub.customer, at)
    mark = sandbox.mark()
    now = sandbox.api.subscriptions.update(sub.id, {"trial_end": "now"})
    assert (now.status, now.trial_end, now.billing_cycle_anchor) == ("active", at, at)
    assert set(s.previous(sandbox, sub.customer, mark)) == {
        "billing_cycle_anchor", "items", "latest_invoice", "status", "trial_end"
    }  # fmt: skip
    assert s.newest(sandbox, sub).status == "paid"
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [5000]


@pytest.mark.parametrize(("missing", "status"), [("pause", "paused"), ("cancel", "canceled")])
def test_ending_a_trial_now_without_a_card_does_as_its_settings_say(
    sandbox: Sandbox, missing: Any, status: str
) -> None:
    settings: Any = {"end_behavior": {"missing_payment_method": missing}}
    customer = s.payer(sandbox, None)
    sub = s.subscribe(sandbox, customer.id, trial_period_days=7, trial_settings=settings)
    assert sandbox.api.subscriptions.update(sub.id, {"trial_end": "now"}).status == status
    assert len(sandbox.api.invoices.list({"customer": customer.id}).data) == 1


def test_a_trial_in_the_middle_gives_the_rest_back_and_moves_the_anchor(sandbox: Sandbox) -> None:
    sub, _ = halfway(sandbox)
    end = s.HALFWAY + 10 * s.DAY
    now = sandbox.api.subscriptions.update(sub.id, {"trial_end": end})
    assert (now.status, now.trial_end, now.billing_cycle_anchor) == ("trialing", end, end)
    assert s.newest(sandbox, sub).total == -2500
    later = sandbox.api.subscriptions.update(sub.id, {"trial_end": end + s.DAY})
    assert later.items.data[0].current_period_end == end + s.DAY
    assert later.latest_invoice == now.latest_invoice
    s.renewed(sandbox, sub)
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [5000, 2500]


def test_discounts_come_and_go(sandbox: Sandbox) -> None:
    sub, _ = halfway(sandbox)
    coupon = sandbox.api.coupons.create({"percent_off": 10, "duration": "forever"}).id
    now = sandbox.api.subscriptions.update(sub.id, {"discounts": [{"coupon": coupon}]})
    assert len(now.discounts) == 1
    assert s.newest(sandbox, s.renewed(sandbox, sub)).total == 4500
    assert sandbox.api.subscriptions.update(sub.id, {"discounts": ""}).discounts == []
    assert s.newest(sandbox, s.renewed(sandbox, sub)).total == 5000


def test_collection_can_change_to_sending_and_back(sandbox: Sandbox) -> None:
    sub, _ = halfway(sandbox)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.api.subscriptions.update(sub.id, {"collection_method": "send_invoice"})
    assert refused.value.param == "days_until_due"
    sandbox.api.subscriptions.update(sub.id, {"collection_method": "send_invoice", "days_until_due": 10})
    invoice = s.newest(sandbox, s.renewed(sandbox, sub))
    assert (invoice.collection_method, invoice.status, invoice.attempted) == ("send_invoice", "open", False)
    back = sandbox.api.subscriptions.update(sub.id, {"collection_method": "charge_automatically"})
    assert (back.collection_method, back.days_until_due) == ("charge_automatically", None)
    assert s.newest(sandbox, s.renewed(sandbox, sub)).status == "paid"


def test_what_is_over_or_paused_can_still_be_described(sandbox: Sandbox) -> None:
    sub, _ = halfway(sandbox)
    sandbox.api.subscriptions.pause(sub.id)
    sandbox.advance(sub.customer, s.START + 50 * s.DAY)
    assert sandbox.api.subscriptions.update(sub.id, {"metadata": {"a": "1"}}).metadata["a"] == "1"
    sandbox.api.subscriptions.cancel(sub.id)
    sandbox.advance(sub.customer, s.START + 90 * s.DAY)
    assert sandbox.api.subscriptions.update(sub.id, {"metadata": {"a": "2"}}).metadata["a"] == "2"
    with pytest.raises(stripe.InvalidRequestError, match="canceled"):
        sandbox.api.subscriptions.update(sub.id, {"description": "x"})


def test_a_refused_change_redeems_nothing(sandbox: Sandbox) -> None:
    sub, dearer = halfway(sandbox, DECLINES)
    coupon = sandbox.api.coupons.create({"percent_off": 10, "duration": "forever"}).id
    with pytest.raises(stripe.CardError):
        s.change(
            sandbox, sub, dearer, proration_behavior=AT_ONCE, payment_behavior="error_if_incomplete",
            discounts=[{"coupon": coupon}],
        )  # fmt: skip
    assert sandbox.api.coupons.retrieve(coupon).times_redeemed == 0


def test_a_price_is_there_only_once(sandbox: Sandbox) -> None:
    sub, _ = halfway(sandbox)
    price = sub.items.data[0].price.id
    for refuse in (
        lambda: sandbox.api.subscriptions.update(sub.id, {"items": [{"price": price}]}),
        lambda: sandbox.api.subscription_items.create({"subscription": sub.id, "price": price}),
        lambda: s.subscribe(sandbox, sub.customer, items=[{"price": price}, {"price": price}]),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="same plan or price"):
            refuse()

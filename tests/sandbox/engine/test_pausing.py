"""pause_collection, and the pause and resume of whole subscriptions (facts 1.4, 3.12, 3.13)."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox

END = s.START + 30 * s.DAY


def hold(sandbox: Sandbox, sub: Any, behavior: Any, **more: Any) -> Any:
    return sandbox.api.subscriptions.update(sub.id, {"pause_collection": {"behavior": behavior, **more}})


@pytest.mark.parametrize(
    ("behavior", "status", "events"),
    [
        ("void", "void", ["invoice.voided"]),
        ("mark_uncollectible", "uncollectible", ["invoice.marked_uncollectible"]),
        ("keep_as_draft", "draft", []),
    ],
)
def test_collection_that_is_paused_changes_invoices_not_the_status(
    sandbox: Sandbox, behavior: str, status: str, events: list[str]
) -> None:
    """facts 3.12: no subscription.paused, no invoice.upcoming; clearing affects later invoices only."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    mark = sandbox.mark()
    held = hold(sandbox, sub, behavior)
    assert held.status == "active"
    assert s.previous(sandbox, sub.customer, mark) == {"pause_collection": None}
    sandbox.advance(sub.customer, END + 2 * s.HOUR)
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.updated", "customer.subscription.updated", "invoice.created", *events
    ]  # fmt: skip
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.auto_advance, invoice.next_payment_attempt) == (status, False, None)
    if status == "uncollectible":
        assert invoice.status_details.uncollectible.reason == "subscription_paused"
    cleared = sandbox.api.subscriptions.update(sub.id, {"pause_collection": ""})
    assert cleared.pause_collection is None
    assert sandbox.api.invoices.retrieve(invoice.id).status == status
    assert s.newest(sandbox, s.renewed(sandbox, sub)).status == "paid"


def test_collection_goes_on_by_itself_when_it_was_told_so(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    hold(sandbox, sub, "void", resumes_at=END + 10 * s.DAY)
    sandbox.advance(sub.customer, END + 9 * s.DAY)
    assert s.newest(sandbox, sub).status == "void"
    mark = sandbox.mark()
    sandbox.advance(sub.customer, END + 10 * s.DAY)
    assert s.told(sandbox, sub.customer, mark) == ["customer.subscription.updated"]
    assert s.newest(sandbox, s.renewed(sandbox, sub)).status == "paid"


def test_a_pause_gives_the_rest_back_and_a_resumption_begins_a_new_period(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.advance(sub.customer, s.HALFWAY)
    mark = sandbox.mark()
    paused = sandbox.api.subscriptions.pause(sub.id)
    details = paused.status_details
    assert details is not None
    assert (paused.status, details.paused.type, details.paused.transitioned_at) == (
        "paused", "subscription", s.HALFWAY
    )  # fmt: skip
    assert details.paused.subscription.type == "pause_requested"
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.paused", "customer.subscription.updated", "invoiceitem.created"
    ]  # fmt: skip
    assert s.previous(sandbox, sub.customer, mark) == {"status": "active", "status_details": None}
    later = s.HALFWAY + 100 * s.DAY
    sandbox.advance(sub.customer, s.HALFWAY + 50 * s.DAY)
    sandbox.advance(sub.customer, later)
    assert len(sandbox.charges(sub.customer)) == 1
    mark = sandbox.mark()
    back = sandbox.api.subscriptions.resume(sub.id)
    assert (back.status, back.status_details, back.billing_cycle_anchor) == ("active", None, later)
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.resumed", "customer.subscription.updated", "invoice.created", "invoice.finalized",
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "invoice.paid",
        "invoice.payment_succeeded",
    ]  # fmt: skip
    assert s.amounts(s.newest(sandbox, sub)) == [-2500, 5000]
    assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub))) == [5000]


@pytest.mark.parametrize(
    ("unused", "given"), [("none", []), ("now", [-2500]), ("item_current_period_start", [-5000])]
)
def test_what_a_pause_gives_back_can_be_chosen(sandbox: Sandbox, unused: Any, given: list[int]) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.advance(sub.customer, s.HALFWAY)
    sandbox.api.subscriptions.pause(
        sub.id,
        {"bill_for": {"unused_time_from": {"type": unused}}, "invoicing_behavior": "pending_invoice_item"},
    )
    items = sandbox.api.invoice_items.list({"customer": sub.customer}).data
    assert [each.amount for each in items] == given


def test_what_a_pause_gives_back_can_be_invoiced_at_once(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.advance(sub.customer, s.HALFWAY)
    sandbox.api.subscriptions.pause(sub.id, {"invoicing_behavior": "invoice"})
    assert s.newest(sandbox, sub).total == -2500
    assert sandbox.api.customers.retrieve(sub.customer).balance == -2500


def test_a_resumption_with_the_old_anchor_charges_the_rest_of_its_period(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.advance(sub.customer, s.HALFWAY)
    sandbox.api.subscriptions.pause(sub.id)
    sandbox.advance(sub.customer, s.START + 18 * s.DAY)
    anchor: Any = {"type": "unchanged"}
    back = sandbox.api.subscriptions.resume(sub.id, {"billing_cycle_anchor": anchor})
    assert (back.billing_cycle_anchor, back.items.data[0].current_period_end) == (s.START, END)
    items = sandbox.api.invoice_items.list({"customer": sub.customer}).data
    assert sorted(each.amount for each in items) == [-2500, 2000]  # 15 and 12 of 30 days
    assert s.newest(sandbox, s.renewed(sandbox, sub)).total == 5000 - 500


def test_a_resumption_can_wait_for_its_payment(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.api.subscriptions.pause(sub.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    s.give_card(sandbox, sub.customer, "pm_card_chargeCustomerFail")
    sandbox.advance(sub.customer, END + s.DAY)
    still = sandbox.api.subscriptions.resume(sub.id, {"payment_behavior": "resume_on_payment_success"})
    assert (still.status, s.newest(sandbox, sub).status) == ("paused", "open")
    s.give_card(sandbox, sub.customer, "pm_card_visa")
    mark = sandbox.mark()
    sandbox.api.invoices.pay(str(still.latest_invoice))
    back = sandbox.api.subscriptions.retrieve(sub.id)
    assert (back.status, back.items.data[0].current_period_start) == ("active", END + s.DAY)
    assert s.told(sandbox, sub.customer, mark)[-2:] == [
        "customer.subscription.resumed", "customer.subscription.updated"
    ]  # fmt: skip


def test_a_resumption_that_is_not_paid_is_past_due(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.api.subscriptions.pause(sub.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    s.give_card(sandbox, sub.customer, "pm_card_chargeCustomerFail")
    assert sandbox.api.subscriptions.resume(sub.id).status == "past_due"


def test_a_trial_that_ended_without_a_card_is_resumed_with_one(sandbox: Sandbox) -> None:
    """facts 3.13: the trigger of the command line ends the trial by the API."""
    customer = s.payer(sandbox, None)
    settings: Any = {"end_behavior": {"missing_payment_method": "pause"}}
    sub = s.subscribe(sandbox, customer.id, trial_period_days=7, trial_settings=settings)
    mark = sandbox.mark()
    paused = sandbox.api.subscriptions.update(sub.id, {"trial_end": "now"})
    assert paused.status_details is not None
    assert paused.status_details.paused.subscription.type == "trial_end_without_payment_method"
    assert s.told(sandbox, customer.id, mark) == [
        "customer.subscription.paused",
        "customer.subscription.updated",
    ]
    s.give_card(sandbox, customer.id, "pm_card_visa")
    back = sandbox.api.subscriptions.resume(sub.id)
    assert (back.status, s.newest(sandbox, sub).total) == ("active", 5000)


def test_who_cannot_be_paused_or_resumed(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    with pytest.raises(stripe.InvalidRequestError, match="paused"):
        sandbox.api.subscriptions.resume(sub.id)
    sandbox.api.subscription_schedules.create({"from_subscription": sub.id})
    with pytest.raises(stripe.InvalidRequestError, match="schedule"):
        sandbox.api.subscriptions.pause(sub.id)
    classic = s.subscribe(sandbox, s.payer(sandbox).id, billing_mode={"type": "classic"})
    with pytest.raises(stripe.InvalidRequestError, match="flexible"):
        sandbox.api.subscriptions.pause(classic.id)

"""Refunds, disputes and early fraud warnings."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

DAY = 86400


def paid(sandbox: Sandbox, number: str, amount: int = 5000) -> Any:
    """The charge of a one-off payment with a card."""
    session = sandbox.session("payment", amount=amount)
    assert sandbox.card(session.url, number).status == 303
    return sandbox.api.charges.list({"customer": session.customer}).data[0]


def test_refunds_add_up_and_only_the_whole_is_refunded(sandbox: Sandbox) -> None:
    charge = paid(sandbox, "4242424242424242")
    mark = sandbox.mark()
    part = sandbox.api.refunds.create({"charge": charge.id, "amount": 2000, "reason": "duplicate"})
    assert (part.status, part.amount, part.customer) == ("succeeded", 2000, charge.customer)
    after = sandbox.api.charges.retrieve(charge.id)
    assert (after.amount_refunded, after.refunded) == (2000, False)
    rest = sandbox.api.refunds.create({"payment_intent": charge.payment_intent})
    assert rest.amount == 3000
    assert sandbox.api.charges.retrieve(charge.id).refunded
    told = sandbox.events(mark, charge.customer)
    assert [each["type"] for each in told] == ["refund.created", "charge.refunded"] * 2
    assert told[1]["data"]["previous_attributes"] == {"amount_refunded": 0, "receipt_url": charge.receipt_url}
    assert told[3]["data"]["previous_attributes"]["refunded"] is False
    assert told[1]["id"].startswith("evt_3" + charge.id[4:20])
    with pytest.raises(stripe.InvalidRequestError) as again:
        sandbox.api.refunds.create({"charge": charge.id})
    assert again.value.code == "charge_already_refunded"
    assert len(sandbox.api.refunds.list({"charge": charge.id}).data) == 2


def test_more_than_is_left_is_not_refunded(sandbox: Sandbox) -> None:
    charge = paid(sandbox, "4242424242424242")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.refunds.create({"charge": charge.id, "amount": 5001})
    assert caught.value.param == "amount"


def test_a_refund_changes_neither_invoice_nor_subscription(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    sandbox.api.refunds.create({"charge": sandbox.charges(sub.customer)[0]["id"]})
    assert sandbox.api.invoices.retrieve(sub.latest_invoice).status == "paid"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


@pytest.mark.parametrize(
    ("number", "at_once", "finally_"),
    [("4000000000007726", "pending", "succeeded"), ("4000000000005126", "succeeded", "failed")],
)
def test_some_cards_settle_refunds_later(sandbox: Sandbox, number: str, at_once: str, finally_: str) -> None:
    charge = paid(sandbox, number)
    refund = sandbox.api.refunds.create({"charge": charge.id})
    assert refund.status == at_once
    sandbox.advance(charge.customer, refund.created + DAY)
    assert sandbox.api.refunds.retrieve(refund.id).status == finally_
    told = sandbox.types(about=charge.customer)
    assert "refund.updated" in told
    assert ("refund.failed" in told) == (finally_ == "failed")
    assert sandbox.api.charges.retrieve(charge.id).refunded == (finally_ == "succeeded")


def test_a_dispute_follows_the_charge_and_can_be_accepted(sandbox: Sandbox) -> None:
    charge = paid(sandbox, "4000000000000259")
    assert charge.disputed
    (dispute,) = sandbox.api.disputes.list({"charge": charge.id}).data
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 5000)
    assert dispute.balance_transactions[0].amount == -5000
    told = [each["type"] for each in sandbox.events() if each["data"]["object"].get("charge") == charge.id]
    assert told == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.refunds.create({"charge": charge.id})
    assert caught.value.code == "charge_disputed"
    mark = sandbox.mark()
    assert sandbox.api.disputes.close(dispute.id).status == "lost"
    (closed,) = sandbox.events(mark)
    assert closed["type"] == "charge.dispute.closed"
    assert closed["data"]["previous_attributes"] == {"status": "needs_response"}


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("winning_evidence", "won",
         ["charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated"]),
        ("losing_evidence", "lost", ["charge.dispute.updated", "charge.dispute.closed"]),
        ("something else", "under_review", ["charge.dispute.updated"]),
    ],
)  # fmt: skip
def test_evidence_decides_a_dispute(sandbox: Sandbox, words: str, status: str, told: list[str]) -> None:
    charge = paid(sandbox, "4000000000000259")
    (dispute,) = sandbox.api.disputes.list({"charge": charge.id}).data
    mark = sandbox.mark()
    answered = sandbox.api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": words}})
    assert (answered.status, answered.evidence_details.submission_count) == (status, 1)
    assert sandbox.types(mark) == told


def test_an_inquiry_moves_no_money(sandbox: Sandbox) -> None:
    charge = paid(sandbox, "4000000000001976")
    (dispute,) = sandbox.api.disputes.list({"charge": charge.id}).data
    assert (dispute.status, dispute.balance_transactions) == ("warning_needs_response", [])
    assert sandbox.api.disputes.close(dispute.id).status == "warning_closed"


def test_a_disputed_renewal_leaves_the_subscription_alone(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber("4000000000000259")
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_a_warning_is_no_longer_actionable_once_refunded(sandbox: Sandbox) -> None:
    charge = paid(sandbox, "4000000000005423")
    (warning,) = sandbox.api.radar.early_fraud_warnings.list({"charge": charge.id}).data
    assert warning.actionable
    mark = sandbox.mark()
    sandbox.api.refunds.create({"charge": charge.id, "amount": 1})
    assert sandbox.api.radar.early_fraud_warnings.retrieve(warning.id).actionable
    sandbox.api.refunds.create({"charge": charge.id})
    assert not sandbox.api.radar.early_fraud_warnings.retrieve(warning.id).actionable
    assert sandbox.types(mark)[-1] == "radar.early_fraud_warning.updated"

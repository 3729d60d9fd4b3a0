"""Disputes and early fraud warnings in full: facts 3.17 and 3.18."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

DAY = 86400


def disputed(sandbox: Sandbox, token: str = "pm_card_createDispute", **more: Any) -> tuple[Any, Any]:
    """A payment's charge and its dispute."""
    money: Any = {"amount": 5000, "currency": "usd", "confirm": True, "payment_method": token, **more}
    charge = sandbox.api.payment_intents.create({**money, "expand": ["latest_charge"]}).latest_charge
    return charge, sandbox.api.disputes.list({"charge": charge.id}).data[0]  # type: ignore[union-attr]


def told(sandbox: Sandbox, mark: str | None) -> list[str]:
    return [each for each in sandbox.types(mark) if not each.startswith("test_helpers")]


def test_a_dispute_takes_the_money_and_a_fee_at_once(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    charge, dispute = disputed(sandbox)
    assert sandbox.types(mark) == [
        "payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated",
        "charge.dispute.created", "charge.dispute.funds_withdrawn",
    ]  # fmt: skip
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 5000)
    assert dispute.evidence_details.due_by == charge.created + 9 * DAY
    (entry,) = dispute.balance_transactions
    assert (entry.amount, entry.fee, entry.net, entry.reporting_category) == (-5000, 1500, -6500, "dispute")
    assert [each.id for each in sandbox.api.balance_transactions.list({"source": dispute.id}).data] == [
        entry.id
    ]
    created, withdrawn = sandbox.events(mark)[-2:]
    assert created["data"]["object"]["balance_transactions"] == []
    assert len(withdrawn["data"]["object"]["balance_transactions"]) == 1


@pytest.mark.parametrize(
    ("words", "status", "types"),
    [
        ("winning_evidence", "won",
         ["charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated"]),
        ("losing_evidence", "lost", ["charge.dispute.updated", "charge.dispute.closed"]),
    ],
)  # fmt: skip
def test_evidence_moves_it_through_review(
    sandbox: Sandbox, words: str, status: str, types: list[str]
) -> None:
    _, dispute = disputed(sandbox)
    mark = sandbox.mark()
    answered = sandbox.api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": words}})
    events = sandbox.events(mark)
    assert [each["type"] for each in events] == types
    before = events[0]["data"]["previous_attributes"]
    assert (before["status"], before["evidence"]) == ("needs_response", {"uncategorized_text": None})
    assert before["evidence_details"] == {
        "has_evidence": False, "submission_count": 0, "submission_method": "not_submitted",
    }  # fmt: skip
    assert events[1]["data"]["previous_attributes"] == {"status": "under_review"}
    assert answered.status == status
    assert sum(each.amount for each in answered.balance_transactions) == (0 if status == "won" else -5000)


def test_evidence_can_be_kept_without_submitting_it(sandbox: Sandbox) -> None:
    _, dispute = disputed(sandbox)
    kept = sandbox.api.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": False}
    )
    assert (kept.status, kept.evidence_details.has_evidence) == ("needs_response", True)
    assert (kept.evidence_details.submission_count, kept.evidence_details.submission_method) == (
        0,
        "not_submitted",
    )


def test_evidence_has_a_limit(sandbox: Sandbox) -> None:
    """Facts 8: 150 000 characters in all."""
    _, dispute = disputed(sandbox)
    half = "x" * 75_000
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.disputes.update(
            dispute.id, {"evidence": {"uncategorized_text": half, "access_activity_log": half + "x"}}
        )
    assert caught.value.param == "evidence"
    kept = sandbox.api.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": half, "access_activity_log": half}, "submit": False}
    )
    assert kept.evidence_details.has_evidence


def test_a_dispute_that_nobody_answers_is_lost(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    _, dispute = disputed(sandbox, customer=customer)
    mark = sandbox.mark()
    sandbox.advance(customer, dispute.evidence_details.due_by)
    assert told(sandbox, mark) == ["charge.dispute.closed"]
    now = sandbox.api.disputes.retrieve(dispute.id)
    assert (now.status, now.evidence_details.past_due) == ("lost", True)
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "late"}})


def test_an_inquiry_that_is_closed_tells_what_it_was(sandbox: Sandbox) -> None:
    """Recorded: charge.dispute.closed {warning_closed} with previous_attributes status."""
    charge, dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    assert (dispute.status, dispute.balance_transactions, dispute.is_charge_refundable) == (
        "warning_needs_response", [], True,
    )  # fmt: skip
    mark = sandbox.mark()
    assert sandbox.api.disputes.close(dispute.id).status == "warning_closed"
    (event,) = sandbox.events(mark)
    assert event["data"]["previous_attributes"] == {"status": "warning_needs_response"}
    assert sandbox.api.refunds.create({"charge": charge.id}).status == "succeeded"


def test_an_inquiry_can_become_a_dispute(sandbox: Sandbox) -> None:
    _, dispute = disputed(sandbox, "pm_card_createDisputeInquiry")
    mark = sandbox.mark()
    evidence: Any = {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
    now = sandbox.api.disputes.update(dispute.id, evidence)
    assert (now.status, len(now.balance_transactions)) == ("needs_response", 1)
    assert sandbox.types(mark) == [
        "charge.dispute.updated", "charge.dispute.updated", "charge.dispute.funds_withdrawn",
    ]  # fmt: skip
    won = sandbox.api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert won.status == "won"


@pytest.mark.parametrize(
    ("token", "count", "reason", "eligible", "case"),
    [
        ("pm_card_createMultipleDisputes", 2, "fraudulent", [], "chargeback"),
        ("pm_card_createDisputeProductNotReceived", 1, "product_not_received", [], "chargeback"),
        ("pm_card_createCe3EligibleDispute", 1, "fraudulent", ["visa_compelling_evidence_3"], "chargeback"),
        ("pm_card_createComplianceDispute", 1, "noncompliant", ["visa_compliance"], "compliance"),
    ],
)
def test_other_disputes(
    sandbox: Sandbox, token: str, count: int, reason: str, eligible: list[str], case: str
) -> None:
    charge, dispute = disputed(sandbox, token)
    found = sandbox.api.disputes.list({"payment_intent": charge.payment_intent}).data
    assert (len(found), sum(each.amount for each in found)) == (count, 5000)
    assert (dispute.reason, dispute.enhanced_eligibility_types) == (reason, eligible)
    assert dispute.payment_method_details.card.case_type == case


def test_3d_secure_shields_from_a_dispute(sandbox: Sandbox) -> None:
    intent: Any = sandbox.api.payment_intents.create(
        {
            "amount": 5000, "currency": "usd", "confirm": True, "payment_method": "pm_card_createDispute",
            "payment_method_options": {"card": {"request_three_d_secure": "any"}},
            "return_url": "http://127.0.0.1:9/back",
        }
    )  # fmt: skip
    sandbox.form(intent.next_action.redirect_to_url.url, answer="pass")
    assert sandbox.api.payment_intents.retrieve(intent.id).status == "succeeded"
    assert sandbox.api.disputes.list({"payment_intent": intent.id}).data == []


@pytest.mark.parametrize(("setting", "status"), [("off", "active"), ("on", "canceled")])
def test_a_dispute_ends_the_subscription_where_the_account_wants_it(
    sandbox: Sandbox, setting: str, status: str
) -> None:
    sub = sandbox.subscriber()
    sandbox.control(f"customers/{sub.customer}/card", number="4000000000000259")
    sandbox.control("settings", dispute_cancels=setting)
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end + 3600)
    sandbox.control("settings", dispute_cancels="off")
    now = sandbox.api.subscriptions.retrieve(sub.id)
    assert now.status == status
    if status == "canceled":
        assert now.cancellation_details is not None
        assert now.cancellation_details.reason == "payment_disputed"


def test_a_warning_is_actionable_until_all_is_refunded(sandbox: Sandbox) -> None:
    """Facts 3.18."""
    mark = sandbox.mark()
    money: Any = {"amount": 5000, "currency": "usd", "confirm": True}
    intent = sandbox.api.payment_intents.create(
        {**money, "payment_method": "pm_card_createIssuerFraudRecord"}
    )
    created = sandbox.events(mark)[-1]
    assert created["type"] == "radar.early_fraud_warning.created"
    assert (created["data"]["object"]["actionable"], created["data"]["object"]["charge"]) == (
        True, intent.latest_charge,
    )  # fmt: skip
    sandbox.api.refunds.create({"payment_intent": intent.id, "amount": 100})
    mark = sandbox.mark()
    sandbox.api.refunds.create({"payment_intent": intent.id})
    events = sandbox.events(mark)
    assert [each["type"] for each in events] == [
        "refund.created", "charge.refunded", "radar.early_fraud_warning.updated",
    ]  # fmt: skip
    assert events[-1]["data"]["previous_attributes"] == {"actionable": True}

"""Refunds in full: events, failures, balance, and amounts that always add up. Facts 3.16."""

from __future__ import annotations

import random
from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

DAY = 86400


def paid(sandbox: Sandbox, token: str = "pm_card_visa", **more: Any) -> Any:
    """The charge of a payment."""
    money: Any = {"amount": 5000, "currency": "usd", "confirm": True, "payment_method": token, **more}
    return sandbox.api.payment_intents.create({**money, "expand": ["latest_charge"]}).latest_charge


def test_a_refund_tells_of_itself_and_of_its_charge(sandbox: Sandbox) -> None:
    """As recorded at clover: previous_attributes amount_refunded, receipt_url (which changes), refunded."""
    charge = paid(sandbox)
    mark = sandbox.mark()
    refund = sandbox.api.refunds.create({"charge": charge.id, "reason": "requested_by_customer"})
    assert refund.id.startswith("re_3" + charge.id[4:20])
    created, refunded = sandbox.events(mark)
    assert (created["type"], created["data"]["object"]["status"]) == ("refund.created", "succeeded")
    assert refunded["type"] == "charge.refunded"
    assert refunded["data"]["previous_attributes"] == {
        "amount_refunded": 0, "receipt_url": charge.receipt_url, "refunded": False,
    }  # fmt: skip
    assert refunded["data"]["object"]["receipt_url"] != charge.receipt_url
    assert "refunds" not in refunded["data"]["object"]


def test_a_change_of_a_refund_is_told_twice(sandbox: Sandbox) -> None:
    """charge.refund.updated is the older twin of refund.updated, with the same previous_attributes."""
    refund = sandbox.api.refunds.create({"charge": paid(sandbox).id})
    mark = sandbox.mark()
    sandbox.api.refunds.update(refund.id, {"metadata": {"order_id": "6735"}})
    told = sandbox.events(mark)
    assert [each["type"] for each in told] == ["refund.updated", "charge.refund.updated"]
    assert [each["data"]["previous_attributes"] for each in told] == [{"metadata": {"order_id": None}}] * 2


def test_a_refund_that_fails_makes_the_charge_whole_again(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    charge = paid(sandbox, "pm_card_refundFail", customer=customer)
    refund = sandbox.api.refunds.create({"charge": charge.id, "amount": 3000})
    mark = sandbox.mark()
    sandbox.advance(customer, refund.created + DAY)
    told = [each for each in sandbox.events(mark) if not each["type"].startswith("test_helpers")]
    assert [each["type"] for each in told] == [
        "refund.updated", "charge.refund.updated", "refund.failed", "charge.updated",
    ]  # fmt: skip
    assert told[0]["data"]["previous_attributes"]["status"] == "succeeded"
    assert told[3]["data"]["previous_attributes"]["amount_refunded"] == 3000
    failed: Any = sandbox.api.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "unknown")
    assert (failed.failure_balance_transaction.amount, failed.failure_balance_transaction.type) == (
        3000, "refund_failure",
    )  # fmt: skip
    assert sandbox.api.charges.retrieve(charge.id).amount_refunded == 0
    assert sandbox.api.refunds.create({"charge": charge.id}).amount == 5000


def test_a_pending_refund_says_so_until_it_arrives(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    charge = paid(sandbox, "pm_card_pendingRefund", customer=customer)
    refund = sandbox.api.refunds.create({"charge": charge.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    sandbox.advance(customer, refund.created + DAY)
    assert sandbox.api.refunds.retrieve(refund.id).status == "succeeded"


def test_a_fraudulent_refund_reports_the_charge(sandbox: Sandbox) -> None:
    charge = paid(sandbox)
    sandbox.api.refunds.create({"charge": charge.id, "reason": "fraudulent"})
    report = sandbox.api.charges.retrieve(charge.id).fraud_details
    assert report is not None
    assert report.user_report == "fraudulent"


def test_a_refund_of_a_card_cannot_be_canceled(sandbox: Sandbox) -> None:
    refund = sandbox.api.refunds.create({"charge": paid(sandbox).id})
    with pytest.raises(stripe.InvalidRequestError, match="requires_action"):
        sandbox.api.refunds.cancel(refund.id)


def test_what_was_only_held_is_not_refunded(sandbox: Sandbox) -> None:
    charge = paid(sandbox, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        sandbox.api.refunds.create({"payment_intent": charge.payment_intent})


def test_one_key_refunds_once(sandbox: Sandbox) -> None:
    charge = paid(sandbox)
    key: Any = {"idempotency_key": f"refund-{charge.id}"}
    first = sandbox.api.refunds.create({"charge": charge.id, "amount": 2000}, key)
    assert sandbox.api.refunds.create({"charge": charge.id, "amount": 2000}, key).id == first.id
    assert sandbox.api.charges.retrieve(charge.id).amount_refunded == 2000


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_refunded_the_amounts_add_up(sandbox: Sandbox, seed: int) -> None:
    """Refunds of the charge = amount_refunded <= amount; its balance transactions sum to what is kept."""
    chance = random.Random(seed)
    customer = sandbox.customer().id
    token = chance.choice(["pm_card_visa", "pm_card_refundFail", "pm_card_pendingRefund"])
    charge = paid(sandbox, token, customer=customer, capture_method="automatic")
    wanted = [chance.randint(1, 2500) for _ in range(6)]
    left = 5000
    for amount in wanted:
        try:
            sandbox.api.refunds.create({"charge": charge.id, "amount": amount})
        except stripe.InvalidRequestError:
            assert amount > left
        else:
            left -= amount
        assert sandbox.api.charges.retrieve(charge.id).amount_refunded == 5000 - left
    sandbox.advance(customer, charge.created + 2 * DAY)
    now = sandbox.api.charges.retrieve(charge.id)
    refunds = sandbox.api.refunds.list({"charge": charge.id, "limit": 100}).data
    standing = sum(each.amount for each in refunds if each.status == "succeeded")
    assert now.amount_refunded == standing
    assert now.refunded == (standing == now.amount)
    ids = [each.balance_transaction for each in refunds] + [now.balance_transaction]
    ids += [
        each.failure_balance_transaction
        for each in refunds
        if getattr(each, "failure_balance_transaction", None)
    ]
    moved = [sandbox.api.balance_transactions.retrieve(str(id_)) for id_ in ids]
    assert sum(each.amount for each in moved) == now.amount - standing
    assert all(each.net == each.amount - each.fee for each in moved)

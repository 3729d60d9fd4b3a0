"""Bank transfers from a customer's cash balance."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import shapes
from tests.sandbox.engine.driver import Sandbox


def waiting(sandbox: Sandbox, customer: str, amount: int = 20000) -> Any:
    """A payment that waits for a transfer."""
    return sandbox.api.payment_intents.create(
        {
            "amount": amount, "currency": "jpy", "customer": customer, "confirm": True,
            "allowed_payment_method_types": ["customer_balance"],
            "payment_method_data": {"type": "customer_balance"},
        }
    )  # fmt: skip


def fund(sandbox: Sandbox, customer: str, amount: int, currency: str = "jpy") -> Any:
    return sandbox.api.test_helpers.customers.fund_cash_balance(
        customer, {"amount": amount, "currency": currency}
    )


def left(sandbox: Sandbox, customer: str) -> Any:
    return sandbox.api.customers.cash_balance.retrieve(customer).to_dict()["available"]


def test_a_transfer_can_pay_a_part_and_the_next_one_the_rest(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    intent = waiting(sandbox, customer)
    assert intent.next_action.type == "display_bank_transfer_instructions"
    assert intent.next_action.display_bank_transfer_instructions.amount_remaining == 20000
    mark = sandbox.mark()
    booked = fund(sandbox, customer, 12000)
    assert (booked.type, booked.net_amount, booked.ending_balance) == ("funded", 12000, 12000)
    told = sandbox.events(mark)
    assert [each["type"] for each in told] == [
        "customer_cash_balance_transaction.created", "customer_cash_balance_transaction.created",
        "payment_intent.partially_funded",
    ]  # fmt: skip
    partly = told[2]["data"]["object"]
    assert partly["next_action"]["display_bank_transfer_instructions"]["amount_remaining"] == 8000
    mark = sandbox.mark()
    fund(sandbox, customer, 9000)
    done = sandbox.api.payment_intents.retrieve(intent.id)
    assert (done.status, done.amount_received) == ("succeeded", 20000)
    assert sandbox.types(mark)[-3:] == [
        "charge.succeeded", "payment_intent.succeeded", "cash_balance.funds_available",
    ]  # fmt: skip
    assert left(sandbox, customer) == {"jpy": 1000}
    rows = sandbox.api.customers.cash_balance_transactions.list(customer).data
    assert sum(each.net_amount for each in rows) == 1000


def test_cash_that_is_there_pays_at_once(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    fund(sandbox, customer, 500)
    intent = waiting(sandbox, customer, 500)
    assert (intent.status, intent.next_action) == ("succeeded", None)
    assert left(sandbox, customer) is None
    refund: Any = sandbox.api.refunds.create({"payment_intent": intent.id})
    assert refund.destination_details.type == "customer_cash_balance"


def test_dollars_stay_on_the_balance(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    fund(sandbox, customer, 1000, "usd")
    balance = sandbox.api.customers.cash_balance.retrieve(customer)
    assert balance.to_dict()["available"] == {"usd": 1000}
    assert shapes.problems(balance.to_dict(for_json=True), shapes.samples().get("cash_balance")) == []


def test_a_transfer_needs_somebody_who_sends_it(sandbox: Sandbox) -> None:
    money: Any = {
        "amount": 500,
        "currency": "jpy",
        "confirm": True,
        "payment_method_data": {"type": "customer_balance"},
    }
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.payment_intents.create({**money, "allowed_payment_method_types": ["customer_balance"]})
    assert caught.value.param == "customer"

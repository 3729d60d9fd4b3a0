"""Bank debits, which the bank answers later: facts 3.20."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.sandbox.engine import shapes
from tests.sandbox.engine.driver import Sandbox, eventually

PERSON: Any = {"name": "Bob", "email": "bob@example.com"}
ACCEPTED: Any = {
    "customer_acceptance": {"type": "online", "online": {"ip_address": "127.0.0.1", "user_agent": "t"}}
}
SLOW, AT_ONCE, FAILS = "AT321904300235473204", "AT611904300234573201", "AT861904300235473202"


@pytest.fixture
def quick(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox whose slow debits are answered within a second."""
    sandbox.control("settings", bank_debit_seconds=0)
    yield sandbox
    sandbox.control("settings", bank_debit_seconds=180)


def sepa(sandbox: Sandbox, iban: str) -> str:
    account: Any = {"type": "sepa_debit", "sepa_debit": {"iban": iban}, "billing_details": PERSON}
    return sandbox.api.payment_methods.create(account).id


def ach(sandbox: Sandbox, number: str) -> str:
    account: Any = {
        "account_number": number,
        "routing_number": "110000000",
        "account_holder_type": "individual",
    }
    return sandbox.api.payment_methods.create(
        {"type": "us_bank_account", "us_bank_account": account, "billing_details": PERSON}
    ).id


def pay(sandbox: Sandbox, method: str, currency: str = "eur", **more: Any) -> Any:
    return sandbox.api.payment_intents.create(
        {
            "amount": 1000, "currency": currency, "payment_method": method, "confirm": True,
            "mandate_data": ACCEPTED, **more,
        }
    )  # fmt: skip


def settled(sandbox: Sandbox, intent: Any) -> Any:
    """The intent when the bank has answered."""

    def answered() -> Any:
        now = sandbox.api.payment_intents.retrieve(intent.id)
        return now if now.status != "processing" else None

    return eventually(answered, "the debit settles")


def about(sandbox: Sandbox, intent: Any) -> list[dict[str, Any]]:
    """The events of one payment, whatever else happens meanwhile."""
    found = []
    for event in sandbox.events():
        subject = event["data"]["object"]
        if intent.id in (subject.get("id"), subject.get("payment_intent")):
            found.append(event)
    return found


def test_a_debit_is_processing_until_the_bank_collects_it(quick: Sandbox) -> None:
    intent = pay(quick, sepa(quick, SLOW))
    assert (intent.status, intent.amount_received) == ("processing", 0)
    done = settled(quick, intent)
    assert (done.status, done.amount_received) == ("succeeded", 1000)
    told = about(quick, intent)
    assert [each["type"] for each in told] == [
        "payment_intent.created", "payment_intent.processing", "charge.pending",
        "charge.succeeded", "payment_intent.succeeded",
    ]  # fmt: skip
    pending, paid = told[2]["data"]["object"], told[3]["data"]["object"]
    assert pending["id"].startswith("py_3" + intent.id[4:20])
    assert (pending["status"], pending["paid"], pending["balance_transaction"]) == ("pending", False, None)
    assert (paid["status"], paid["paid"]) == ("succeeded", True)
    entry = quick.api.balance_transactions.retrieve(paid["balance_transaction"])
    assert (entry.type, entry.amount, entry.fee, entry.net) == ("payment", 1000, 35, 965)


@pytest.mark.parametrize("iban", [FAILS, "IT60X0542811101000000123456"])
def test_a_debit_can_fail_in_the_end(sandbox: Sandbox, iban: str) -> None:
    intent = pay(sandbox, sepa(sandbox, iban))
    done = settled(sandbox, intent)
    assert done.status == "requires_payment_method"
    assert done.last_payment_error.code == "payment_intent_payment_attempt_failed"
    told = about(sandbox, intent)
    assert [each["type"] for each in told][-2:] == ["charge.failed", "payment_intent.payment_failed"]
    charge = told[-2]["data"]["object"]
    assert (charge["status"], charge["paid"], charge["amount_captured"]) == ("failed", False, 0)


def test_a_slow_debit_takes_three_minutes(sandbox: Sandbox) -> None:
    intent = pay(sandbox, sepa(sandbox, SLOW))
    quick = pay(sandbox, sepa(sandbox, AT_ONCE))
    settled(sandbox, quick)
    assert sandbox.api.payment_intents.retrieve(intent.id).status == "processing"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("000123456789", None), ("000222222227", "insufficient_funds"), ("000111111113", "account_closed"),
        ("000111111116", "no_account"), ("000333333335", "debit_not_authorized"),
    ],
)  # fmt: skip
def test_american_accounts_too(sandbox: Sandbox, number: str, code: str | None) -> None:
    done = settled(sandbox, pay(sandbox, ach(sandbox, number), "usd"))
    charge = sandbox.api.charges.retrieve(done.latest_charge)
    assert (charge.failure_code, charge.status) == (code, "failed" if code else "succeeded")


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"type": "sepa_debit", "sepa_debit": {"iban": "AT000000000000000000"}}, "invalid_iban"),
        (
            {
                "type": "us_bank_account",
                "us_bank_account": {
                    "account_number": "12345678", "routing_number": "110000000", "account_holder_type": "company",
                },
            },
            "account_number_invalid",
        ),
        ({"type": "klarna"}, "sandbox_not_built"),
    ],
)  # fmt: skip
def test_what_is_no_account_is_refused(sandbox: Sandbox, account: Any, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.payment_methods.create({**account, "billing_details": PERSON})
    assert caught.value.code == code


def test_a_debit_needs_a_mandate_once(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    account = sepa(sandbox, AT_ONCE)
    money: Any = {
        "amount": 1000,
        "currency": "eur",
        "payment_method": account,
        "confirm": True,
        "customer": customer,
    }
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.payment_intents.create(money)
    assert caught.value.param == "mandate_data"
    first = sandbox.api.payment_intents.create(
        {**money, "mandate_data": ACCEPTED, "setup_future_usage": "off_session", "expand": ["latest_charge"]}
    )
    charge: Any = first.latest_charge
    mandate = sandbox.api.mandates.retrieve(charge.payment_method_details.sepa_debit.mandate)
    assert (mandate.status, mandate.payment_method) == ("active", account)
    assert shapes.problems(mandate.to_dict(for_json=True), None) == []
    assert sandbox.api.payment_intents.create({**money, "off_session": True}).status == "processing"


def test_a_bank_account_can_be_saved_for_later(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    intent = sandbox.api.setup_intents.create(
        {
            "customer": customer,
            "payment_method": sepa(sandbox, AT_ONCE),
            "confirm": True,
            "mandate_data": ACCEPTED,
        }
    )
    assert intent.status == "succeeded"
    assert sandbox.api.mandates.retrieve(str(intent.mandate)).payment_method == intent.payment_method
    (saved,) = sandbox.api.payment_methods.list({"customer": customer, "type": "sepa_debit"}).data
    assert saved.id == intent.payment_method


@pytest.mark.parametrize(("iban", "status"), [(AT_ONCE, "succeeded"), (FAILS, "requires_payment_method")])
def test_a_test_clock_does_not_collect_bank_debits(sandbox: Sandbox, iban: str, status: str) -> None:
    """Facts 6: advancing does nothing to them, the wall clock does; objects keep the clock's time."""
    clock = sandbox.api.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000})
    customer = sandbox.api.customers.create({"test_clock": clock.id}).id
    sandbox.control("settings", bank_debit_seconds=180)
    slow = pay(sandbox, sepa(sandbox, SLOW), customer=customer)
    sandbox.advance(customer, 1_800_086_400)
    assert sandbox.api.payment_intents.retrieve(slow.id).status == "processing"
    done = settled(sandbox, pay(sandbox, sepa(sandbox, iban), customer=customer))
    assert (done.status, done.created) == (status, 1_800_086_400)


def test_a_debit_that_is_under_way_has_nothing_to_refund(sandbox: Sandbox) -> None:
    intent = pay(sandbox, sepa(sandbox, SLOW))
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        sandbox.api.refunds.create({"payment_intent": intent.id})


def test_a_collected_debit_is_refunded_to_the_account(sandbox: Sandbox) -> None:
    done = settled(sandbox, pay(sandbox, sepa(sandbox, AT_ONCE)))
    refund: Any = sandbox.api.refunds.create({"payment_intent": done.id, "expand": ["balance_transaction"]})
    assert refund.id.startswith("pyr_3")
    assert refund.destination_details.type == "eu_bank_transfer"
    assert (refund.balance_transaction.type, refund.balance_transaction.amount) == ("payment_refund", -1000)


@pytest.mark.parametrize(
    ("iban", "invoice_status", "sub_status"), [(AT_ONCE, "paid", "active"), (FAILS, "open", "past_due")]
)
def test_an_invoice_stays_open_until_its_debit_settles(
    sandbox: Sandbox, iban: str, invoice_status: str, sub_status: str
) -> None:
    sub = sandbox.subscriber(price=sandbox.price(currency="eur"))
    account = sepa(sandbox, iban)
    sandbox.api.setup_intents.create(
        {"customer": sub.customer, "payment_method": account, "confirm": True, "mandate_data": ACCEPTED}
    )
    sandbox.api.subscriptions.update(sub.id, {"default_payment_method": account})
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end + 3600)

    def answered() -> Any:
        (latest, *_) = sandbox.api.invoices.list({"subscription": sub.id}).data
        return latest if latest.status == "paid" or latest.attempt_count else None

    latest = eventually(answered, "the invoice hears of its debit")
    assert (latest.status, latest.attempt_count) == (invoice_status, 1)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == sub_status
    about_customer = sandbox.types(about=str(sub.customer))
    assert "payment_intent.processing" in about_customer
    assert ("invoice.payment_failed" in about_customer) == (sub_status == "past_due")

"""Hosted Checkout: what exists after each card, and which events tell of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.engine.driver import ALWAYS_ASKS, ASKS, GENERIC, GOOD, POOR, Sandbox

SUBSCRIBED = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "payment_method.attached",
    "customer.updated",
    "customer.subscription.created",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "checkout.session.completed",
]
DECLINES = {
    GENERIC: ("card_declined", "generic_decline"),
    POOR: ("card_declined", "insufficient_funds"),
    "4000000000009987": ("card_declined", "lost_card"),
    "4000000000009979": ("card_declined", "stolen_card"),
    "4000000000006975": ("card_declined", "card_velocity_exceeded"),
    "4000000000000069": ("expired_card", None),
    "4000000000000127": ("incorrect_cvc", None),
    "4000000000000119": ("processing_error", None),
    "4000000000000341": ("card_declined", "generic_decline"),
    "4000000000004954": ("card_declined", "highest_risk_level"),
}


def test_a_good_card_makes_an_active_subscription_and_a_paid_invoice(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    mark = sandbox.mark()
    session = sandbox.session(customer=customer.id, subscription_data={"metadata": {"user_id": "1"}})
    assert (session.status, session.subscription, session.invoice) == ("open", None, None)
    answer = sandbox.card(session.url)
    assert answer.location == f"http://127.0.0.1:9/ok?session={session.id}"
    done = sandbox.api.checkout.sessions.retrieve(
        session.id, {"expand": ["subscription", "invoice.payments", "line_items"]}
    )
    sub, invoice = done.subscription, done.invoice
    assert (done.status, done.payment_status, done.url, done.payment_intent) == (
        "complete",
        "paid",
        None,
        None,
    )
    assert done.line_items.data[0].amount_total == 2500
    assert (sub.status, sub.metadata["user_id"], sub.latest_invoice) == ("active", "1", invoice.id)
    assert sub.default_payment_method.startswith("pm_")
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("paid", 0, True)
    assert (invoice.amount_paid, invoice.amount_remaining) == (2500, 0)
    assert invoice.period_start == invoice.period_end == invoice.created
    assert invoice.payments.data[0].status == "paid"
    assert invoice.number.endswith("-0001")
    assert invoice.lines.data[0].description == "1 × Pro (at $25.00 / month)"
    told = [each for each in sandbox.types(mark, customer.id) if each != "invoice_payment.paid"]
    assert told == SUBSCRIBED


def test_each_event_shows_the_object_as_it_was_then(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    told = {each["type"]: each for each in sandbox.events(about=sub.customer)}
    statuses = {
        name: told[name]["data"]["object"]["status"] for name in SUBSCRIBED if name.startswith("invoice")
    }
    assert statuses == {
        "invoice.created": "draft",
        "invoice.finalized": "open",
        "invoice.paid": "paid",
        "invoice.payment_succeeded": "paid",
    }
    assert told["invoice.finalized"]["data"]["object"]["amount_paid"] == 0
    assert told["customer.updated"]["data"]["previous_attributes"] == {"currency": None}


def test_one_key_that_nobody_sent_joins_subscription_and_invoice_events(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    told = {each["type"]: each["request"] for each in sandbox.events(about=sub.customer)}
    key = told["customer.subscription.created"]["idempotency_key"]
    assert key
    assert told["invoice.paid"] == {"id": None, "idempotency_key": key}
    assert told["checkout.session.completed"] == {"id": None, "idempotency_key": None}


@pytest.mark.parametrize("number", DECLINES)
def test_a_declined_card_leaves_the_session_open_and_no_subscription(sandbox: Sandbox, number: str) -> None:
    session = sandbox.session()
    mark = sandbox.mark()
    assert sandbox.card(session.url, number).status == 422
    again = sandbox.api.checkout.sessions.retrieve(session.id)
    assert (again.status, again.payment_status) == ("open", "unpaid")
    assert not sandbox.api.subscriptions.list({"customer": session.customer, "status": "all"}).data
    assert not sandbox.api.invoices.list({"customer": session.customer}).data
    told = sandbox.events(mark, session.customer)
    assert [each["type"] for each in told] == [
        "payment_intent.created", "charge.failed", "payment_intent.payment_failed"
    ]  # fmt: skip
    error = told[-1]["data"]["object"]["last_payment_error"]
    assert (error["code"], error["decline_code"]) == DECLINES[number]
    assert told[1]["data"]["object"]["failure_code"] == DECLINES[number][0]


def test_another_card_after_a_decline_pays_with_the_same_intent(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.card(session.url, GENERIC)
    assert sandbox.card(session.url, GOOD).status == 303
    assert [each["status"] for each in sandbox.charges(session.customer)] == ["failed", "succeeded"]
    assert sandbox.types(about=session.customer).count("payment_intent.created") == 1


def test_a_number_with_a_wrong_check_digit_reaches_no_bank(sandbox: Sandbox) -> None:
    session = sandbox.session()
    answer = sandbox.card(session.url, "4242424242424241")
    assert answer.status == 422
    assert b"incorrect" in answer.body
    assert sandbox.charges(session.customer) == []


def test_a_card_that_is_no_test_card_is_declined(sandbox: Sandbox) -> None:
    session = sandbox.session()
    assert sandbox.card(session.url, "4539578763621486").status == 422
    (charge,) = sandbox.charges(session.customer)
    assert charge["status"] == "failed"


@pytest.mark.parametrize("number", [ASKS, ALWAYS_ASKS, "4000000000003220"])
def test_a_passed_challenge_pays(sandbox: Sandbox, number: str) -> None:
    session = sandbox.session()
    mark = sandbox.mark()
    answer = sandbox.card(session.url, number)
    assert answer.location.startswith("/3ds/")
    assert sandbox.types(mark, session.customer)[-1] == "payment_intent.requires_action"
    assert sandbox.form(answer.location, answer="pass").location.startswith("http://127.0.0.1:9/ok")
    assert sandbox.api.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_failed_challenge_makes_no_charge_and_can_be_tried_again(sandbox: Sandbox) -> None:
    session = sandbox.session()
    answer = sandbox.card(session.url, ASKS)
    back = sandbox.form(answer.location, answer="fail")
    assert back.location.endswith(f"/c/pay/{session.id}")
    assert sandbox.charges(session.customer) == []
    failed = sandbox.events(about=session.customer)[-1]
    assert failed["type"] == "payment_intent.payment_failed"
    intent = failed["data"]["object"]
    assert intent["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    assert (intent["status"], intent["latest_charge"]) == ("requires_payment_method", None)
    assert sandbox.card(session.url, GOOD).status == 303


def test_an_abandoned_challenge_gives_nothing_and_its_link_dies_with_the_session(sandbox: Sandbox) -> None:
    session = sandbox.session()
    answer = sandbox.card(session.url, ASKS)
    sandbox.api.checkout.sessions.expire(session.id)
    assert sandbox.types(about=session.customer)[-2:] == [
        "checkout.session.expired",
        "payment_intent.canceled",
    ]
    sandbox.form(answer.location, answer="pass")
    assert sandbox.charges(session.customer) == []
    assert sandbox.api.checkout.sessions.retrieve(session.id).status == "expired"


@pytest.mark.parametrize("answer", ["pass", "fail"])
@pytest.mark.parametrize("trial", [{}, {"trial_period_days": 14}])
def test_another_attempt_ends_the_challenge_of_the_first(sandbox: Sandbox, answer: str, trial: Any) -> None:
    session = sandbox.session(subscription_data=trial)
    first = sandbox.card(session.url, ASKS)
    assert sandbox.card(session.url, GENERIC).status == 422
    mark = sandbox.mark()
    late = sandbox.form(first.location, answer=answer)
    assert late.location.endswith(f"/c/pay/{session.id}")
    assert sandbox.types(mark) == []
    assert sandbox.api.checkout.sessions.retrieve(session.id).status == "open"


@pytest.mark.parametrize("trial", [{}, {"trial_period_days": 14}])
def test_nothing_is_paid_or_begun_for_a_customer_who_was_deleted_meanwhile(
    sandbox: Sandbox, trial: Any
) -> None:
    session = sandbox.session(subscription_data=trial)
    asked = sandbox.card(session.url, ASKS)
    sandbox.api.customers.delete(session.customer)
    mark = sandbox.mark()
    assert sandbox.form(asked.location, answer="pass").location.endswith(f"/c/pay/{session.id}")
    assert b"The customer of this page was deleted" in sandbox.http("GET", urlsplit(session.url).path).body
    assert sandbox.card(session.url, GOOD).status == 422
    assert (sandbox.types(mark), sandbox.charges(session.customer)) == ([], [])
    assert sandbox.api.checkout.sessions.retrieve(session.id).status == "open"


def test_a_challenge_can_be_answered_once(sandbox: Sandbox) -> None:
    session = sandbox.session()
    answer = sandbox.card(session.url, ASKS)
    sandbox.form(answer.location, answer="pass")
    assert sandbox.form(answer.location, answer="pass").status == 404
    assert len(sandbox.charges(session.customer)) == 1


def test_a_session_pays_once_however_often_it_is_submitted(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.card(session.url)
    sandbox.card(session.url)
    assert len(sandbox.charges(session.customer)) == 1


def test_an_abandoned_session_expires_at_its_hour(sandbox: Sandbox) -> None:
    session = sandbox.session()
    sandbox.advance(session.customer, session.expires_at)
    again = sandbox.api.checkout.sessions.retrieve(session.id)
    assert (again.status, again.url, again.payment_status) == ("expired", None, "unpaid")
    assert "checkout.session.expired" in sandbox.types(about=session.customer)
    with pytest.raises(Exception, match="can be expired"):
        sandbox.api.checkout.sessions.expire(session.id)


def test_without_a_customer_checkout_makes_one_when_it_is_paid(sandbox: Sandbox) -> None:
    session = sandbox.session(customer_email="bob@example.com")
    assert session.customer is None
    sandbox.card(session.url, GENERIC)
    assert sandbox.api.checkout.sessions.retrieve(session.id).customer is None
    sandbox.card(session.url, GOOD)
    done = sandbox.api.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert done.customer.email == "bob@example.com"
    assert sandbox.charges(done.customer.id)[-1]["status"] == "succeeded"


def test_a_one_off_payment_sets_the_intent_and_updates_the_charge_late(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    session = sandbox.session(
        "payment", customer=customer.id, payment_intent_data={"metadata": {"order": "7"}}
    )
    sandbox.card(session.url)
    done = sandbox.api.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
    assert (done.payment_status, done.subscription, done.invoice) == ("paid", None, None)
    assert done.payment_intent.metadata["order"] == "7"
    assert done.payment_intent.latest_charge.balance_transaction.startswith("txn_")
    assert sandbox.types(about=customer.id) == [
        "customer.created", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
        "charge.updated", "checkout.session.completed",
    ]  # fmt: skip


def test_a_trial_saves_the_card_and_charges_nothing(sandbox: Sandbox) -> None:
    session = sandbox.session(subscription_data={"trial_period_days": 14})
    assert session.amount_total == 0
    mark = sandbox.mark()
    sandbox.card(session.url)
    done = sandbox.api.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    sub, invoice = done.subscription, done.invoice
    assert done.payment_status == "no_payment_required"
    assert (sub.status, sub.trial_end) == ("trialing", sub.created + 14 * 86400)
    assert sub.items.data[0].current_period_end == sub.billing_cycle_anchor == sub.trial_end
    assert sub.default_payment_method
    assert (invoice.status, invoice.total, invoice.attempt_count) == ("paid", 0, 0)
    assert sandbox.charges(session.customer) == []
    assert sandbox.types(mark, session.customer) == [
        "setup_intent.created", "setup_intent.succeeded", "payment_method.attached", "customer.updated",
        "customer.subscription.created", "invoice.created", "invoice.finalized", "invoice.paid",
        "invoice.payment_succeeded", "checkout.session.completed",
    ]  # fmt: skip


def test_a_short_trial_is_announced_at_once(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber(subscription_data={"trial_period_days": 2})
    assert "customer.subscription.trial_will_end" in sandbox.types(about=sub.customer)
    told = sandbox.types(about=sub.customer)
    sandbox.advance(sub.customer, sub.trial_end - 1)
    assert sandbox.types(about=sub.customer) == told


def test_a_trial_may_need_no_card(sandbox: Sandbox) -> None:
    session = sandbox.session(
        subscription_data={"trial_period_days": 14}, payment_method_collection="if_required"
    )
    assert session.payment_method_collection == "if_required"


def test_a_declining_card_starts_no_trial(sandbox: Sandbox) -> None:
    session = sandbox.session(subscription_data={"trial_period_days": 14})
    assert sandbox.card(session.url, GENERIC).status == 422
    assert sandbox.types(about=session.customer)[-1] == "setup_intent.setup_failed"
    assert sandbox.api.checkout.sessions.retrieve(session.id).status == "open"

"""Renewals of subscriptions that the API made: several items, what is given up and how, 3D Secure, no card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox

END = s.START + 30 * s.DAY
ASKS, DECLINES = "pm_card_authenticationRequired", "pm_card_chargeCustomerFail"


@pytest.fixture
def settings(sandbox: Sandbox) -> Iterator[Any]:
    """Sets the account's settings, and puts the usual ones back."""

    def set_(**changed: Any) -> None:
        sandbox.control("settings", **changed)

    yield set_
    set_(retry_days=[3, 3, 5], retry_end="cancel", final_invoice="leave")


def behind(sandbox: Sandbox, card: str | None) -> Any:
    """A subscription whose renewal was tried for the first time with that card, or without one."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    if card is None:
        sandbox.api.payment_methods.detach(
            sandbox.api.customers.retrieve(sub.customer).invoice_settings.default_payment_method
        )
    else:
        s.give_card(sandbox, sub.customer, card)
    return s.renewed(sandbox, sub)


def test_a_renewal_of_an_api_made_subscription(sandbox: Sandbox) -> None:
    """facts 3.6."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.advance(sub.customer, END - s.DAY)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, END + s.HOUR)
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.updated", "invoice.created", "invoice.finalized", "payment_intent.created",
        "charge.succeeded", "payment_intent.succeeded", "invoice.updated", "invoice.paid",
        "invoice.payment_succeeded",
    ]  # fmt: skip
    assert set(s.previous(sandbox, sub.customer, mark)) == {"items", "latest_invoice"}
    before = s.previous(sandbox, sub.customer, mark, "invoice.updated")
    assert before["status"] == "open"
    assert {"amount_paid", "amount_remaining", "attempt_count", "attempted", "auto_advance"} <= set(before)


def test_a_first_failure_of_a_renewal(sandbox: Sandbox) -> None:
    """facts 3.7."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    s.give_card(sandbox, sub.customer, DECLINES)
    sandbox.advance(sub.customer, END)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, END + s.HOUR)
    assert s.told(sandbox, sub.customer, mark) == [
        "invoice.finalized", "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
        "invoice.payment_failed", "invoice.updated", "customer.subscription.updated", "customer.updated",
    ]  # fmt: skip
    assert s.previous(sandbox, sub.customer, mark) == {"status": "active"}
    assert s.previous(sandbox, sub.customer, mark, "customer.updated") == {"delinquent": False}


@pytest.mark.parametrize(
    ("end", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")]
)
def test_an_invoice_that_is_given_up_can_be_marked(
    sandbox: Sandbox, settings: Any, end: str, status: str
) -> None:
    """facts 3.7, the end; status_details of facts 1.5."""
    settings(retry_days=[1], retry_end=end, final_invoice="uncollectible")
    sub = behind(sandbox, DECLINES)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, END + s.HOUR + s.DAY)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == status
    invoice = s.newest(sandbox, sub)
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("uncollectible", 2, None)
    assert invoice.status_details.uncollectible.reason == "max_payment_attempts"
    assert "invoice.marked_uncollectible" in s.told(sandbox, sub.customer, mark)
    assert sandbox.api.customers.retrieve(sub.customer).delinquent


def test_the_times_of_retries_are_a_setting(sandbox: Sandbox, settings: Any) -> None:
    settings(retry_days=[2, 9], retry_end="past_due")
    sub = behind(sandbox, DECLINES)
    first = END + s.HOUR
    assert s.newest(sandbox, sub).next_payment_attempt == first + 2 * s.DAY
    sandbox.advance(sub.customer, first + 2 * s.DAY)
    assert s.newest(sandbox, sub).next_payment_attempt == first + 11 * s.DAY
    sandbox.advance(sub.customer, first + 11 * s.DAY)
    assert (s.newest(sandbox, sub).attempt_count, len(sandbox.charges(sub.customer))) == (3, 4)


def test_unpaid_goes_on_making_drafts_that_nobody_collects(sandbox: Sandbox, settings: Any) -> None:
    settings(retry_days=[1], retry_end="unpaid")
    sub = behind(sandbox, DECLINES)
    sandbox.advance(sub.customer, s.moment(2027, 6, 2))
    invoice = s.newest(sandbox, sub)
    assert (invoice.created, invoice.status, invoice.auto_advance) == (s.moment(2027, 6, 1), "draft", False)


def test_a_hard_decline_counts_on_to_its_end(sandbox: Sandbox) -> None:
    """facts 3.7: attempt_count advances without a charge."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.control(f"customers/{sub.customer}/card", number="4000000000009987")
    sub = s.renewed(sandbox, sub)
    sandbox.advance(sub.customer, END + 20 * s.DAY)
    assert s.newest(sandbox, sub).attempt_count == 4
    assert len(sandbox.charges(sub.customer)) == 2
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"


def test_what_waits_for_3d_secure_is_given_up_after_the_retries(sandbox: Sandbox) -> None:
    """facts 3.8: nothing is counted and no attempt is announced while it waits."""
    sub = behind(sandbox, ASKS)
    invoice = s.newest(sandbox, sub)
    assert (sub.status, invoice.attempt_count, invoice.next_payment_attempt) == ("past_due", 0, None)
    sandbox.advance(sub.customer, END + s.HOUR + 11 * s.DAY - 1)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "past_due"
    mark = sandbox.mark()
    sandbox.advance(sub.customer, END + s.HOUR + 11 * s.DAY)
    ended = sandbox.api.subscriptions.retrieve(sub.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert s.told(sandbox, sub.customer, mark)[0] == "customer.subscription.deleted"


def test_another_card_is_charged_by_the_retry_of_what_waits_for_3d_secure(sandbox: Sandbox) -> None:
    sub = behind(sandbox, ASKS)
    s.give_card(sandbox, sub.customer, "pm_card_visa")
    sandbox.advance(sub.customer, END + s.HOUR + 3 * s.DAY)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    assert s.newest(sandbox, sub).attempt_count == 1


def test_without_any_card_nothing_is_tried_again(sandbox: Sandbox) -> None:
    """docs.stripe.com, smart retries: no retry without a payment method."""
    sub = behind(sandbox, None)
    invoice = s.newest(sandbox, sub)
    assert (sub.status, invoice.attempt_count, invoice.next_payment_attempt) == ("past_due", 1, None)
    sandbox.advance(sub.customer, END + 29 * s.DAY)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "past_due"


def test_a_trial_that_ends_with_a_card_is_active_before_it_is_charged(sandbox: Sandbox) -> None:
    """facts 3.13."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, trial_period_days=14)
    sandbox.advance(sub.customer, s.START + 11 * s.DAY)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, s.START + 14 * s.DAY)
    assert s.told(sandbox, sub.customer, mark) == ["customer.subscription.updated", "invoice.created"]
    before = s.previous(sandbox, sub.customer, mark)
    assert (set(before), before["status"]) == ({"items", "latest_invoice", "status"}, "trialing")


def test_a_scheduled_end_is_one_event_and_keeps_its_flag(sandbox: Sandbox) -> None:
    """facts 3.10."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, cancel_at_period_end=True)
    assert (sub.cancel_at, sub.cancel_at_period_end) == (END, True)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, END)
    ended = sandbox.api.subscriptions.retrieve(sub.id)
    assert (ended.status, ended.ended_at, ended.cancel_at_period_end) == ("canceled", END, True)
    assert s.told(sandbox, sub.customer, mark) == ["customer.subscription.deleted"]


def test_every_item_is_on_every_renewal(sandbox: Sandbox) -> None:
    items = [{"price": sandbox.price(1000), "quantity": 3}, {"price": sandbox.price(700)}]
    sub = s.subscribe(sandbox, s.payer(sandbox).id, items=items)
    for _ in range(2):
        assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub))) == [3000, 700]
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [3700, 3700, 3700]

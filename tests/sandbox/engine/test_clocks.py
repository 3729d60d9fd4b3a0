"""Test clocks' limits and what lists show of their people (facts 6)."""

from __future__ import annotations

import time
from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

DAY = 86400


@pytest.fixture
def clock(sandbox: Sandbox) -> Any:
    made = sandbox.api.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
    yield made
    sandbox.raw("DELETE", f"/v1/test_helpers/test_clocks/{made.id}")


def on(sandbox: Sandbox, clock: Any, email: str = "clocked@example.com") -> Any:
    return sandbox.api.customers.create({"email": email, "test_clock": clock.id})


def test_a_clock_has_up_to_three_customers(sandbox: Sandbox, clock: Any) -> None:
    for _ in range(3):
        on(sandbox, clock)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        on(sandbox, clock)
    assert caught.value.param == "test_clock"
    assert len(sandbox.api.customers.list({"test_clock": clock.id}).data) == 3


def test_a_customer_on_a_clock_has_up_to_three_subscriptions(sandbox: Sandbox, clock: Any) -> None:
    customer, price = on(sandbox, clock), sandbox.price()
    wanted: Any = {
        "customer": customer.id,
        "items": [{"price": price}],
        "collection_method": "send_invoice",
        "days_until_due": 30,
    }
    for _ in range(3):
        sandbox.api.subscriptions.create(wanted)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.subscriptions.create(wanted)
    assert "up to 3 subscriptions" in str(caught.value)


def test_lists_omit_who_lives_on_a_clock_unless_they_are_narrowed(sandbox: Sandbox, clock: Any) -> None:
    customer = on(sandbox, clock)
    sub = sandbox.subscriber(customer=customer.id)
    everybody = [each.id for each in sandbox.api.customers.list({"limit": 5}).data]
    assert customer.id not in everybody
    assert sandbox.api.customers.list({"email": "clocked@example.com"}).data == []
    assert [each.id for each in sandbox.api.customers.list({"test_clock": clock.id}).data] == [customer.id]
    assert sub.id not in [each.id for each in sandbox.api.subscriptions.list({"limit": 5}).data]
    assert [each.id for each in sandbox.api.subscriptions.list({"customer": customer.id}).data] == [sub.id]
    assert sub.latest_invoice not in [each.id for each in sandbox.api.invoices.list({"limit": 5}).data]
    found = sandbox.api.invoices.list({"subscription": sub.id}).data
    assert [each.id for each in found] == [sub.latest_invoice]


def test_who_has_a_clock_of_the_control_panel_is_still_listed(sandbox: Sandbox) -> None:
    customer = sandbox.customer("moved@example.com")
    sandbox.advance(customer.id, int(time.time()) + DAY)
    assert [each.id for each in sandbox.api.customers.list({"email": "moved@example.com"}).data] == [
        customer.id
    ]


def test_an_advance_goes_up_to_two_intervals_ahead(sandbox: Sandbox, clock: Any) -> None:
    sub = sandbox.subscriber(customer=on(sandbox, clock).id)
    clocks = sandbox.api.test_helpers.test_clocks
    with pytest.raises(stripe.InvalidRequestError) as caught:
        clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 63 * DAY})
    assert caught.value.param == "frozen_time"
    advancing = clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 58 * DAY})
    assert advancing.status == "advancing"
    assert sub.test_clock == clock.id

"""A subscription that is changed on request: its end, its reasons, its metadata, its price."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox

DAY = 86400


def test_cancel_at_period_end_is_one_event_and_its_undo_another(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    mark = sandbox.mark()
    set_ = sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    assert (set_.status, set_.cancel_at, set_.cancel_at_period_end) == ("active", end, True)
    assert set_.cancellation_details.reason == "cancellation_requested"
    sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    undone = sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": False})
    assert undone.cancel_at is undone.canceled_at is undone.cancellation_details.reason is None
    first, second = sandbox.events(mark, sub.customer)
    assert first["data"]["previous_attributes"] == {
        "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"reason": None},
    }  # fmt: skip
    assert second["data"]["previous_attributes"]["cancel_at"] == end
    assert first["request"]["id"].startswith("req_")


def test_one_request_is_one_event_whatever_it_changes(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    mark = sandbox.mark()
    why: Any = {"comment": "too dear", "feedback": "too_expensive"}
    changed = sandbox.api.subscriptions.update(
        sub.id, {"cancel_at_period_end": True, "cancellation_details": why, "metadata": {"asked_by": "alice"}}
    )
    assert (changed.cancel_at_period_end, changed.metadata["asked_by"]) == (True, "alice")
    assert (changed.cancellation_details.feedback, changed.cancellation_details.comment) == (
        "too_expensive", "too dear"
    )  # fmt: skip
    assert sandbox.types(mark, sub.customer) == ["customer.subscription.updated"]
    told = sandbox.api.subscriptions.update(sub.id, {"cancellation_details": {"comment": "much too dear"}})
    assert (told.cancellation_details.comment, told.canceled_at) == ("much too dear", changed.canceled_at)


def test_an_end_at_the_periods_end_can_be_asked_for_by_its_time(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    asked = sandbox.api.subscriptions.update(sub.id, {"cancel_at": "min_period_end"})
    assert (asked.cancel_at, asked.cancel_at_period_end) == (end, False)
    assert asked.cancellation_details.reason == "cancellation_requested"
    undone = sandbox.api.subscriptions.update(sub.id, {"cancel_at": ""})
    assert undone.cancel_at is undone.canceled_at is undone.cancellation_details.reason is None
    sandbox.api.subscriptions.update(sub.id, {"cancel_at": end})
    sandbox.advance(sub.customer, end)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"


def test_a_scheduled_end_is_reached_without_another_invoice(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    mark = sandbox.mark()
    sandbox.advance(sub.customer, end + DAY)
    assert sandbox.types(mark, sub.customer) == ["customer.subscription.deleted"]
    ended = sandbox.api.subscriptions.retrieve(sub.id)
    assert (ended.status, ended.ended_at, ended.cancel_at_period_end) == ("canceled", end, True)
    assert ended.canceled_at < end


def test_cancel_now_keeps_when_it_was_asked(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    asked = sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True}).canceled_at
    sandbox.advance(sub.customer, sub.created + DAY)
    mark = sandbox.mark()
    ended = sandbox.api.subscriptions.cancel(sub.id, {"cancellation_details": {"feedback": "unused"}})
    assert (ended.status, ended.cancel_at, ended.cancel_at_period_end) == ("canceled", None, False)
    assert (ended.canceled_at, ended.ended_at) == (asked, sub.created + DAY)
    assert ended.cancellation_details.feedback == "unused"
    (event,) = sandbox.events(mark, sub.customer)
    assert event["type"] == "customer.subscription.deleted"
    assert "previous_attributes" not in event["data"]
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.api.subscriptions.cancel(sub.id)


def test_an_invoice_keeps_the_metadata_that_its_subscription_had_when_it_was_finalised(
    sandbox: Sandbox,
) -> None:
    sub = sandbox.subscriber(subscription_data={"metadata": {"user_id": "1"}})
    end = sub.items.data[0].current_period_end
    seen = []
    sandbox.advance(sub.customer, end)
    for user_id, to in (("2", end + 3600), ("3", end + 7200)):
        sandbox.api.subscriptions.update(sub.id, {"metadata": {"user_id": user_id}})
        sandbox.advance(sub.customer, to)
        invoice = sandbox.api.invoices.retrieve(
            str(sandbox.api.subscriptions.retrieve(sub.id).latest_invoice)
        )
        seen.append(invoice.parent.subscription_details.metadata["user_id"])
    assert seen == ["2", "2"]


def test_a_price_of_the_same_interval_replaces_the_old_one_without_proration(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    item = sub.items.data[0]
    dearer = sandbox.price(4000)
    mark = sandbox.mark()
    sandbox.api.subscriptions.update(
        sub.id, {"items": [{"id": item.id, "price": dearer}], "proration_behavior": "none"}
    )
    (event,) = sandbox.events(mark, sub.customer)
    assert event["data"]["previous_attributes"]["items"]["data"][0]["price"]["unit_amount"] == 2500
    sandbox.advance(sub.customer, item.current_period_end + 3600)
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [2500, 4000]

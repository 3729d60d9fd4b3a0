"""The one clock for everybody without a test clock: it moves, and everything due happens in its order."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.delivery import SCHEDULES
from tests.sandbox.engine.driver import FAILS_LATER, Endpoint, Sandbox, eventually

DAY = 86400


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox of this file's own: its clock would trouble other tests."""
    running = Sandbox(tmp_path_factory.mktemp("clock"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def fresh(house: Sandbox) -> Sandbox:
    """The same sandbox with nobody in it and the real time."""
    house.control("state/reset")
    return house


def move(sandbox: Sandbox, to: int | str) -> int:
    now: int = sandbox.control("clock/advance", to=to)["now"]
    return now


def row_of(sandbox: Sandbox, event: str) -> Any:
    (row,) = sandbox.look(f"deliveries?event={event}")["deliveries"]
    return row


def test_everybodys_renewal_happens_and_what_is_made_later_is_later(fresh: Sandbox) -> None:
    monthly, yearly = fresh.subscriber(), fresh.subscriber(interval="year")
    end = monthly.items.data[0].current_period_end
    mark = fresh.mark()
    assert move(fresh, "renewal") >= end
    renewed = fresh.api.subscriptions.retrieve(monthly.id)
    assert renewed.items.data[0].current_period_start == end
    assert fresh.api.subscriptions.retrieve(yearly.id).items == yearly.items
    move(fresh, "next")
    assert fresh.api.invoices.retrieve(str(renewed.latest_invoice)).status == "paid"
    assert fresh.customer().created >= end + 3600
    times = [each["created"] for each in fresh.events(mark)]
    assert times == sorted(times)
    assert all(each["created"] >= end for each in fresh.events(mark) if each["type"].startswith("invoice.p"))


def test_time_does_not_go_back_and_needs_something_to_go_to(fresh: Sandbox) -> None:
    for body in (
        '{"to": 1600000000}',
        '{"to": "renewal"}',
        '{"to": "yesterday"}',
        '{"to": null}',
        '{"to": "grace_end"}',
    ):
        assert fresh.http("POST", "/sandbox/clock/advance", body).status == 400, body
    now = fresh.look("clock")["now"]
    assert now == pytest.approx(time.time(), abs=60)
    assert move(fresh, now + 10 * DAY) >= now + 10 * DAY


def test_a_trial_ends(fresh: Sandbox) -> None:
    sub = fresh.subscriber(subscription_data={"trial_period_days": 14})
    assert sub.status == "trialing"
    assert move(fresh, "trial_end") >= sub.trial_end
    assert fresh.api.subscriptions.retrieve(sub.id).status == "active"


def test_a_scheduled_end_is_reached(fresh: Sandbox) -> None:
    sub = fresh.subscriber()
    fresh.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    move(fresh, "end")
    ended = fresh.api.subscriptions.retrieve(sub.id)
    assert (ended.status, ended.ended_at) == ("canceled", sub.items.data[0].current_period_end)


def test_a_retry_is_one_more_attempt_and_the_end_of_grace_is_the_last(fresh: Sandbox) -> None:
    sub = fresh.subscriber()
    fresh.api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": sub.customer})
    (bad, *_) = fresh.api.payment_methods.list({"customer": sub.customer}).data
    fresh.api.subscriptions.update(sub.id, {"default_payment_method": bad.id})
    move(fresh, "renewal")
    move(fresh, fresh.look("clock")["now"] + 3601)
    invoice = str(fresh.api.subscriptions.retrieve(sub.id).latest_invoice)
    assert fresh.api.invoices.retrieve(invoice).attempt_count == 1
    move(fresh, "retry")
    assert fresh.api.invoices.retrieve(invoice).attempt_count == 2
    assert fresh.api.subscriptions.retrieve(sub.id).status == "past_due"
    move(fresh, "grace_end")
    assert fresh.api.invoices.retrieve(invoice).attempt_count == 4
    assert fresh.api.subscriptions.retrieve(sub.id).status == "canceled"
    assert bad.card.last4 == FAILS_LATER[-4:]


def test_who_has_a_test_clock_is_left_alone(fresh: Sandbox) -> None:
    clock = fresh.api.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
    customer = fresh.api.customers.create({"email": "b@example.com", "test_clock": clock.id})
    sub = fresh.subscriber(customer=customer.id)
    move(fresh, fresh.look("clock")["now"] + 5 * DAY)
    assert fresh.api.test_helpers.test_clocks.retrieve(clock.id).frozen_time == clock.frozen_time
    assert fresh.look(f"customers/{customer.id}/moments")["now"] == clock.frozen_time
    assert fresh.api.subscriptions.retrieve(sub.id).status == "active"


def test_the_banks_follow_the_wall_even_for_who_has_a_test_clock(fresh: Sandbox) -> None:
    """facts 6: a test clock collects no debits; what the bank's answer changes has the customer's own time."""
    frozen = int(time.time()) - 3 * DAY
    clock = fresh.api.test_helpers.test_clocks.create({"frozen_time": frozen})
    customer = fresh.api.customers.create({"email": "b@example.com", "test_clock": clock.id})
    details: Any = {"name": "Bo", "email": "b@example.com"}
    debit = fresh.api.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT321904300235473204"}, "billing_details": details}
    )
    fresh.api.payment_methods.attach(debit.id, {"customer": customer.id})
    sub = fresh.api.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": fresh.price(5000, currency="eur")}],
            "default_payment_method": debit.id,
        }
    )
    other = fresh.subscriber()
    move(fresh, "renewal")
    invoice = fresh.api.invoices.retrieve(str(sub.latest_invoice))
    assert (invoice.status, invoice.status_transitions.paid_at) == ("paid", frozen)
    assert fresh.api.subscriptions.retrieve(sub.id).items == sub.items
    assert fresh.api.subscriptions.retrieve(other.id).latest_invoice != other.latest_invoice


def test_a_test_clock_is_deleted_with_its_people_after_thirty_days(fresh: Sandbox) -> None:
    clock = fresh.api.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
    customer = fresh.api.customers.create({"email": "b@example.com", "test_clock": clock.id})
    sub = fresh.subscriber(customer=customer.id)
    move(fresh, clock.deletes_after)
    assert fresh.raw("GET", f"/v1/test_helpers/test_clocks/{clock.id}").status == 404
    assert fresh.raw("GET", f"/v1/customers/{customer.id}").json["deleted"] is True
    assert fresh.api.subscriptions.retrieve(sub.id).status == "canceled"
    assert fresh.types()[-3:] == [
        "customer.subscription.deleted",
        "customer.deleted",
        "test_helpers.test_clock.deleted",
    ]


def test_the_clock_and_what_it_did_survive_a_kill(fresh: Sandbox) -> None:
    then = move(fresh, fresh.look("clock")["now"] + 3 * DAY)
    fresh.stop(signal.SIGKILL)
    fresh.start()
    assert fresh.look("clock")["now"] >= then


@pytest.mark.parametrize(
    ("schedule", "attempts", "after"), [("test", 4, 5 * 3600), ("live", 12, 4 * DAY), ("fast", 6, 2 * 3600)]
)
def test_a_failing_delivery_is_repeated_as_its_schedule_says(
    fresh: Sandbox, schedule: str, attempts: int, after: int
) -> None:
    fresh.control("settings", delivery_schedule=schedule)
    hook = Endpoint()
    hook.answers = 500
    fresh.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["customer.created"]})
    customer = fresh.customer()
    (event,) = fresh.events(about=customer.id)
    eventually(lambda: row_of(fresh, event["id"])["attempts"] == 1, "the first attempt")
    first = row_of(fresh, event["id"])
    assert first["next_at"] > fresh.look("clock")["now"]
    move(fresh, int(first["next_at"]) + after)
    row = row_of(fresh, event["id"])
    hook.close()
    assert (row["status"], row["attempts"], len(hook.got)) == ("failed", attempts, attempts)
    assert {each["id"] for each in hook.events()} == {event["id"]}


def test_the_live_schedule_lasts_three_days() -> None:
    assert sum(SCHEDULES["live"]) == 3 * DAY
    assert len(SCHEDULES["test"]) == 3


def test_delivery_speed_divides_the_delays(fresh: Sandbox) -> None:
    fresh.control("settings", delivery_schedule="live", delivery_speed=300)
    hook = Endpoint()
    hook.answers = 500
    fresh.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["customer.created"]})
    customer = fresh.customer()
    (event,) = fresh.events(about=customer.id)
    eventually(lambda: row_of(fresh, event["id"])["attempts"] >= 2, "five minutes are a second")
    hook.close()


def test_an_endpoint_that_is_gone_by_the_next_attempt_is_not_asked_again(fresh: Sandbox) -> None:
    fresh.control("settings", delivery_schedule="test")
    hook = Endpoint()
    hook.answers = 500
    made = fresh.api.webhook_endpoints.create({"url": hook.url, "enabled_events": ["customer.created"]})
    customer = fresh.customer()
    (event,) = fresh.events(about=customer.id)
    eventually(lambda: row_of(fresh, event["id"])["attempts"] == 1, "the first attempt")
    fresh.api.webhook_endpoints.update(made.id, {"disabled": True})
    move(fresh, fresh.look("clock")["now"] + DAY)
    assert row_of(fresh, event["id"])["status"] == "stopped"
    assert len(hook.got) == 1
    hook.close()


def test_an_idempotency_key_is_forgotten_after_a_day_of_this_time(fresh: Sandbox) -> None:
    first = fresh.raw("POST", "/v1/customers", "name=A", "day-1")
    move(fresh, fresh.look("clock")["now"] + DAY - 3600)
    assert fresh.raw("POST", "/v1/customers", "name=A", "day-1").json["id"] == first.json["id"]
    move(fresh, fresh.look("clock")["now"] + 3700)
    assert fresh.raw("POST", "/v1/customers", "name=A", "day-1").json["id"] != first.json["id"]


def test_events_are_kept_for_thirty_days(fresh: Sandbox) -> None:
    customer = fresh.customer()
    (event,) = fresh.events(about=customer.id)
    move(fresh, fresh.look("clock")["now"] + 29 * DAY)
    assert fresh.raw("GET", f"/v1/events/{event['id']}").status == 200
    move(fresh, fresh.look("clock")["now"] + 2 * DAY)
    assert fresh.raw("GET", f"/v1/events/{event['id']}").status == 404
    assert event["id"] not in [each["id"] for each in fresh.events()]

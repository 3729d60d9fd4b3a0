"""/v1/subscription_schedules: phases on time, what comes after the last, and every event (facts 3.14)."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox

END = s.START + 30 * s.DAY
MAY, JUNE = s.moment(2027, 5, 1), s.moment(2027, 6, 1)


def phase(price: str, quantity: int = 1, **more: Any) -> Any:
    return {"items": [{"price": price, "quantity": quantity}], **more}


def schedule(sandbox: Sandbox, customer: str, phases: list[Any], **more: Any) -> Any:
    return sandbox.api.subscription_schedules.create(
        {"customer": customer, "start_date": "now", "phases": phases, **more}
    )


def test_a_schedule_that_starts_now_makes_its_subscription(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    low, high = sandbox.price(1000), sandbox.price(2000)
    mark = sandbox.mark()
    made = schedule(sandbox, customer.id, [phase(low, metadata={"step": "1"}), phase(high, 2)])
    assert (made.status, made.end_behavior) == ("active", "release")
    assert (made.current_phase.start_date, made.current_phase.end_date) == (s.START, MAY)
    assert [(each.start_date, each.end_date) for each in made.phases] == [(s.START, MAY), (MAY, JUNE)]
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert (sub.status, sub.schedule, sub.metadata["step"]) == ("active", made.id, "1")
    assert s.told(sandbox, customer.id, mark) == [
        "customer.updated", "customer.subscription.created", "invoice.created", "subscription_schedule.created"
    ]  # fmt: skip
    assert s.newest(sandbox, sub).status == "draft"
    sandbox.advance(customer.id, s.START + s.HOUR)
    assert s.newest(sandbox, sub).status == "paid"


def test_the_next_phase_takes_part_in_the_renewal(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1000)), phase(sandbox.price(2000), 2)])
    sandbox.advance(customer.id, MAY - 1)
    mark = sandbox.mark()
    sandbox.advance(customer.id, MAY)
    assert s.told(sandbox, customer.id, mark) == [
        "subscription_schedule.updated", "customer.subscription.updated", "invoice.created"
    ]  # fmt: skip
    assert set(s.previous(sandbox, customer.id, mark)) == {"items", "latest_invoice"}
    assert s.previous(sandbox, customer.id, mark, "subscription_schedule.updated") == {
        "current_phase": {"end_date": MAY, "start_date": s.START}
    }
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert (sub.items.data[0].price.unit_amount, sub.items.data[0].quantity) == (2000, 2)
    sandbox.advance(customer.id, MAY + s.HOUR)
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [1000, 4000]


def test_after_the_last_phase_the_subscription_goes_on_alone(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1000))])
    sandbox.advance(customer.id, MAY - 7 * s.DAY - 1)
    assert "subscription_schedule.expiring" not in sandbox.types(about=customer.id)
    sandbox.advance(customer.id, MAY - 7 * s.DAY)
    assert sandbox.types(about=customer.id).count("subscription_schedule.expiring") == 1
    mark = sandbox.mark()
    sandbox.advance(customer.id, MAY + s.HOUR)
    over = sandbox.api.subscription_schedules.retrieve(made.id)
    assert (over.status, over.completed_at, over.current_phase) == ("completed", MAY, None)
    assert (over.subscription, over.released_subscription) == (None, made.subscription)
    assert "subscription_schedule.completed" in sandbox.types(mark, customer.id)
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert (sub.status, sub.schedule) == ("active", None)
    assert s.previous(sandbox, customer.id, mark)["schedule"] == made.id
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [1000, 1000]


def test_or_it_ends_with_the_schedule(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(
        sandbox,
        customer.id,
        [phase(sandbox.price(3100), end_date=s.START + 40 * s.DAY)],
        end_behavior="cancel",
    )
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert sub.cancel_at == s.START + 40 * s.DAY
    sandbox.advance(customer.id, MAY + s.HOUR)
    mark = sandbox.mark()
    sandbox.advance(customer.id, s.START + 50 * s.DAY)
    assert s.told(sandbox, customer.id, mark)[-2:] == [
        "customer.subscription.deleted", "subscription_schedule.completed"
    ]  # fmt: skip
    assert sandbox.api.subscriptions.retrieve(sub.id).ended_at == s.START + 40 * s.DAY
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [3100, 1000]  # 10 of 31 days


def test_a_schedule_can_begin_later(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1000))], start_date=MAY)
    assert (made.status, made.subscription, made.current_phase) == ("not_started", None, None)
    scheduled = sandbox.api.subscription_schedules.list({"customer": customer.id, "scheduled": True})
    assert [each.id for each in scheduled.data] == [made.id]
    mark = sandbox.mark()
    sandbox.advance(customer.id, MAY)
    begun = sandbox.api.subscription_schedules.retrieve(made.id)
    assert begun.status == "active"
    assert s.previous(sandbox, customer.id, mark, "subscription_schedule.updated") == {
        "current_phase": None, "status": "not_started", "subscription": None
    }  # fmt: skip
    assert sandbox.api.subscriptions.retrieve(str(begun.subscription)).start_date == MAY


def test_a_downgrade_at_the_end_of_the_period(sandbox: Sandbox) -> None:
    """facts 3.14: created from the subscription, phases edited, entered with the renewal, released."""
    high, low = sandbox.price(9000), sandbox.price(4000)
    sub = s.subscribe(sandbox, s.payer(sandbox).id, high)
    mark = sandbox.mark()
    made = sandbox.api.subscription_schedules.create({"from_subscription": sub.id})
    assert (made.phases[0].start_date, made.phases[0].end_date) == (s.START, MAY)
    assert s.told(sandbox, sub.customer, mark) == [
        "subscription_schedule.created",
        "customer.subscription.updated",
    ]
    assert s.previous(sandbox, sub.customer, mark) == {"schedule": None}
    mark = sandbox.mark()
    phases: Any = [
        phase(high, start_date=s.START, end_date=MAY),
        phase(low, duration={"interval": "month", "interval_count": 3}),
    ]
    sandbox.api.subscription_schedules.update(made.id, {"phases": phases, "proration_behavior": "none"})
    assert s.told(sandbox, sub.customer, mark) == ["subscription_schedule.updated"]
    assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub))) == [4000]
    mark = sandbox.mark()
    released = sandbox.api.subscription_schedules.release(made.id)
    assert (released.status, released.released_subscription, released.subscription) == (
        "released",
        sub.id,
        None,
    )
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.updated",
        "subscription_schedule.released",
    ]
    assert s.previous(sandbox, sub.customer, mark) == {"schedule": made.id}
    with pytest.raises(stripe.InvalidRequestError, match="released"):
        sandbox.api.subscription_schedules.cancel(made.id)


def test_a_phase_that_begins_inside_a_period_is_prorated(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    phases = [
        phase(sandbox.price(3000), end_date=s.HALFWAY),
        phase(sandbox.price(6000), proration_behavior="always_invoice", duration={"interval": "month"}),
    ]
    made = schedule(sandbox, customer.id, phases)
    sandbox.advance(customer.id, s.HALFWAY + s.HOUR)
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert s.amounts(s.newest(sandbox, sub)) == [-1500, 3000]
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [3000, 1500]


def test_the_current_phase_can_be_changed_now(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    low = sandbox.price(3000)
    made = schedule(sandbox, customer.id, [phase(low)])
    sandbox.advance(customer.id, s.HALFWAY)
    sandbox.api.subscription_schedules.update(
        made.id, {"phases": [phase(low, 2, start_date=s.START)], "proration_behavior": "always_invoice"}
    )
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert (sub.items.data[0].quantity, s.newest(sandbox, sub).total) == (2, 1500)


def test_a_first_phase_can_be_a_trial(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    price = sandbox.price(1000)
    made = schedule(
        sandbox, customer.id, [phase(price, trial=True, duration={"interval": "week"}), phase(price)]
    )
    sub = sandbox.api.subscriptions.retrieve(str(made.subscription))
    assert (sub.status, sub.trial_end) == ("trialing", s.START + 7 * s.DAY)
    sandbox.advance(customer.id, s.START + 7 * s.DAY + s.HOUR)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [1000]


def test_a_phase_can_have_a_discount(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    coupon = sandbox.api.coupons.create({"percent_off": 50, "duration": "forever"}).id
    price = sandbox.price(1000)
    schedule(sandbox, customer.id, [phase(price, discounts=[{"coupon": coupon}]), phase(price)])
    sandbox.advance(customer.id, MAY + s.HOUR)
    assert [each["amount"] for each in sandbox.charges(customer.id)] == [500, 1000]


def test_cancelling_a_schedule_ends_its_subscription(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1000)), phase(sandbox.price(2000))])
    mark = sandbox.mark()
    ended = sandbox.api.subscription_schedules.cancel(made.id, {"prorate": False, "invoice_now": False})
    assert (ended.status, ended.canceled_at) == ("canceled", s.START)
    assert sandbox.api.subscriptions.retrieve(str(made.subscription)).status == "canceled"
    assert s.told(sandbox, customer.id, mark)[0] == "customer.subscription.deleted"
    assert s.told(sandbox, customer.id, mark)[-1] == "subscription_schedule.canceled"
    later = schedule(sandbox, customer.id, [phase(sandbox.price(1000))], start_date=JUNE)
    assert sandbox.api.subscription_schedules.cancel(later.id).status == "canceled"


def test_cancelling_its_subscription_aborts_a_schedule(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1000)), phase(sandbox.price(2000))])
    mark = sandbox.mark()
    sandbox.api.subscriptions.cancel(str(made.subscription))
    assert "subscription_schedule.aborted" in s.told(sandbox, customer.id, mark)
    assert sandbox.api.subscription_schedules.retrieve(made.id).status == "canceled"


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"end_behavior": "renew"}, "sandbox_not_built", "end_behavior"),
        ({"start_date": 1_600_000_000}, "sandbox_not_built", "start_date"),
        ({"phases": []}, "parameter_missing", "phases"),
        ({"from_subscription": "sub_1"}, "parameters_exclusive", "phases"),
    ],
)
def test_what_is_refused(sandbox: Sandbox, more: Any, code: str, param: str) -> None:
    customer = s.payer(sandbox)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        schedule(sandbox, customer.id, **{"phases": [phase(sandbox.price(1000))], **more})
    assert (refused.value.code, refused.value.param) == (code, param)


def test_metadata_of_a_schedule_is_its_own(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1000))])
    mark = sandbox.mark()
    changed = sandbox.api.subscription_schedules.update(made.id, {"metadata": {"foo": "bar"}})
    assert changed.metadata is not None
    assert changed.metadata["foo"] == "bar"
    assert s.told(sandbox, customer.id, mark) == ["subscription_schedule.updated"]
    assert "foo" not in sandbox.api.subscriptions.retrieve(str(made.subscription)).metadata


def test_a_schedule_completes_though_nobody_has_a_card(sandbox: Sandbox) -> None:
    """What `stripe trigger subscription_schedule.completed` does: one month from 2020-01-01, no payment method."""
    customer = s.payer(sandbox, None, at=1577836800)
    made = schedule(sandbox, customer.id, [phase(sandbox.price(1500))], start_date=1577836800)
    sandbox.advance(customer.id, 1580515200)
    assert sandbox.api.subscription_schedules.retrieve(made.id).status == "completed"
    assert sandbox.api.subscriptions.retrieve(str(made.subscription)).status == "past_due"

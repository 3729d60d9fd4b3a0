"""Time that passes: renewals, retries, their end, recovery, trials' ends, scheduled ends."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import ALWAYS_ASKS, ASKS, FAILS_LATER, GOOD, Json, Sandbox, eventually

DAY = 86400
CLOCK = "test_helpers.test_clock"


def told(sandbox: Sandbox, customer: str, mark: str | None) -> list[str]:
    return [each for each in sandbox.types(mark, customer) if each != "invoice_payment.paid"]


def previous(events: list[Json], kind: str) -> Json:
    found: Json = next(each for each in events if each["type"] == kind)["data"]["previous_attributes"]
    return found


def invoice_of(sandbox: Sandbox, sub: Any) -> Any:
    return sandbox.api.invoices.retrieve(sandbox.api.subscriptions.retrieve(sub.id).latest_invoice)


def test_a_renewal_drafts_first_and_is_charged_an_hour_later(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    sandbox.advance(sub.customer, end - 1)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, end)
    draft = invoice_of(sandbox, sub)
    assert (draft.status, draft.billing_reason, draft.created) == ("draft", "subscription_cycle", end)
    assert draft.automatically_finalizes_at == draft.next_payment_attempt == end + 3600
    assert draft.number is draft.hosted_invoice_url is draft.effective_at is None
    assert told(sandbox, sub.customer, mark) == ["customer.subscription.updated", "invoice.created"]
    before = previous(sandbox.events(mark, sub.customer), "customer.subscription.updated")
    assert set(before) == {"items", "latest_invoice"}
    assert before["items"]["data"][0]["current_period_end"] == end
    assert set(before["items"]) == {"data"}
    mark = sandbox.mark()
    sandbox.advance(sub.customer, end + 3600)
    paid = invoice_of(sandbox, sub)
    assert (paid.status, paid.attempt_count, paid.auto_advance) == ("paid", 1, False)
    assert paid.number.endswith("-0002")
    assert told(sandbox, sub.customer, mark) == [
        "invoice.finalized", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
        "invoice.updated", "invoice.paid", "invoice.payment_succeeded",
    ]  # fmt: skip
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [2500, 2500]
    assert all(each["request"] == {"id": None, "idempotency_key": None} for each in sandbox.events(mark))


def test_the_next_invoice_is_announced_without_an_id(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    sandbox.advance(sub.customer, end - 3 * DAY)
    (event,) = [each for each in sandbox.events(about=sub.customer) if each["type"] == "invoice.upcoming"]
    preview = event["data"]["object"]
    assert "id" not in preview
    assert (preview["created"], preview["next_payment_attempt"]) == (end, end + 3600)
    assert len(sandbox.api.invoices.list({"customer": sub.customer}).data) == 1


def test_the_first_failure_makes_it_past_due_and_plans_a_retry(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    sandbox.control(f"customers/{sub.customer}/card", number=FAILS_LATER)
    end = sub.items.data[0].current_period_end
    sandbox.advance(sub.customer, end)
    mark = sandbox.mark()
    sandbox.advance(sub.customer, end + 3600)
    invoice = invoice_of(sandbox, sub)
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 1, True)
    assert invoice.next_payment_attempt == end + 3600 + 3 * DAY
    assert told(sandbox, sub.customer, mark) == [
        "invoice.finalized", "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
        "invoice.payment_failed", "invoice.updated", "customer.subscription.updated", "customer.updated",
    ]  # fmt: skip
    assert previous(sandbox.events(mark, sub.customer), "customer.subscription.updated") == {
        "status": "active"
    }
    assert sandbox.api.customers.retrieve(sub.customer).delinquent


def test_retries_count_up_on_schedule_and_the_last_cancels(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    first = invoice_of(sandbox, sub).status_transitions.finalized_at
    seen = []
    for _ in range(3):
        mark = sandbox.mark()
        now = sandbox.advance(sub.customer)
        invoice = invoice_of(sandbox, sub)
        seen.append(((now - first) // DAY, invoice.attempt_count, invoice.next_payment_attempt))
    assert seen == [(3, 2, first + 6 * DAY), (6, 3, first + 11 * DAY), (11, 4, None)]
    ended = sandbox.api.subscriptions.retrieve(sub.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert ended.ended_at == first + 11 * DAY
    assert told(sandbox, sub.customer, mark) == [
        "charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "invoice.updated",
        "customer.subscription.deleted", "invoice.updated",
    ]  # fmt: skip
    assert invoice_of(sandbox, sub).status == "open"
    assert len({each["payment_intent"] for each in sandbox.charges(sub.customer)}) == 2
    assert sandbox.look(f"customers/{sub.customer}/moments")["moments"] == []


@pytest.mark.parametrize("end", ["unpaid", "past_due"])
def test_the_account_can_choose_another_end(sandbox: Sandbox, end: str) -> None:
    sandbox.control("settings", retry_end=end)
    sub = sandbox.past_due()
    for _ in range(3):
        sandbox.advance(sub.customer)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == end
    renewal = sandbox.api.subscriptions.retrieve(sub.id).items.data[0].current_period_end
    sandbox.advance(sub.customer, renewal + 7200)
    newest = invoice_of(sandbox, sub)
    expected = ("draft", 0, False) if end == "unpaid" else ("open", 1, True)
    assert (newest.status, newest.attempt_count, newest.auto_advance) == expected


def test_a_hard_decline_counts_on_without_asking_the_bank_until_there_is_another_card(
    sandbox: Sandbox,
) -> None:
    sub = sandbox.past_due("4000000000009987")
    assert len(sandbox.charges(sub.customer)) == 2
    sandbox.advance(sub.customer)
    assert invoice_of(sandbox, sub).attempt_count == 2
    assert len(sandbox.charges(sub.customer)) == 2
    sandbox.control(f"customers/{sub.customer}/card", number=GOOD)
    sandbox.advance(sub.customer)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    assert invoice_of(sandbox, sub).attempt_count == 3


def test_another_card_is_charged_by_the_next_retry_and_restores_active(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    portal = sandbox.api.billing_portal.sessions.create(
        {"customer": sub.customer, "flow_data": {"type": "payment_method_update"}, "return_url": "http://x/"}
    )
    mark = sandbox.mark()
    assert sandbox.card(portal.url + "/card", GOOD).status == 303
    assert told(sandbox, sub.customer, mark) == [
        "setup_intent.created", "setup_intent.succeeded", "payment_method.attached", "customer.updated",
        "customer.subscription.updated",
    ]  # fmt: skip
    assert invoice_of(sandbox, sub).status == "open"
    mark = sandbox.mark()
    sandbox.advance(sub.customer)
    assert told(sandbox, sub.customer, mark) == [
        "charge.succeeded", "payment_intent.succeeded", "invoice.updated", "invoice.paid",
        "invoice.payment_succeeded", "customer.updated", "customer.subscription.updated",
    ]  # fmt: skip
    assert previous(sandbox.events(mark, sub.customer), "customer.subscription.updated") == {
        "status": "past_due"
    }
    assert not sandbox.api.customers.retrieve(sub.customer).delinquent


def test_paying_through_the_api_recovers_without_counting(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    invoice = invoice_of(sandbox, sub)
    with pytest.raises(stripe.CardError) as declined:
        sandbox.api.invoices.pay(invoice.id)
    assert declined.value.code == "card_declined"
    again = invoice_of(sandbox, sub)
    assert (again.attempt_count, again.next_payment_attempt) == (1, invoice.next_payment_attempt)
    method = sandbox.api.payment_methods.attach("pm_card_visa", {"customer": sub.customer})
    assert sandbox.api.invoices.pay(invoice.id, {"payment_method": method.id}).status == "paid"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_a_voided_invoice_restores_active(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    invoice = sandbox.api.invoices.void_invoice(invoice_of(sandbox, sub).id)
    assert invoice.status == "void"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"
    told_now = sandbox.types(about=sub.customer)
    assert told_now[-4:] == [
        "payment_intent.canceled", "invoice.updated", "invoice.voided", "customer.subscription.updated"
    ]  # fmt: skip


def test_a_card_set_up_in_checkout_renews_without_a_challenge(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber(ASKS)
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end + 3600)
    assert invoice_of(sandbox, sub).status == "paid"


def test_a_card_that_always_asks_needs_the_person_at_renewal(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber(ALWAYS_ASKS)
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end + 3600)
    invoice = invoice_of(sandbox, sub)
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 0, True)
    assert invoice.next_payment_attempt is None
    assert "invoice.payment_action_required" in sandbox.types(about=sub.customer)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "past_due"
    challenge = sandbox.form(invoice.hosted_invoice_url, saved="1")
    sandbox.form(challenge.location, answer="pass")
    assert invoice_of(sandbox, sub).status == "paid"
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "active"


def test_another_attempt_on_an_invoice_ends_the_challenge_of_the_first(sandbox: Sandbox) -> None:
    sub = sandbox.past_due()
    page = invoice_of(sandbox, sub).hosted_invoice_url
    first = sandbox.card(page, ALWAYS_ASKS)
    assert sandbox.card(page, FAILS_LATER).status == 422
    mark = sandbox.mark()
    sandbox.form(first.location, answer="pass")
    assert sandbox.types(mark) == []
    assert invoice_of(sandbox, sub).status == "open"


def test_a_trial_becomes_active_before_it_is_charged(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber(subscription_data={"trial_period_days": 14})
    sandbox.advance(sub.customer, sub.trial_end - 3 * DAY)
    assert sandbox.types(about=sub.customer).count("customer.subscription.trial_will_end") == 1
    mark = sandbox.mark()
    sandbox.advance(sub.customer, sub.trial_end)
    now = sandbox.api.subscriptions.retrieve(sub.id)
    assert (now.status, sandbox.charges(sub.customer)) == ("active", [])
    assert now.trial_end == sub.trial_end
    before = previous(sandbox.events(mark, sub.customer), "customer.subscription.updated")
    assert before["status"] == "trialing"
    sandbox.advance(sub.customer, sub.trial_end + 3600)
    assert [each["status"] for each in sandbox.charges(sub.customer)] == ["succeeded"]


@pytest.mark.parametrize(
    ("missing", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")]
)
def test_a_trial_without_a_card_ends_as_it_was_told(sandbox: Sandbox, missing: str, status: str) -> None:
    sub = sandbox.subscriber(
        subscription_data={
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": missing}},
        }
    )
    sandbox.api.payment_methods.detach(sub.default_payment_method)
    sandbox.advance(sub.customer, sub.trial_end + 7200)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == status


def test_months_keep_the_day_of_their_anchor(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    january_31 = 1801353600  # 2027-01-31 00:00 UTC
    sandbox.advance(customer.id, january_31)
    sub = sandbox.subscriber(customer=customer.id)
    ends = [sub.items.data[0].current_period_end]
    for _ in range(2):
        sandbox.advance(customer.id, ends[-1] + 3600)
        ends.append(sandbox.api.subscriptions.retrieve(sub.id).items.data[0].current_period_end)
    days = [(each - january_31) // DAY for each in ends]
    assert days == [28, 59, 89]  # 28 February, 31 March, 30 April


def test_a_long_jump_renews_every_period_in_between(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    sandbox.advance(sub.customer, sub.created + 100 * DAY)
    assert [each["status"] for each in sandbox.charges(sub.customer)] == ["succeeded"] * 4


def test_objects_carry_the_clocks_time_and_events_the_walls(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    sandbox.advance(sub.customer, end + 3600)
    paid = [each for each in sandbox.events(about=sub.customer) if each["type"] == "invoice.paid"][-1]
    assert paid["data"]["object"]["status_transitions"]["paid_at"] == end + 3600
    assert paid["created"] < end
    assert paid["data"]["object"]["test_clock"].startswith("clock_")


def test_stripes_own_clock_api_attaches_and_advances(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    end = sub.items.data[0].current_period_end
    clocks = sandbox.api.test_helpers.test_clocks
    clock = clocks.create({"frozen_time": sub.created, "customer": sub.customer})
    advancing = clocks.advance(clock.id, {"frozen_time": end + 3600})
    assert (advancing.status, advancing.status_details.advancing.target_frozen_time) == (
        "advancing",
        end + 3600,
    )
    eventually(lambda: clocks.retrieve(clock.id).status == "ready", "the clock is ready")
    assert invoice_of(sandbox, sub).status == "paid"
    assert sandbox.api.customers.retrieve(sub.customer).test_clock == clock.id
    told_of_clock = [
        each["type"]
        for each in sandbox.events()
        if each["data"]["object"]["object"] == CLOCK and each["data"]["object"]["id"] == clock.id
    ]
    assert told_of_clock == [f"{CLOCK}.created", f"{CLOCK}.advancing", f"{CLOCK}.ready"]
    with pytest.raises(stripe.InvalidRequestError, match="later"):
        clocks.advance(clock.id, {"frozen_time": sub.created})
    with pytest.raises(stripe.InvalidRequestError, match="two intervals"):
        clocks.advance(clock.id, {"frozen_time": end + 365 * DAY})


def test_a_customer_born_on_a_clock_lives_at_its_time(sandbox: Sandbox) -> None:
    clock = sandbox.api.test_helpers.test_clocks.create({"frozen_time": 1_900_000_000})
    customer = sandbox.api.customers.create({"email": "c@example.com", "test_clock": clock.id})
    assert customer.created == 1_900_000_000
    assert sandbox.subscriber(customer=customer.id).created == 1_900_000_000

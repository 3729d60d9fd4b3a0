"""What people suffer from elsewhere when they change a plan, and must not suffer here (pains 10, 11 and 26)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from billing import plan_change, previews, quoting, registry, stripe_reads
from billing.errors import StripeUnavailable
from billing.extensions import db
from billing.models import PlanPrice, StripeWrite, Subscription
from local.mailsink import MailSink
from tests.counter import (
    DAY,
    HOUR,
    Counter,
    Quoted,
    at_stripe,
    charged,
    look,
    open_counter,
    quoted,
    text_of,
    until,
    wait,
)
from tests.registry import perform, sweep
from tests.story import FAILS_LATER, Shopper, apply_all
from tests.support import Databases, Sandbox, deliver, make_event

ASKS_THE_BANK = "4000002760003184"
PREVIEW = "/v1/invoices/create_preview"


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        yield found


@pytest.fixture
def alice(counter: Counter) -> Iterator[Shopper]:
    person = counter.newcomer("basic")
    wait(person, 9 * DAY)
    yield person
    person.sandbox.calm()


def said(person: Shopper) -> str:
    return text_of(person.get("/billing").text)


def renew(person: Shopper) -> None:
    end = person.row.current_period_end
    assert end is not None
    until(person, int(end.timestamp()) + 2 * HOUR)


def upgrades(person: Shopper) -> int:
    """How many changes of the subscription Stripe was asked for."""
    db.session.rollback()
    return db.session.query(StripeWrite).filter_by(operation="subscription.update", user_id=person.id).count()


# Pain 10: an upgrade that is half done.


@pytest.mark.parametrize("card", [FAILS_LATER, ASKS_THE_BANK])
def test_nobody_has_the_larger_plan_for_nothing_because_its_payment_never_came(
    alice: Shopper, card: str
) -> None:
    alice.use_card(card)
    before = charged(alice)
    quoted(alice, "/billing/change/team").send()
    assert alice.standing.facts.plan == "basic"
    wait(alice, 24 * HOUR)  # Stripe gives it up after 23
    assert (alice.row.plan, alice.row.coming, charged(alice)) == ("basic", None, before)
    assert [
        one["status"] for one in alice.sandbox.stripe.invoices.list({"customer": alice.customer})["data"]
    ] == [
        "void",
        "paid",
    ]


def test_nobody_whose_bank_asked_is_stuck_between_two_plans(alice: Shopper) -> None:
    alice.use_card(ASKS_THE_BANK)
    before, page = charged(alice), quoted(alice, "/billing/change/pro")
    page.send()
    refused = alice.get("/billing/change/team")
    assert refused.status_code == 409
    assert "Confirm payment" in text_of(refused.text)
    assert f'action="/invoices/{alice.row.latest_invoice}/open"' in refused.text
    [owed] = [one for one in alice.invoices if one.status == "open"]
    confirm = alice.sandbox.stripe.payment_intents.confirm
    confirm(owed.payment_intent, {"payment_method": "pm_card_visa"})
    look(alice)
    assert (alice.row.plan, alice.row.coming) == ("pro", None)
    assert charged(alice) - before == page.today


# Pain 11: what a change costs comes as a surprise.


def test_nobody_reads_that_nothing_is_due_because_stripe_could_not_say_what_is(alice: Shopper) -> None:
    page = quoted(alice, "/billing/change/pro")
    alice.sandbox.control("trouble", api="error_500", api_path=PREVIEW, api_method="POST")
    shown = [alice.get("/billing/change/pro"), alice.get("/billing/change/pro?interval=year"), page.send()]
    assert [answer.status_code for answer in shown] == [503] * 3
    for answer in shown:
        assert "0.00" not in text_of(answer.text)
        assert "Change to Pro" not in answer.text, "there is no button"
    assert (alice.row.plan, upgrades(alice)) == ("basic", 0)


def test_nobody_is_quoted_0_by_a_preview_that_lacks_the_plan() -> None:
    empty = {"lines": {"data": []}, "total": 0, "amount_due": 0, "starting_balance": 0}
    with pytest.raises(StripeUnavailable):
        previews.of_a_period(empty, "price_wanted")


def test_nobody_is_charged_by_an_old_page_after_the_renewal(alice: Shopper) -> None:
    page = quoted(alice, "/billing/change/pro")
    renew(alice)
    before, answer = charged(alice), page.send()
    assert (answer.status_code, charged(alice), alice.row.plan) == (422, before, "basic")
    anew = Quoted(alice, "/billing/change/pro", answer.text)
    assert "Something changed while this page was open." in anew.words
    anew.send()
    assert charged(alice) - before == anew.today > page.today


def test_nobody_moves_to_a_smaller_plan_on_another_day_than_was_said(counter: Counter) -> None:
    person = counter.newcomer("pro")
    page = quoted(person, "/billing/change/basic")
    renew(person)
    answer = page.send()
    assert (answer.status_code, person.row.coming) == (422, None)
    Quoted(person, "/billing/change/basic", answer.text).send()
    assert (person.row.coming or {})["at"] == int(person.row.current_period_end.timestamp())  # type: ignore[union-attr]


def test_nobody_pays_for_two_plans_that_were_chosen_in_two_tabs(alice: Shopper) -> None:
    pro, team = quoted(alice, "/billing/change/pro"), quoted(alice, "/billing/change/team")
    before = charged(alice)
    pro.send()
    answer = team.send()
    assert (answer.status_code, alice.row.plan) == (422, "pro")
    anew = Quoted(alice, "/billing/change/team", answer.text)
    anew.send()
    assert alice.row.plan == "team"
    assert charged(alice) - before == pro.today + anew.today == team.today


def test_nobody_loses_the_smaller_plan_that_they_chose_to_another_tab(counter: Counter) -> None:
    person = counter.newcomer("team")
    renew_trial(person)
    basic, pro = quoted(person, "/billing/change/basic"), quoted(person, "/billing/change/pro")
    basic.send()
    answer = pro.send()
    assert (answer.status_code, (person.row.coming or {})["plan"]) == (409, "basic")
    assert "Keep Team" in answer.text
    assert 'action="/billing/stay"' in answer.text


def renew_trial(person: Shopper) -> None:
    end = person.row.trial_end
    assert end is not None
    until(person, int(end.timestamp()) + 2 * HOUR)


def test_nobody_is_put_back_by_an_event_that_was_late(alice: Shopper) -> None:
    old = at_stripe(alice).to_dict(for_json=True)
    quoted(alice, "/billing/change/pro").send()
    assert deliver(alice.desk, make_event("customer.subscription.updated", old)).status_code == 200
    apply_all()
    assert (alice.row.plan, alice.standing.facts.plan_title) == ("pro", "Pro")


def test_nobody_who_presses_again_after_a_crash_is_left_between_two_plans(counter: Counter) -> None:
    """The process died between the two writes of a change at the period's end."""
    person = counter.newcomer("pro")
    page = quoted(person, "/billing/change/basic")
    moment = plan_change.moment_of(stripe_reads.get_subscription(person.row.stripe_id))
    perform(plan_change.schedule_request(a_quote(person, moment), page.fields["once"], person.id))
    look(person)
    assert "You’re on Pro. Next payment: €29.00" in said(person), (
        "nothing is said of what is only half asked for"
    )
    assert page.send().status_code == 303
    assert (person.row.coming or {})["plan"] == "basic"
    schedules = person.sandbox.stripe.subscription_schedules.list({"customer": person.customer})["data"]
    assert len(schedules) == 1


def a_quote(person: Shopper, moment: int) -> quoting.Quote:
    price = db.session.get_one(PlanPrice, "basic_month_eur")
    return quoting.quote(stripe_reads.get_subscription(person.row.stripe_id), price, 1, moment)


def test_nobody_gets_a_change_on_top_of_one_that_is_not_finished(alice: Shopper) -> None:
    """A process died after it wrote down what to ask, and before it asked."""
    pro, team = quoted(alice, "/billing/change/pro"), quoted(alice, "/billing/change/team")
    found = stripe_reads.get_subscription(alice.row.stripe_id)
    price = db.session.get_one(PlanPrice, "pro_month_eur")
    wanted = quoting.quote(found, price, 1, plan_change.moment_of(found))
    before = charged(alice)
    registry.record(db.session(), plan_change.change_request(wanted, pro.fields["once"], alice.id))
    db.session.commit()
    other = team.send()
    assert (other.status_code, "Another change of your plan is being made" in other.text) == (409, True)
    again = pro.send()
    assert (again.status_code, "We don’t know yet whether that went through." in again.text) == (503, True)
    sweep()
    look(alice)
    assert (alice.row.plan, charged(alice) - before) == ("pro", pro.today)
    assert pro.send().location == "/billing"
    assert "You’re on Pro." in said(alice)


def test_nobody_is_charged_twice_by_two_presses_and_both_lead_to_the_same_page(alice: Shopper) -> None:
    page = quoted(alice, "/billing/change/pro")
    before = charged(alice)
    places = [page.send().location for _ in range(3)]
    assert places == ["/billing"] * 3
    assert (charged(alice) - before, upgrades(alice)) == (page.today, 1)


# Pain 26: seats that drift.


def test_nobody_pays_for_one_seat_more_each_time_a_press_or_an_event_is_repeated(counter: Counter) -> None:
    person = counter.newcomer("team")
    page = quoted(person, "/billing/seats?seats=3")
    assert [page.send().location, page.send().location] == ["/billing", "/billing"]
    sandbox: Sandbox = person.sandbox
    for name in ("customer.subscription.updated", "customer.subscription.created"):
        deliver(counter.app, make_event(name, {"id": person.row.stripe_id, "object": "subscription"}))
    apply_all()
    assert (person.row.quantity, at_stripe(person)["items"]["data"][0]["quantity"]) == (3, 3)
    asked = [
        one["params"]["items"]
        for one in sandbox.look("requests?limit=200")["requests"]
        if one["path"] == f"/v1/subscriptions/{person.row.stripe_id}" and one["method"] == "POST"
    ]
    assert [item["quantity"] for items in asked for item in each(items)] == ["3"], (
        "a number, never one more or less"
    )


def each(items: Any) -> list[Any]:
    """The items of a form’s tree, whichever way it holds a list."""
    return list(items.values()) if isinstance(items, dict) else list(items)


def test_nobody_who_changed_from_month_to_year_wonders_why_the_billing_date_moved(alice: Shopper) -> None:
    before, page = alice.row.current_period_end, quoted(alice, "/billing/change/basic?interval=year")
    assert "Basic, monthly → Basic, yearly" in page.words
    wait(alice, 600)  # they read it for ten minutes; the year begins when they press
    assert page.send().status_code == 303
    assert (alice.row.interval, before != alice.row.current_period_end) == ("year", True)
    assert f"you next pay on {day(alice.row)}, not on {day(alice.row, before)}." in page.words


def day(row: Subscription, moment: Any = None) -> str:
    return f"{(moment or row.current_period_end):%-d %B %Y}"

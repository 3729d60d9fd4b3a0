"""Leaving is as easy as coming: one page that says what happens, one button, no debt that keeps anybody in."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from billing import ending, registry, resolutions, writes
from billing.ending import FEEDBACK
from billing.extensions import db
from billing.models import Notice, StripeWrite
from billing.words import day
from tests.story import DAY, FAILS_LATER, Shopper, catch_up, count, shopper
from tests.test_plan_change import charged, offer, renew

UNKNOWN = "We don’t know yet whether that went through."


@pytest.fixture
def alice(desk_again: Flask) -> Shopper:
    found = shopper(desk_again)
    found.has()
    return found


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the form in the page, but for its CSRF token."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.partition("<main")[2])
    return {name: html.unescape(value) for name, value in found if name != "csrf_token"}


def words(page: str) -> str:
    main = page.partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())


def leave(person: Shopper, **said: str) -> TestResponse:
    """From billing to the page, and its button: two clicks."""
    page = person.get("/billing/cancel")
    assert page.status_code == 200, page.location
    return person.post("/billing/cancel", **{**hidden(page.text), **said})


def at_stripe(person: Shopper) -> Any:
    return person.sandbox.stripe.subscriptions.retrieve(person.row.stripe_id)


def test_whoever_leaves_reads_what_happens_needs_no_reason_and_is_told_once(alice: Shopper) -> None:
    page = alice.get("/billing/cancel").text
    end = alice.row.current_period_end
    assert end is not None
    until, kept = day(end), day(end + timedelta(days=90))
    read = words(page)
    assert "<h1>Cancel Pro</h1>" in page
    assert (
        f"You keep access until {until}. You won’t be charged again. We keep your data until {kept}." in read
    )
    assert "Why are you leaving? (optional)" in read
    assert re.findall(r'name="reason" value="(\w+)"', page) == list(FEEDBACK)
    assert "checked" not in page
    assert re.findall(r'class="(btn[^"]*)"', page.partition("<main")[2]) == ["btn", "btn quiet"]
    assert "Prefer a break? You can pause for up to 3 months." in read
    before = charged(alice)
    assert leave(alice).location == "/billing"
    assert alice.standing.code == "canceling", "shown at once, by a look at Stripe"
    found = at_stripe(alice)
    assert (found.cancel_at_period_end, found.cancellation_details.feedback) == (True, None)
    catch_up(alice.desk)
    assert alice.mails()[-1] == "cancel_set"
    assert count(Notice, user_id=alice.id, kind="cancel_set") == 1
    assert alice.get("/billing/cancel").location == "/billing"  # nothing is left to cancel
    renew(alice)
    assert (alice.standing.code, charged(alice)) == ("ended", before)


def test_a_reason_is_kept_at_stripe_in_its_own_words_and_one_that_is_none_is_left_out(alice: Shopper) -> None:
    comment = "Too dear for what it does, sadly. ✂"
    leave(alice, reason="too_expensive", comment=f"  {comment} ")
    said = at_stripe(alice).cancellation_details
    assert (said.feedback, said.comment, said.reason) == ("too_expensive", comment, "cancellation_requested")
    alice.post("/billing/resume")
    assert alice.standing.code == "active"
    leave(alice, reason="frobnicated", comment=" ")
    assert at_stripe(alice).cancellation_details.feedback is None


def test_a_comment_that_is_too_long_comes_back_with_what_was_said_and_nothing_is_canceled(
    alice: Shopper,
) -> None:
    answer = leave(alice, reason="unused", comment="x" * 1001)
    assert answer.status_code == 422
    assert "Your comment has 1001 characters. Shorten it to 1000." in words(answer.text)
    assert "x" * 1001 in answer.text
    assert 'value="unused" checked' in answer.text
    assert "<title>Error: Cancel Pro" in answer.text
    assert at_stripe(alice).cancel_at_period_end is False


def test_a_form_that_is_sent_again_or_in_two_tabs_cancels_once(alice: Shopper) -> None:
    pages = [hidden(alice.get("/billing/cancel").text) for _ in range(2)]
    for fields in (pages[0], pages[0], pages[1]):
        assert alice.post("/billing/cancel", **fields, reason="other").status_code == 303
    catch_up(alice.desk)
    assert count(StripeWrite, operation="subscription.update", user_id=alice.id) == 1
    assert count(Notice, user_id=alice.id, kind="cancel_set") == 1


def test_somebody_who_owes_can_leave_at_once_and_is_not_charged_for_it_any_more(alice: Shopper) -> None:
    alice.use_card(FAILS_LATER)
    renew(alice)
    bill, before = alice.invoices[-1], charged(alice)
    assert alice.standing.code == "past_due"
    read = words(alice.get("/billing/cancel").text)
    assert "Pro ends at once, and with it your access." in read
    assert f"Invoice {bill.number} for €29.00 stays open. We don’t try your card for it again" in read
    leave(alice)
    catch_up(alice.desk)
    assert (alice.standing.code, alice.standing.access) == ("ended", False)
    assert "Pro has ended. You won’t be charged again." in alice.get("/billing").text
    mails = alice.mails()
    assert mails[-1] == "ended"
    alice.use_card("4242424242424242")
    alice.advance_by(40 * DAY)
    assert (charged(alice), alice.mails()) == (before, mails), "neither charged nor reminded"
    assert alice.sandbox.stripe.invoices.retrieve(bill.stripe_id).status == "open"


def test_what_was_agreed_to_is_what_happens_or_the_page_is_shown_anew(alice: Shopper) -> None:
    """The page said that access stays; meanwhile the renewal failed, and leaving would end it at once."""
    fields = hidden(alice.get("/billing/cancel").text)
    alice.use_card(FAILS_LATER)
    renew(alice)
    answer = alice.post("/billing/cancel", **fields)
    assert answer.status_code == 422
    assert "Something changed while this page was open." in words(answer.text)
    assert "Pro ends at once" in words(answer.text)
    assert at_stripe(alice).status == "past_due"


def test_who_was_canceled_elsewhere_meanwhile_sees_that_and_nothing_is_done_twice(alice: Shopper) -> None:
    fields = hidden(alice.get("/billing/cancel").text)
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    assert alice.post("/billing/cancel", **fields).location == "/billing"
    assert alice.standing.code == "canceling"
    assert count(StripeWrite, operation="subscription.update", user_id=alice.id) == 0


def test_a_change_that_was_coming_is_dropped_and_then_the_plan_ends(alice: Shopper) -> None:
    offer(alice, "basic").send()
    assert alice.standing.code == "changing"
    leave(alice)
    assert (alice.standing.code, alice.row.coming, alice.row.schedule) == ("canceling", None, None)
    kinds = [
        row.operation
        for row in db.session.query(StripeWrite).filter_by(user_id=alice.id).order_by(StripeWrite.id)
    ][-2:]
    assert kinds == ["subscription_schedule.release", "subscription.update"]


def test_where_it_breaks_off_between_the_two_writes_the_end_still_comes(alice: Shopper) -> None:
    offer(alice, "basic").send()
    found = alice.sandbox.stripe.subscriptions.retrieve(alice.row.stripe_id, {"expand": ["schedule"]})
    release, end = ending.requests(found.to_dict(for_json=True), "once-of-this-form", {}, alice.id)
    for one in (release, end):
        registry.record(db.session(), one)
    db.session.commit()
    kept = db.session.query(StripeWrite).filter_by(name=end.name).one()
    writes._finish(db.session(), kept.id)  # whoever comes first to the end waits for what must go before
    assert at_stripe(alice).cancel_at_period_end is False
    db.session.expire_all()
    assert kept.state == "pending"
    assert writes.finish_open(db.session(), older_than=timedelta(0)) >= 2
    catch_up(alice.desk)
    assert alice.standing.code == "canceling"


def test_without_an_answer_it_is_called_unknown_and_comes_true_by_itself(alice: Shopper) -> None:
    fields, path = hidden(alice.get("/billing/cancel").text), f"/v1/subscriptions/{alice.row.stripe_id}"
    alice.sandbox.control("trouble", api="applied_then_500", api_path=path)
    answer = alice.post("/billing/cancel", **fields)
    alice.sandbox.calm()
    assert answer.status_code == 503
    assert UNKNOWN in words(answer.text)
    writes.finish_open(db.session(), older_than=timedelta(hours=-1))
    catch_up(alice.desk)
    assert alice.standing.code == "canceling"
    assert count(Notice, user_id=alice.id, kind="cancel_set") == 1


def test_a_wish_to_leave_never_grows_too_old() -> None:
    assert resolutions.worth("subscription.update", "cancel:sub_1:once:0") is None
    assert resolutions.worth("subscription.update", "keep:sub_1:1") == timedelta(hours=1)


def both_ends(person: Shopper) -> None:
    person.sandbox.stripe.subscriptions.update(person.row.stripe_id, {"cancel_at_period_end": True})


def a_schedule_that_ends(person: Shopper) -> None:
    """As an operator sets it up: the plan runs on a schedule that cancels when its phase is over."""
    api, row = person.sandbox.stripe, person.row
    made = api.subscription_schedules.create({"from_subscription": row.stripe_id})
    phase = made["phases"][0]
    items = [{"price": phase["items"][0]["price"], "quantity": 1}]
    phases = [{"items": items, "start_date": phase["start_date"], "end_date": phase["end_date"]}]
    api.subscription_schedules.update(made["id"], {"end_behavior": "cancel", "phases": phases})


@pytest.mark.parametrize("end", [both_ends, a_schedule_that_ends])
def test_keeping_takes_back_every_way_of_ending(alice: Shopper, end: Any) -> None:
    end(alice)
    catch_up(alice.desk)
    if alice.row.ends_at is None:
        pytest.skip("this end is not told in the subscription")
    alice.post("/billing/resume")
    found = at_stripe(alice)
    assert (found.cancel_at, found.cancel_at_period_end) == (None, False)
    assert alice.standing.code == "active"
    assert "You’re keeping Pro." in alice.get("/billing").text
    renew(alice)
    assert alice.standing.code == "active"


@pytest.mark.parametrize(
    ("status", "ends", "how"),
    [
        ("active", False, "period_end"),
        ("trialing", False, "period_end"),
        ("past_due", False, "now"),
        ("unpaid", False, "now"),
        ("paused", False, "now"),
        ("incomplete", False, "now"),
        ("active", True, None),
        ("canceled", False, None),
        ("incomplete_expired", False, None),
    ],
)
def test_when_leaving_takes_effect(status: str, ends: bool, how: str | None) -> None:
    assert ending.how(status, ends=ends) == how


def test_an_order_that_was_never_paid_is_given_up_with_its_invoice(newcomer: Callable[[], Shopper]) -> None:
    alice = newcomer()
    alice.order()
    api = alice.sandbox.stripe
    api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": alice.customer})
    method = api.payment_methods.list({"customer": alice.customer})
    price = next(one for one in api.prices.list({"limit": 100})["data"] if one["unit_amount"] == 2900)
    api.subscriptions.create(
        {
            "customer": alice.customer,
            "items": [{"price": price["id"]}],
            "default_payment_method": method["data"][0]["id"],
        }
    )
    catch_up(alice.desk)
    assert alice.row.status == "incomplete"
    assert "Your order was never paid, so nothing is owed" in words(alice.get("/billing/cancel").text)
    leave(alice)
    assert (alice.row.status, alice.invoices[-1].status) == ("canceled", "void")
    assert charged(alice) == 0


def test_nobody_without_a_plan_has_anything_to_cancel_and_strangers_sign_in(
    newcomer: Callable[[], Shopper],
) -> None:
    bob = newcomer()
    for answer in (bob.get("/billing/cancel"), bob.post("/billing/cancel"), bob.post("/billing/resume")):
        assert (answer.status_code, answer.location) == (303, "/billing")
    assert bob.desk.test_client().get("/billing/cancel").location.startswith("/login")

"""Another card at Stripe becomes the card that is charged, and takes what was owed: once, whoever tells of it.

The portal sets the customer's default; Checkout gave the subscription one of its own, which stands before it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from billing import means, writes
from billing.extensions import db
from billing.models import Invoice, StripeWrite, Subscription
from tests.story import DAY, FAILS_LATER, Shopper, apply_all, card_form, catch_up, count, post_page, shopper
from tests.support import deliver
from tests.test_plan_change import charged, said
from tests.test_portal_ways import asked, is_away

ASKS_THE_BANK = "4000002760003184"
MASTERCARD = "5555555555554444"


@pytest.fixture
def alice(desk_again: Flask) -> Shopper:
    """Subscribed to Pro; Checkout made her card the subscription's own."""
    found = shopper(desk_again)
    found.has()
    assert own_card(found) is not None
    return found


def own_card(person: Shopper) -> str | None:
    found: str | None = at_stripe(person)["default_payment_method"]
    return found


def at_stripe(person: Shopper) -> Any:
    return person.sandbox.stripe.subscriptions.retrieve(person.row.stripe_id)


def put_card(person: Shopper, card: str) -> str:
    """Make a card the customer's default, as Stripe's portal does, and leave the subscription's own alone. Its id."""
    api = person.sandbox.stripe
    alias = {FAILS_LATER: "pm_card_chargeCustomerFail", ASKS_THE_BANK: "pm_card_authenticationRequired"}
    method = api.payment_methods.attach(alias.get(card, f"pm_card_{card}"), {"customer": person.customer})[
        "id"
    ]
    api.customers.update(person.customer, {"invoice_settings": {"default_payment_method": method}})
    return str(method)


def settle(person: Shopper) -> None:
    """What worker and clock do with a change: apply it, send what follows, and hear of that."""
    catch_up(person.desk)
    writes.send_new(db.session())
    catch_up(person.desk)


def owes(person: Shopper) -> Invoice:
    """Let the renewal fail. What is owed."""
    put_card(person, FAILS_LATER)
    settle(person)
    person.advance_by(31 * DAY)
    bill = person.invoices[-1]
    assert (person.row.status, bill.status, bill.attempt_count) == ("past_due", "open", 1)
    return bill


def payments_of(person: Shopper) -> list[StripeWrite]:
    db.session.rollback()
    found = select(StripeWrite).where(
        StripeWrite.operation == "invoice.pay", StripeWrite.user_id == person.id
    )
    return list(db.session.execute(found.order_by(StripeWrite.id)).scalars())


def test_whoever_puts_another_card_is_charged_to_the_old_one_no_more(alice: Shopper) -> None:
    """The pain: Stripe's page says that the card is saved, and the next renewal is taken from the old one."""
    method = put_card(alice, "mastercard")
    assert own_card(alice) != method
    settle(alice)
    assert own_card(alice) == method
    assert (alice.row.card_brand, alice.row.payment_methods) == (
        "mastercard",
        {"own": method, "customer": method},
    )
    assert "Mastercard ending 4444" in said(alice)
    alice.advance_by(31 * DAY)
    [last] = alice.sandbox.stripe.charges.list({"customer": alice.customer, "limit": 1})["data"]
    assert last["payment_method"] == method
    assert payments_of(alice) == []


def test_what_was_owed_is_taken_from_the_new_card_at_once_and_once(alice: Shopper) -> None:
    bill, before = owes(alice), charged(alice)
    method = put_card(alice, "mastercard")
    settle(alice)
    assert [(row.name, row.state) for row in payments_of(alice)] == [
        (f"pay:{bill.stripe_id}:{method}", "done")
    ]
    assert charged(alice) - before == 2900
    assert (alice.row.status, alice.standing.access, own_card(alice)) == ("active", True, method)
    assert alice.mails()[-1] == "recovered"
    alice.advance_by(10 * DAY)
    assert charged(alice) - before == 2900


def press(person: Shopper) -> str:
    """“Update card”: the page of Stripe's portal that the browser is sent to."""
    answer = person.post("/billing/card")
    assert answer.status_code == 303
    return str(answer.location)


def test_the_way_over_stripes_page_leads_back_to_which_card_is_charged_now_and_what_became_of_what_was_due(
    alice: Shopper,
) -> None:
    owes(alice)
    place = press(alice)
    flow = asked(alice, "/v1/billing_portal/sessions")["flow_data"]
    assert flow["type"] == "payment_method_update"
    assert flow["after_completion"]["redirect"]["return_url"].endswith("/billing/card/return")
    answer = post_page(f"{place}/card", **card_form(MASTERCARD))
    assert (answer.status, answer.location) == (303, flow["after_completion"]["redirect"]["return_url"])
    page = alice.get("/billing/card/return").text
    assert "We’re checking your card with Stripe." in page, "nothing is said before our row has it"
    assert "Check again" in page
    catch_up(alice.desk)
    page = alice.get("/billing/card/return").text
    assert "Your card is now Mastercard ending 4444." in page
    assert "We’re taking the €29.00 that was due." in page
    assert "We couldn’t take your last payment." in page  # where the plan stands by now
    settle(alice)
    page = alice.get("/billing/card/return").text
    assert "The €29.00 that was due is paid." in page
    assert "You’re on Pro." in page
    assert place.rpartition("/")[2] not in page


def test_check_again_on_the_way_back_finds_what_no_event_told_and_pays_what_was_due(alice: Shopper) -> None:
    owes(alice)
    place = press(alice)
    alice.sandbox.control("trouble", delivery="drop")
    post_page(f"{place}/card", **card_form(MASTERCARD))
    answer = alice.post("/billing/check", back="card")
    assert (answer.status_code, answer.location) == (303, "/billing/card/return")
    assert "The €29.00 that was due is paid." in alice.get("/billing/card/return").text
    assert alice.standing.code == "active"
    assert alice.post("/billing/check", back="//evil.example").location == "/billing"


def test_a_card_that_is_declined_too_is_tried_once_and_the_page_says_so(alice: Shopper) -> None:
    bill, before = owes(alice), charged(alice)
    press(alice)
    method = put_card(alice, "chargeCustomerFail")
    settle(alice)
    assert [(row.name, row.state) for row in payments_of(alice)] == [
        (f"pay:{bill.stripe_id}:{method}", "declined")
    ]
    page = alice.get("/billing/card/return").text
    assert "We couldn’t take the €29.00 that was due from it." in page
    assert (alice.standing.code, charged(alice)) == ("past_due", before)
    settle(alice)
    assert len(payments_of(alice)) == 1
    put_card(alice, "visa")
    settle(alice)
    assert (alice.standing.code, charged(alice) - before) == ("active", 2900)


def test_a_card_whose_bank_asks_leads_to_confirming_and_access_is_right_all_the_way(alice: Shopper) -> None:
    bill = owes(alice)
    press(alice)
    put_card(alice, ASKS_THE_BANK)
    settle(alice)
    assert (alice.standing.code, alice.standing.access) == ("action_required", True)
    assert "Your bank wants you to confirm the €29.00 that was due." in alice.get("/billing/card/return").text
    answer = alice.post(f"/invoices/{bill.stripe_id}/open")
    assert answer.location == alice.sandbox.stripe.invoices.retrieve(bill.stripe_id).hosted_invoice_url


def test_a_retry_of_stripes_own_at_the_same_moment_never_charges_twice(alice: Shopper) -> None:
    """The payment is kept and not yet sent as Stripe's retry takes the money."""
    bill, before = owes(alice), charged(alice)
    method = put_card(alice, "mastercard")
    catch_up(alice.desk)
    [kept] = payments_of(alice)
    assert kept.state == "pending"
    alice.sandbox.stripe.invoices.pay(bill.stripe_id, {"payment_method": method})
    settle(alice)
    assert charged(alice) - before == 2900
    [kept] = payments_of(alice)
    assert kept.state == "failed"
    assert alice.standing.code == "active"


def test_events_that_come_twice_late_or_in_reverse_point_and_pay_once(alice: Shopper) -> None:
    owes(alice)
    before = charged(alice)
    alice.sandbox.control("trouble", delivery="drop")
    since = max(one["created"] for one in alice.sandbox.stripe.events.list({"limit": 1})["data"])
    method = put_card(alice, "mastercard")
    page = alice.sandbox.stripe.events.list({"created": {"gte": since}, "limit": 20})
    news = [one.to_dict(for_json=True) for one in page["data"]]  # newest first
    assert "customer.updated" in {one["type"] for one in news}
    for _ in range(2):
        for event in news:
            assert deliver(alice.desk, event).status_code == 200
            apply_all()
            writes.send_new(db.session())
    settle(alice)
    alice.post("/billing/check")
    assert (own_card(alice), charged(alice) - before, len(payments_of(alice))) == (method, 2900, 1)
    assert (
        count(StripeWrite, operation="subscription.update", user_id=alice.id) == 2
    )  # the card that fails, and this one


def test_killed_between_the_two_writes_the_rest_is_done_by_whoever_comes_next(alice: Shopper) -> None:
    bill, before = owes(alice), charged(alice)
    method = put_card(alice, "mastercard")
    catch_up(alice.desk)
    kept = select(StripeWrite.name).where(StripeWrite.state == "pending", StripeWrite.user_id == alice.id)
    kept = kept.order_by(StripeWrite.id)
    names = list(db.session.execute(kept).scalars())
    assert [name.partition(":")[0] for name in names] == ["card", "pay"], (
        "both are kept before either is sent"
    )
    row = db.session.query(StripeWrite).filter_by(name=names[0]).one()
    writes._finish(db.session(), row.id)  # and then the process was gone
    assert own_card(alice) == method
    assert charged(alice) == before
    writes.finish_open(db.session(), older_than=timedelta(0))
    catch_up(alice.desk)
    assert charged(alice) - before == 2900
    assert alice.invoices[-1].stripe_id == bill.stripe_id
    assert alice.standing.code == "active"


def test_a_card_that_somebody_chose_for_the_subscription_alone_stays(alice: Shopper) -> None:
    method = alice.sandbox.stripe.payment_methods.attach("pm_card_amex", {"customer": alice.customer})["id"]
    alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"default_payment_method": method})
    settle(alice)
    alice.post("/billing/check")
    assert own_card(alice) == method
    assert count(StripeWrite, operation="subscription.update", user_id=alice.id) == 0


def test_an_older_write_that_came_late_does_not_bring_the_older_card_back(alice: Shopper) -> None:
    first = put_card(alice, "amex")
    catch_up(alice.desk)
    second = put_card(alice, "mastercard")
    catch_up(alice.desk)
    [older, newer] = (
        db.session.query(StripeWrite).filter_by(state="pending", user_id=alice.id).order_by(StripeWrite.id)
    )
    for one in (newer.id, older.id):
        writes._finish(db.session(), one)
    assert own_card(alice) == first
    settle(alice)
    assert own_card(alice) == second


def test_a_default_that_was_removed_a_plan_that_is_over_and_a_first_look_change_nothing(
    alice: Shopper,
) -> None:
    before = own_card(alice)
    put_card(alice, "amex")
    db.session.execute(update(Subscription).values(payment_methods=None))  # as the release before left it
    db.session.commit()
    settle(alice)
    assert own_card(alice) == before
    assert alice.row.payment_methods is not None
    alice.sandbox.stripe.customers.update(
        alice.customer, {"invoice_settings": {"default_payment_method": ""}}
    )
    settle(alice)
    assert own_card(alice) == before
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    settle(alice)
    put_card(alice, "mastercard")
    settle(alice)
    assert count(StripeWrite, user_id=alice.id, operation="subscription.update") == 0
    assert "You have no running plan" in alice.get("/billing/card/return").text


def test_before_a_card_can_be_seen_to_be_new_the_old_one_is_looked_at(
    alice: Shopper, newcomer: Callable[[], Shopper]
) -> None:
    db.session.execute(update(Subscription).values(payment_methods=None))
    db.session.commit()
    press(alice)
    assert alice.row.payment_methods is not None
    db.session.execute(update(Subscription).values(payment_methods=None))
    db.session.commit()
    alice.sandbox.control("trouble", api="error_500")
    assert is_away(alice.post("/billing/card"))
    bob = newcomer()
    assert bob.post("/billing/card").location == "/billing"


def test_a_trial_that_was_paused_for_want_of_a_card_goes_on_with_one(newcomer: Callable[[], Shopper]) -> None:
    alice = trial_without_card(newcomer())
    assert (alice.standing.code, charged(alice)) == ("paused_trial", 0)
    put_card(alice, "visa")
    settle(alice)
    assert (alice.standing.code, charged(alice)) == ("active", 7900)
    alice.advance_by(DAY)
    assert charged(alice) == 7900


def trial_without_card(alice: Shopper) -> Shopper:
    """Somebody whose trial has ended without a card, and who is paused for it."""
    alice.order("team")
    price = alice.sandbox.stripe.prices.list({"limit": 100})["data"]
    team = next(one for one in price if one["unit_amount"] == 7900 and one["active"])
    alice.sandbox.stripe.subscriptions.create(
        {
            "customer": alice.customer,
            "items": [{"price": team["id"]}],
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    catch_up(alice.desk)
    alice.advance_by(8 * DAY)
    return alice


CARD = {"object": "payment_method", "type": "card", "card": {"brand": "visa", "last4": "1881"}}
SOURCE = {"object": "card", "brand": "American Express", "last4": "8431"}


@pytest.mark.parametrize(
    ("own", "source", "default", "default_source", "shown"),
    [
        (CARD, SOURCE, None, None, ("visa", "1881")),
        (None, SOURCE, CARD, None, ("amex", "8431")),
        (None, None, CARD, SOURCE, ("visa", "1881")),
        (None, None, None, SOURCE, ("amex", "8431")),
        (None, None, None, None, (None, None)),
    ],
)
def test_the_card_that_is_shown_is_the_one_that_stripe_will_charge(
    own: Any, source: Any, default: Any, default_source: Any, shown: tuple[str | None, str | None]
) -> None:
    customer = {"invoice_settings": {"default_payment_method": default}, "default_source": default_source}
    assert (
        means.charged({"default_payment_method": own, "default_source": source, "customer": customer})
        == shown
    )

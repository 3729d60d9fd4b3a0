"""What comes of events of every kind: our rows say what Stripe holds, whatever an event said, and only of our own."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from billing.extensions import db
from billing.models import Dispute, Invoice, Notice, Payment, PlanPrice, Subscription
from tests.story import Shopper, apply_all, card_form, catch_up, count, events, post_page, shopper
from tests.support import Sandbox, deliver, make_event
from tests.watching import all_rows

DISPUTED = "4000000000000259"
# Where each kind of event comes from, and what may have happened to it.
HAPPENS = {
    "checkout.session": "completed expired async_payment_succeeded async_payment_failed",
    "customer.subscription": "created updated deleted paused resumed pending_update_applied"
    " pending_update_expired trial_will_end",
    "invoice": "paid payment_succeeded payment_failed payment_action_required finalized voided"
    " marked_uncollectible",
    "payment_intent": "succeeded payment_failed canceled",
    "charge": "refunded",
    "charge.dispute": "created closed",
}
# What every look at Stripe leaves.
MARKS = ("fetch_no", "fetched_at", "cause_event_id")


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    """A customer who has a plan, and has disputed what she paid for something else."""
    alice = shopper(desk)
    alice.subscribe()
    assert alice.pay(alice.buy(), DISPUTED).status == 303
    catch_up(desk)
    return alice


def things(alice: Shopper, session_id: str) -> dict[str, dict[str, Any]]:
    """Alice's objects, as a very old event may show them: of their state, everything is wrong."""
    [invoice] = alice.invoices
    payment = db.session.execute(select(Payment)).scalar_one()
    dispute = db.session.execute(select(Dispute)).scalar_one()
    wrong = {
        "customer": alice.customer, "status": "canceled", "payment_status": "unpaid", "livemode": True,
        "amount": 1, "total": 1, "currency": "xxx", "metadata": {"installation": "of nobody"}, "items": None,
        "cancel_at_period_end": True, "attempt_count": 9, "amount_refunded": 999, "trial_end": 1,
    }  # fmt: skip
    return {
        "checkout.session": {**wrong, "object": "checkout.session", "id": session_id},
        "customer.subscription": {**wrong, "object": "subscription", "id": alice.row.stripe_id},
        "invoice": {
            **wrong,
            "object": "invoice",
            "id": invoice.stripe_id,
            "subscription": alice.row.stripe_id,
        },
        "payment_intent": {**wrong, "object": "payment_intent", "id": payment.payment_intent},
        "charge": {**wrong, "object": "charge", "id": "ch_any", "payment_intent": payment.payment_intent},
        "charge.dispute": {**wrong, "object": "dispute", "id": dispute.stripe_id},
    }


def test_an_event_of_any_kind_and_age_leaves_our_rows_at_what_stripe_holds(
    desk: Flask, alice: Shopper
) -> None:
    session_id = events(type="checkout.session.completed")[-1].subject or ""
    sent = [
        make_event(f"{kind}.{what}", thing, api_version="2019-12-03")
        for kind, thing in things(alice, session_id).items()
        for what in HAPPENS[kind].split()
    ]
    before = all_rows(db.session(), but=MARKS)
    for event in sent:
        assert deliver(desk, event).status_code == 200
    apply_all()
    rows = [events(event_id=event["id"])[0] for event in sent]
    assert {row.type: (row.state, row.user_id) for row in rows} == {
        event["type"]: ("applied", alice.id) for event in sent
    }
    after = all_rows(db.session(), but=MARKS)
    assert {table for table in after if after[table] != before[table]} <= {"stripe_events", "leases"}


def foreign_customer(alice: Shopper) -> str:
    made = alice.sandbox.stripe.customers.create({"email": "somebody@example.com"})
    return str(made["id"])


@pytest.mark.parametrize("whose", ["a customer of nobody here", "our customer, but another installation"])
def test_what_others_sell_in_the_same_account_is_set_aside_as_not_ours(desk: Flask, whose: str) -> None:
    alice = shopper(desk)
    alice.order()  # makes her a customer
    ours = whose.startswith("our")
    metadata = {"installation": "another"} if ours else {}
    price = db.session.execute(
        select(PlanPrice.price_id).where(PlanPrice.item == "pro").limit(1)
    ).scalar_one()
    sandbox: Sandbox = alice.sandbox
    session = sandbox.stripe.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": alice.customer if ours else foreign_customer(alice),
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://example.com/thanks",
            "metadata": metadata,
            "subscription_data": {"metadata": metadata},
        }
    )
    assert post_page(f"{sandbox.url}/c/pay/{session['id']}", **card_form()).status == 303
    catch_up(desk)
    about = ("checkout.session.completed", "customer.subscription.created", "invoice.paid")
    found = {row.type: row for row in events() if row.type in about}
    assert set(found) == set(about)
    for row in found.values():
        assert (row.state, (row.reason or "")[:9]) == ("ignored", "not ours:")
    assert (count(Subscription), count(Invoice), count(Notice)) == (0, 0, 0)
    assert not alice.standing.access

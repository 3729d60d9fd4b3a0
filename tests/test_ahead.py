"""The mails that nobody asks for: a trial begins, a plan changes, a year renews, a card is over. Once, while true."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from billing import ahead, means, outbox
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import Notice, Subscription, User
from billing.payloads import Object
from local.mailsink import MailSink
from tests import admin_rows as rows
from tests.story import DAY, Shopper, catch_up, config_of
from tests.support import make_user
from tests.told import START, a_subscription, an_invoice, tell

NOW = rows.NOW
OVER = {"canceled_at": START, "cancel_at_period_end": True}


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def states(session: Session, *kinds: str) -> list[tuple[str, str]]:
    session.rollback()
    found = select(Notice.kind, Notice.state).where(Notice.kind.in_(kinds)).order_by(Notice.id)
    return [(kind, state) for kind, state in session.execute(found)]


def on(subscription: Object, plan: str = "pro", amount: int = 2900, **more: Any) -> Object:
    """The same subscription at another price; ``more``: of its item, and the price's ``interval``."""
    [item] = subscription["items"]["data"]
    recurring = {"interval": more.pop("interval", "month"), "interval_count": 1}
    price = {**item["price"], "unit_amount": amount, "metadata": {"plan": plan}, "recurring": recurring}
    price["id"] = more.pop("price", f"price_{plan}_{amount}")
    return {**subscription, "items": {"data": [{**item, **more, "price": price}]}}


def test_a_trial_is_announced_as_it_begins_and_not_when_it_is_old_or_over(
    db_session: Session, config: Config, mails: MailSink, alice: User
) -> None:
    trial = {"status": "trialing", "trial_end": START + 14 * DAY}
    for _ in range(2):
        tell(db_session, a_subscription(alice, id="sub_new", **trial), clock=START + DAY)
    tell(db_session, a_subscription(alice, id="sub_old", **trial), clock=START + 4 * DAY)
    tell(db_session, a_subscription(alice, id="sub_off", **trial, **OVER), clock=START)
    assert states(db_session, "trial_start") == [("trial_start", "queued")]
    outbox.send_due(db_session, config)
    [message] = mails.messages
    assert message.subject == "[Test] Your Pro trial has started"
    assert "Your first payment will be €29.00 that day, from Visa ending 4242." in " ".join(
        message.text.split()
    )
    late = a_subscription(alice, id="sub_late", **trial)
    tell(db_session, late, clock=START)
    tell(db_session, {**late, **OVER}, clock=START)
    outbox.send_due(db_session, config)
    assert states(db_session, "trial_start") == [("trial_start", "sent"), ("trial_start", "obsolete")]


CHANGES: list[tuple[dict[str, Any], str | None]] = [
    ({"plan": "team", "amount": 4900}, "You’ve moved to Team"),
    ({"quantity": 3}, "You now have 3 seats on Pro"),
    ({"amount": 29000, "interval": "year"}, "Your Pro plan has changed"),
    ({"amount": 2500}, "Your Pro plan has changed"),
    ({"price": "price_made_anew"}, None),
    ({"current_period_start": START + 30 * DAY, "current_period_end": START + 60 * DAY}, None),
]


def test_each_change_is_told_once_and_a_renewal_at_the_same_price_is_none(
    db_session: Session, config: Config, mails: MailSink, alice: User
) -> None:
    for change, said in CHANGES:
        mails.messages.clear()
        before = on(a_subscription(alice))
        tell(db_session, before)
        for _ in range(2):
            tell(db_session, on(before, **change))
        outbox.send_due(db_session, config)
        assert [one.subject.removeprefix("[Test] ") for one in mails.messages] == [said] * (said is not None)


def test_a_change_says_what_was_paid_for_it_and_going_back_is_told_again_but_never_what_is_past(
    db_session: Session, config: Config, mails: MailSink, alice: User
) -> None:
    pro = on(a_subscription(alice))
    tell(db_session, pro)
    bill = an_invoice(pro, billing_reason="subscription_update", amount_paid=1995)
    tell(db_session, on({**pro, "latest_invoice": bill["id"]}, "team", 4900), bill)
    outbox.send_due(db_session, config)
    [text_] = [one.text for one in mails.messages if "moved" in one.subject]
    assert "Paid for it:     €19.95" in text_
    assert "Next payment:    €49.00 on 18 December 2026" in text_
    tell(db_session, pro)
    tell(db_session, on(pro, "basic", 900))
    outbox.send_due(db_session, config)
    assert [state for _, state in states(db_session, "changed")] == ["sent", "obsolete", "sent"]
    assert mails.messages[-1].text.startswith("You’ve moved from Pro to Basic.")


YEAR = {
    "interval": "year",
    "amount": 29000,
    "current_period_start": NOW - timedelta(days=355),
    "current_period_end": NOW + timedelta(days=10),
}
PAUSED = {"behavior": "void", "resumes_at": None}
RENEWALS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"clock_time": NOW - timedelta(days=5)}, False),
    ({"current_period_end": NOW + timedelta(days=15)}, False),
    ({"current_period_end": NOW + timedelta(days=15), "clock_time": NOW + timedelta(days=2)}, True),
    ({"current_period_end": NOW - timedelta(minutes=1)}, False),
    ({"current_period_start": NOW - timedelta(days=20)}, False),
    ({"cancel_at_period_end": True}, False),
    ({"cancel_at": NOW + timedelta(days=10)}, False),
    ({"pause_collection": PAUSED}, False),
    ({"collection_method": "send_invoice"}, False),
    ({"status": "past_due"}, False),
    ({"status": "paused"}, False),
    ({"status": "canceled"}, False),
]


def test_a_long_period_is_announced_once_two_weeks_before_it_renews_by_its_own_clock(
    db_session: Session, config: Config, mails: MailSink, alice: User
) -> None:
    found = [rows.subscription(db_session, alice, **{**YEAR, **more}) for more, _ in RENEWALS]
    for _ in range(3):
        ahead.owe_what_is_near(db_session, config)
    told = db_session.execute(select(Notice.facts["subscription"].astext).where(Notice.kind == "renewal"))
    wanted = {row.stripe_id for row, (_, due) in zip(found, RENEWALS, strict=True) if due}
    assert sorted(told.scalars()) == sorted(wanted)
    found[0].cancel_at_period_end = True
    db_session.commit()
    outbox.send_due(db_session, config)
    assert [state for _, state in states(db_session, "renewal")] == ["obsolete", "sent"]
    assert mails.messages[0].subject.endswith("for €290.00")


def test_a_renewal_with_a_change_names_what_will_be_charged(
    db_session: Session, config: Config, alice: User
) -> None:
    coming = {
        "kind": "scheduled",
        "price": "p",
        "plan": "basic",
        "quantity": 1,
        "amount": 900,
        "currency": "eur",
    }
    rows.subscription(db_session, alice, **YEAR, coming={**coming, "interval": "month", "at": 1})
    ahead.owe_what_is_near(db_session, config)
    facts = db_session.execute(select(Notice.facts).where(Notice.kind == "renewal")).scalar_one()
    assert (facts["plan"], facts["amount"]) == ("Basic", "€9.00")


def test_nobody_is_told_of_a_card_that_stripe_was_not_asked_about(
    db_session: Session, config: Config, alice: User
) -> None:
    """Stripe is away here: an old row is not believed, a young one is; and only where the card is over by then."""
    soon = {"current_period_end": NOW + timedelta(days=5), "fetched_at": now()}
    over = {**soon, "card_expires_at": NOW + timedelta(days=2)}
    methods = {"own": "pm_1", "customer": None}
    rows.subscription(db_session, alice, **over, payment_methods=methods)
    rows.subscription(db_session, alice, **over, payment_methods=methods)  # one card is one piece of news
    rows.subscription(db_session, alice, **{**over, "fetched_at": now() - timedelta(hours=2)})
    rows.subscription(db_session, alice, **{**over, "card_expires_at": NOW + timedelta(days=6)})
    rows.subscription(db_session, alice, **{**over, "current_period_end": NOW + timedelta(days=8)})
    rows.subscription(db_session, alice, **soon)
    for _ in range(2):
        ahead.owe_what_is_near(db_session, config)
    assert states(db_session, "card_expiring") == [("card_expiring", "queued")]
    db_session.execute(update(Subscription).values(card_expires_at=NOW + timedelta(days=900)))
    db_session.commit()
    outbox.send_due(db_session, config)
    assert states(db_session, "card_expiring") == [("card_expiring", "obsolete")]


def test_a_card_that_its_network_has_replaced_meanwhile_is_no_news(
    office: Flask, newcomer: Callable[..., Shopper]
) -> None:
    """No event comes of it: the look before the mail finds it."""
    alice = newcomer()
    alice.subscribe()
    api = alice.sandbox.stripe
    [method] = api.payment_methods.list({"customer": alice.customer})["data"]
    soon = {
        "card_expires_at": func.now() + timedelta(days=1),
        "current_period_end": func.now() + timedelta(days=3),
    }
    db.session.execute(update(Subscription).where(Subscription.user_id == alice.id).values(**soon))
    db.session.execute(text("update subscriptions set fetched_at = now() - interval '2 hours'"))
    db.session.commit()
    api.payment_methods.update(method["id"], {"card": {"exp_month": 12, "exp_year": 2044}})
    ahead.owe_what_is_near(db.session(), config_of(office))
    catch_up(office)
    assert alice.row.card_expires_at == datetime.fromisoformat("2045-01-01T00:00:00+00:00")
    assert "card_expiring" not in alice.mails()


def test_what_is_no_card_is_never_over() -> None:
    debit = {"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}
    old = {"object": "card", "brand": "Visa", "last4": "4242", "exp_month": 11, "exp_year": 2026}
    assert means.expires_at({"default_payment_method": debit}) is None
    assert means.expires_at({}) is None
    assert str(means.expires_at({"default_source": old})) == "2026-12-01 00:00:00+00:00"

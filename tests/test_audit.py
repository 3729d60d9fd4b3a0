"""The record of changes: whoever lays it on itself, entry by entry, has the rows; each entry says by whom and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask
from sqlalchemy import delete, text

from billing import jobs
from billing.extensions import db
from billing.models import (
    AuditEntry,
    CheckoutSession,
    Dispute,
    FraudWarning,
    Invoice,
    Payment,
    PlanPrice,
    Refund,
    Subscription,
)
from tests.histories import cursor_at, everything
from tests.story import DAY, FAILS_LATER, GOOD, Shopper, catch_up, shopper
from tests.support import make_user
from tests.test_payments import DISPUTED, WINNING, bought, refund

MIRRORS: tuple[Any, ...] = (Subscription, Invoice, Payment, Dispute, Refund, FraudWarning, CheckoutSession)
KEYS: dict[Any, str] = {Payment: "payment_intent"}
# Not told by an entry: which it is says the entry itself, the rest is when and why it was written.
OURS = {"id", "fetch_no", "fetched_at", "cause_event_id", "clock_time", "refunded_at"}
# Of a Checkout Session, what Stripe says became of it.
STRIPES = {
    "status", "payment_status", "async_failed", "subscription", "payment_intent", "expires_at", "amount_total",
    "currency",
}  # fmt: skip


def written_down() -> list[AuditEntry]:
    db.session.rollback()
    return list(db.session.query(AuditEntry).order_by(AuditEntry.id))


def replayed() -> dict[str, dict[str, Any]]:
    """Each object as the record alone tells it: the after-values laid on each other, anew where there was no row."""
    things: dict[str, dict[str, Any]] = {}
    for entry in written_down():
        if entry.kind.endswith((".status", ".changed")) or entry.kind == "refund":
            before = things.get(entry.subject or "", {})
            told = {name: before.get(name) for name in entry.before or {}}
            assert told == (entry.before or {}), (entry.kind, entry.subject)
            things[entry.subject or ""] = {**(before if entry.before else {}), **(entry.after or {})}
    return things


def present() -> dict[str, dict[str, Any]]:
    """The same of the rows, column by column."""
    db.session.rollback()
    found = {}
    for model in MIRRORS:
        names = {column.key for column in model.__table__.columns} - OURS - {KEYS.get(model, "stripe_id")}
        if model is CheckoutSession:
            names = STRIPES
        for row in db.session.query(model):
            values = {name: getattr(row, name) for name in names}
            found[getattr(row, KEYS.get(model, "stripe_id"))] = {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in values.items()
            }
    return found


def known(things: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        subject: {name: value for name, value in thing.items() if value is not None}
        for subject, thing in things.items()
    }


def set_to(person: Shopper, **changes: Any) -> None:
    person.sandbox.stripe.subscriptions.update(person.row.stripe_id, changes)  # type: ignore[arg-type]
    catch_up(person.desk)


def changes_plan(person: Shopper) -> None:
    there = person.sandbox.stripe.subscriptions.retrieve(person.row.stripe_id).to_dict(for_json=True)
    basic = db.session.query(PlanPrice).filter_by(lookup_key="basic_month_eur").one()
    set_to(person, items=[{"id": there["items"]["data"][0]["id"], "price": basic.price_id}])


def a_life(person: Shopper) -> None:
    """Bought, renewed, failed and recovered, changed, canceled, kept, refunded, disputed, ended."""
    person.subscribe()
    for _ in range(3):
        person.advance()
    person.use_card(FAILS_LATER)
    for _ in range(3):
        person.advance()
    assert person.row.status == "past_due"
    person.use_card(GOOD)
    person.advance()
    assert person.row.status == "active"
    changes_plan(person)
    set_to(person, cancel_at_period_end=True)
    set_to(person, cancel_at_period_end=False)
    set_to(person, cancel_at_period_end=True)
    paid = bought(person)
    refund(person, paid.payment_intent, 500)
    refund(person, paid.payment_intent, 1000)
    [plan_paid] = [one for one in person.invoices if one.billing_reason == "subscription_create"]
    refund(person, str(plan_paid.payment_intent), 900)
    bought(person, DISPUTED)
    bought(person, "4000000000005423")
    [dispute] = db.session.query(Dispute)
    person.sandbox.stripe.disputes.update(dispute.stripe_id, WINNING)  # type: ignore[arg-type]
    catch_up(person.desk)
    person.advance_by(40 * DAY)
    assert person.row.status == "canceled"


def test_the_record_of_changes_replayed_is_what_every_row_says_after_a_long_history(desk: Flask) -> None:
    make_user(db.session(), "ada@example.com", is_admin=True)
    a_life(shopper(desk))
    assert all(db.session.query(model).count() for model in MIRRORS)
    assert known(replayed()) == known(present())
    of_rows = [entry for entry in written_down() if entry.subject in present()]
    assert all(entry.user_id and entry.actor for entry in of_rows)
    by_events = [entry for entry in of_rows if entry.actor != "dunlin"]
    assert all(entry.cause_event_id for entry in by_events)
    assert {entry.kind for entry in of_rows if entry not in by_events} == {"checkout.status"}


def test_what_is_healed_is_written_down_field_by_field_in_one_entry_for_each_row(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    plan, bill = alice.row.stripe_id, alice.invoices[0].stripe_id
    db.session.execute(text("update subscriptions set card_last4 = '0000', amount = 1, fetched_at = 'epoch'"))
    db.session.execute(delete(Invoice))
    db.session.commit()
    before = len(written_down())
    cursor_at(DAY)
    everything(alice)
    healed = {entry.subject: entry for entry in written_down()[before:]}
    assert healed.keys() == {plan, bill}
    assert healed[plan].before == {"card_last4": "0000", "amount": 1}
    assert healed[plan].after == {"card_last4": "4242", "amount": 2900}
    assert (healed[plan].kind, healed[bill].before) == ("subscription.changed", None)
    assert len(written_down()) == before + 2
    assert {entry.actor for entry in healed.values()} == {"reconciler"}
    assert known(present())[bill] == known({bill: healed[bill].after or {}})[bill]


def test_a_renewal_is_one_entry_of_the_plan_with_all_its_fields(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    before = len(written_down())
    for _ in range(3):
        alice.advance()
    plan = [entry for entry in written_down()[before:] if entry.subject == alice.row.stripe_id]
    assert [(entry.kind, set(entry.after or {})) for entry in plan] == [
        (
            "subscription.changed",
            {"current_period_start", "current_period_end", "latest_invoice", "test_clock"},
        )
    ]
    for event in [entry.cause_event_id for entry in plan]:
        jobs.run_again(db.session(), str(event))
    assert known(replayed()) == known(present())

"""From rows to the facts that a standing reads: whose row speaks, which card, what is owed, what day it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import comps, facts
from billing.admin import details
from billing.admin.standings import standings
from billing.config import Config
from billing.models import Subscription, User
from billing.payloads import Object
from billing.standing import Facts, Standing
from tests.admin_rows import NOW, dispute, invoice, owed, subscription
from tests.support import make_user, sign_in
from tests.told import DAY, START, a_subscription, tell

CUSTOMER = "cus_alice"


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer=CUSTOMER)


def row_of(session: Session, user: User) -> Subscription:
    session.rollback()
    found = facts.subscription_of(session, user.id)
    assert found is not None
    return found


def facts_of(session: Session, user: User) -> Facts:
    session.rollback()
    comp = comps.holding(session, [user.id]).get(user.id)
    return facts.gather(session, user.id, facts.subscription_of(session, user.id), comp)


def standing_of(session: Session, config: Config, user: User, **more: Any) -> Standing:
    """As the person's page and the list of the admins both say it."""
    session.rollback()
    found = facts.standing_of(session, user.id, config, NOW, **more)
    row = facts.subscription_of(session, user.id)
    if row is not None and not more:
        assert standings(session, [(user.id, row)], config, NOW)[user.id].code == found.code
    return found


def test_a_running_plan_speaks_before_an_ended_one_whichever_is_newer(
    db_session: Session, alice: User
) -> None:
    assert facts.subscription_of(db_session, alice.id) is None
    assert facts_of(db_session, alice) == Facts()
    long_ago = NOW - timedelta(days=400)
    ended = subscription(db_session, alice, status="canceled", created=long_ago, ended_at=long_ago)
    assert row_of(db_session, alice).stripe_id == ended.stripe_id
    lapsed = subscription(db_session, alice, status="incomplete_expired", created=NOW)
    assert row_of(db_session, alice).stripe_id == lapsed.stripe_id
    held = subscription(db_session, alice, status="unpaid", created=long_ago)
    assert row_of(db_session, alice).stripe_id == held.stripe_id
    newer = subscription(db_session, alice, status="active", created=NOW - timedelta(days=1))
    assert row_of(db_session, alice).stripe_id == newer.stripe_id


NEWER_AND_NOT_RUNNING = [
    {"status": "incomplete"}, {"status": "unpaid"}, {"status": "paused"}, {"status": "past_due"},
    {"status": "frobnicated"}, {"status": "active", "plan": None},
]  # fmt: skip


@pytest.mark.parametrize("other", NEWER_AND_NOT_RUNNING, ids=str)
def test_whoever_pays_for_a_plan_is_let_in_whatever_another_subscription_came_to(
    db_session: Session, alice: User, config: Config, client: FlaskClient, admin: User, other: dict[str, Any]
) -> None:
    paid = subscription(db_session, alice, created=NOW - timedelta(days=9))
    subscription(db_session, alice, created=NOW, **other)
    assert row_of(db_session, alice).stripe_id == paid.stripe_id
    assert standing_of(db_session, config, alice).access
    assert details.subscriptions(db_session, alice)[0].stripe_id == paid.stripe_id
    sign_in(client, admin)
    listed = client.get("/admin/subscribers?status=active").text
    assert listed.count(alice.email) == 1


def test_nobody_is_spoken_for_by_somebody_elses_rows(
    db_session: Session, alice: User, bob: User, config: Config
) -> None:
    his = subscription(db_session, bob, status="past_due")
    owed(db_session, his)
    dispute(db_session, bob)
    subscription(db_session, alice)
    known = facts_of(db_session, alice)
    assert (known.owed, known.disputed, known.status) == (None, None, "active")
    assert standing_of(db_session, config, alice).code == "active"


CARD: Object = {"id": "pm_own", "type": "card", "card": {"brand": "visa", "last4": "4242"}}
DEFAULT: Object = {"id": "pm_default", "type": "card", "card": {"brand": "mastercard", "last4": "5555"}}
DEBIT: Object = {"id": "pm_debit", "type": "sepa_debit", "sepa_debit": {"last4": "3000"}}
SOURCE: Object = {"id": "card_1", "object": "card", "brand": "American Express", "last4": "0005"}
OTHER: Object = {
    "id": "src_1",
    "object": "source",
    "type": "card",
    "card": {"brand": "Visa", "last4": "0077"},
}
BANK: Object = {"id": "ba_1", "object": "bank_account", "last4": "6789"}
WALLET: Object = {"id": "pm_wallet", "type": "paypal", "paypal": {"payer_email": None}}


@pytest.mark.parametrize(
    ("own", "own_source", "default", "default_source", "said"),
    [
        (CARD, SOURCE, DEFAULT, OTHER, "Visa ending 4242"),
        (None, SOURCE, DEFAULT, OTHER, "American Express ending 0005"),
        (None, None, DEFAULT, OTHER, "Mastercard ending 5555"),
        (None, None, None, OTHER, "Visa ending 0077"),
        (DEBIT, None, DEFAULT, None, "your bank account ending 3000"),
        (None, None, None, BANK, "your bank account ending 6789"),
        (WALLET, None, CARD, None, "PayPal"),
        (None, None, None, None, None),
    ],
)
def test_the_card_shown_is_the_card_that_stripe_will_charge(
    db_session: Session,
    alice: User,
    own: Object | None,
    own_source: Object | None,
    default: Object | None,
    default_source: Object | None,
    said: str | None,
) -> None:
    customer = {
        "id": CUSTOMER,
        "object": "customer",
        "default_source": default_source,
        "invoice_settings": {"default_payment_method": default},
    }
    found = {"default_payment_method": own, "default_source": own_source, "customer": customer}
    tell(db_session, {**a_subscription(alice), **found})
    assert facts_of(db_session, alice).card == said


def test_what_is_owed_is_the_oldest_open_invoice_that_failed(
    db_session: Session, alice: User, config: Config
) -> None:
    row = subscription(db_session, alice, status="past_due", first_failed_at=NOW - timedelta(days=2))
    invoice(db_session, row, status="open", amount_remaining=100, created=NOW - timedelta(days=99))
    owed(db_session, row, amount_remaining=2900, created=NOW - timedelta(days=3))
    oldest = owed(db_session, row, amount_remaining=1234, number="A-1", created=NOW - timedelta(days=30))
    for settled in ("paid", "void", "uncollectible", "draft"):
        owed(db_session, row, status=settled, created=NOW - timedelta(days=60))
    known = facts_of(db_session, alice)
    assert (known.owed, known.owed_invoice, known.owed_number) == ("€12.34", oldest.stripe_id, "A-1")
    assert known.decline_text == "There wasn’t enough money on the card."
    assert known.next_attempt == oldest.next_payment_attempt
    assert standing_of(db_session, config, alice).code == "past_due"


def test_the_last_payment_is_the_newest_paid_invoice_of_this_plan_that_cost_something(
    db_session: Session, alice: User
) -> None:
    before = subscription(db_session, alice, status="canceled")
    row = subscription(db_session, alice)
    invoice(db_session, before, amount_paid=900, created=NOW)
    invoice(db_session, row, amount_paid=2900, created=NOW - timedelta(days=40))
    last = invoice(db_session, row, amount_paid=3000, created=NOW - timedelta(days=9), paid_at=NOW)
    invoice(db_session, row, amount_paid=0, total=0, created=NOW)
    known = facts_of(db_session, alice)
    assert (known.last_paid, known.last_paid_at) == ("€30.00", last.paid_at)


def test_a_bank_that_waits_for_a_confirmation_is_heard_though_stripe_calls_the_plan_active(
    db_session: Session, alice: User, config: Config
) -> None:
    row = subscription(db_session, alice)
    waiting = owed(db_session, row, needs_action=True)
    found = standing_of(db_session, config, alice)
    assert (found.code, found.access) == ("action_required", True)
    assert found.grace_end == waiting.first_failed_at + timedelta(days=config.grace_days)


def test_a_plan_that_is_paid_is_not_held_for_the_open_invoice_of_one_that_ended(
    db_session: Session, alice: User, config: Config
) -> None:
    gone = subscription(db_session, alice, status="canceled", cancellation_reason="payment_failed")
    owed(db_session, gone, needs_action=True, first_failed_at=NOW - timedelta(days=60))
    assert standing_of(db_session, config, alice).code == "ended_unpaid"
    subscription(db_session, alice, status="active")
    found = standing_of(db_session, config, alice)
    assert (found.code, found.access) == ("active", True)


# Every status of a dispute that Stripe has (docs.stripe.com/api/disputes/object).
OPEN = (
    "needs_response", "under_review", "warning_needs_response", "warning_under_review",
    "appeal_needs_response", "appeal_under_review",
)  # fmt: skip
CLOSED = ("won", "lost", "warning_closed", "prevented")


def test_a_dispute_is_a_fact_from_its_first_stage_to_its_last_and_then_no_more(
    db_session: Session, alice: User, config: Config
) -> None:
    subscription(db_session, alice)
    dispute(db_session, alice, status="won", created=NOW, amount=1)
    row = dispute(db_session, alice, created=NOW - timedelta(days=1), amount=1500)
    for status in (*OPEN, *CLOSED):
        row.status = status
        db_session.commit()
        said = ("€15.00", "disputed") if status in OPEN else (None, "active")
        assert (facts_of(db_session, alice).disputed, standing_of(db_session, config, alice).code) == said


def test_today_is_the_test_clocks_day_where_there_is_one(
    db_session: Session, alice: User, config: Config
) -> None:
    failed = {"status": "past_due", "test_clock": "clock_1"}
    tell(db_session, a_subscription(alice, **failed), clock=START)
    row = row_of(db_session, alice)
    assert standing_of(db_session, config, alice).now == row.clock_time
    row.first_failed_at = row.clock_time
    db_session.commit()
    for days, code in ((13, "past_due"), (14, "past_due_hold")):
        row_of(db_session, alice).clock_time = row.first_failed_at + timedelta(days=days)
        db_session.commit()
        assert standing_of(db_session, config, alice).code == code
    row_of(db_session, alice).clock_time = None
    db_session.commit()
    assert standing_of(db_session, config, alice).now == NOW


def test_each_fact_of_a_row_reaches_the_standing_as_it_is(
    db_session: Session, alice: User, config: Config
) -> None:
    pause = {"behavior": "void", "resumes_at": START + 5 * DAY}
    coming = {"kind": "scheduled", "plan": "basic", "amount": 900, "currency": "eur", "at": START + 6 * DAY}
    row = subscription(
        db_session, alice, quantity=3, cancel_at=NOW + timedelta(days=9), pause_collection=pause,
        coming=coming, trial_end=NOW + timedelta(days=2), status_reason="pause_requested",
    )  # fmt: skip
    known = facts_of(db_session, alice)
    assert (known.price, known.interval, known.plan, known.plan_title) == ("€87.00", "month", "pro", "Pro")
    assert (known.ends_at, known.trial_end) == (row.cancel_at, row.trial_end)
    assert (known.change, known.change_to, known.change_price) == ("scheduled", "Basic", "€9.00")
    assert known.change_at is not None
    assert int(known.change_at.timestamp()) == START + 6 * DAY
    assert known.pause_behavior == "void"
    assert known.pause_resumes_at is not None
    assert int(known.pause_resumes_at.timestamp()) == START + 5 * DAY
    assert (known.status_reason, known.fetched_at, known.unreachable) == ("pause_requested", NOW, False)
    row.amount = row.plan = None  # a price without a fixed sum, that our catalogue doesn't have
    db_session.commit()
    known = facts_of(db_session, alice)
    assert (known.price, known.plan, known.plan_title) == (None, None, "your plan")
    assert standing_of(db_session, config, alice).code == "unknown"


def test_that_stripe_could_not_be_reached_is_passed_on(
    db_session: Session, alice: User, config: Config
) -> None:
    subscription(db_session, alice, fetched_at=NOW - timedelta(hours=73))
    assert standing_of(db_session, config, alice).access
    found = standing_of(db_session, config, alice, unreachable=True)
    assert not found.access
    assert found.facts == replace(facts_of(db_session, alice), unreachable=True)

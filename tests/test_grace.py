"""Grace: counted from the first failure of what is unpaid, whatever else is heard and whenever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from billing import facts
from billing.clock import now
from billing.config import Config
from billing.models import Subscription, User
from billing.payloads import Object
from billing.standing import Standing
from tests.support import make_user
from tests.told import DAY, START, a_subscription, an_invoice, owing, tell

MONTH = 30 * DAY


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


@pytest.fixture
def subscription(db_session: Session, alice: User) -> Object:
    found = a_subscription(alice)
    tell(db_session, found)
    return found


def late(subscription: Object, **changes: Any) -> Object:
    return {**subscription, "status": "past_due", **changes}


def tried_at(seconds: int) -> Object:
    """An hour after it made an invoice Stripe finalises it, and so tries the card for the first time."""
    return {"created": seconds - 3600, "status_transitions": {"finalized_at": seconds, "paid_at": None}}


def paid(invoice: Object) -> Object:
    return {**invoice, "status": "paid", "amount_paid": 2900, "amount_remaining": 0}


def anchor(session: Session) -> datetime | None:
    session.rollback()
    return session.query(Subscription).one().first_failed_at


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_no_later_try_moves_the_start_of_grace(db_session: Session, subscription: Object) -> None:
    invoice = owing(subscription, 1, **tried_at(START))
    starts = []
    for attempts in (1, 2, 3, 4):
        told = {**invoice, "attempt_count": attempts}
        tell(db_session, late(subscription), told, clock=START + attempts * DAY)
        starts.append(anchor(db_session))
    assert starts == [moment(START)] * 4


def test_what_stripe_does_not_pay_by_itself_is_late_from_when_we_learn_of_it(
    db_session: Session, subscription: Object
) -> None:
    invoice = an_invoice(
        subscription, status="open", attempt_count=0, collection_method="send_invoice", **tried_at(START)
    )
    for day in (2, 9):
        tell(db_session, late(subscription), invoice, clock=START + day * DAY)
    assert anchor(db_session) == moment(START + 2 * DAY)


def test_a_payment_clears_it_and_the_next_failure_begins_anew(
    db_session: Session, subscription: Object
) -> None:
    first = owing(subscription, 1, **tried_at(START))
    tell(db_session, late(subscription), first)
    tell(db_session, subscription, paid(first))
    assert anchor(db_session) is None
    tell(db_session, late(subscription), owing(subscription, 1, **tried_at(START + MONTH)))
    assert anchor(db_session) == moment(START + MONTH)


def test_old_news_of_a_paid_invoice_takes_nothing_off_the_grace_of_the_next(
    db_session: Session, subscription: Object
) -> None:
    first = owing(subscription, 1, **tried_at(START))
    tell(db_session, late(subscription), first)
    tell(db_session, subscription, paid(first))
    second = owing(subscription, 1, **tried_at(START + MONTH))
    tell(db_session, late(subscription), paid(first), second)
    assert anchor(db_session) == moment(START + MONTH)


def test_a_payment_that_we_slept_through_still_counts(
    db_session: Session, config: Config, alice: User, subscription: Object
) -> None:
    """Late, paid, late again a month after: what was told of is the first and the last of the three."""
    first = owing(subscription, 1, **tried_at(START))
    tell(db_session, late(subscription), first)
    second = owing(subscription, 1, **tried_at(START + MONTH))
    tell(db_session, late(subscription), paid(first), second, clock=START + MONTH + DAY)
    assert anchor(db_session) == moment(START + MONTH)
    assert standing(db_session, alice, config).access


def test_of_two_unpaid_invoices_the_older_one_counts_in_whichever_order_they_are_heard_of(
    db_session: Session, subscription: Object
) -> None:
    older = owing(subscription, 4, next_payment_attempt=None, **tried_at(START))
    newer = owing(subscription, 1, **tried_at(START + MONTH))
    tell(db_session, late(subscription), newer)
    tell(db_session, late(subscription), older)
    tell(db_session, late(subscription), newer)
    assert anchor(db_session) == moment(START)


def test_grace_runs_on_through_unpaid_and_paused_and_is_no_matter_once_it_has_ended(
    db_session: Session, subscription: Object
) -> None:
    invoice = owing(subscription, 4, next_payment_attempt=None, **tried_at(START))
    kept = {}
    for status in ("past_due", "unpaid", "paused", "past_due", "canceled"):
        tell(db_session, {**subscription, "status": status}, invoice, clock=START + 20 * DAY)
        kept[status] = anchor(db_session)
    assert kept == {**dict.fromkeys(("past_due", "unpaid", "paused"), moment(START)), "canceled": None}


def test_what_is_first_heard_of_as_unpaid_is_late_since_its_first_try_and_a_pause_is_not_late(
    db_session: Session, alice: User
) -> None:
    starts = {}
    for status in ("unpaid", "paused"):
        told = a_subscription(alice, status=status)
        tell(db_session, told, owing(told, 4, next_payment_attempt=None, **tried_at(START)))
        db_session.rollback()
        starts[status] = db_session.query(Subscription).filter_by(stripe_id=told["id"]).one().first_failed_at
    assert starts == {"unpaid": moment(START), "paused": None}


def test_access_ends_with_the_grace_on_the_day_that_was_said(
    db_session: Session, config: Config, alice: User, subscription: Object
) -> None:
    invoice = owing(subscription, 1, **tried_at(START))
    codes = []
    for day in (1, 13, 14, 20):
        tell(db_session, late(subscription), invoice, clock=START + day * DAY)
        found = standing(db_session, alice, config)
        assert found.grace_end == moment(START) + timedelta(days=config.grace_days)
        codes.append((found.code, found.access))
    assert codes == [("past_due", True)] * 2 + [("past_due_hold", False)] * 2


def standing(session: Session, user: User, config: Config) -> Standing:
    session.rollback()
    return facts.standing_of(session, user.id, config, now())

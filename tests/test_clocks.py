"""Test clocks: “today” is the clock's, moves for everybody on it, and never runs back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import clocks, inbox
from billing.clock import now
from billing.extensions import db
from billing.installation import public_id
from billing.models import Subscription, User
from billing.payloads import Object
from billing.syncing import Cause, Outcome
from tests.story import DAY as A_DAY
from tests.story import shopper
from tests.support import make_event, make_user
from tests.told import DAY, START, a_subscription, tell

CLOCK = "clock_1"


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


def moves(session: Session, seconds: int, clock: str = CLOCK) -> Outcome:
    """Stripe says that a clock stands at this time."""
    found = {"id": clock, "object": "test_helpers.test_clock", "frozen_time": seconds, "status": "ready"}
    event = make_event("test_helpers.test_clock.ready", found)
    inbox.store(session, event, json.dumps(event), source="webhook", handled=True)
    outcome = clocks.write(session, found, Cause(event["id"], 1, public_id(session), now()))
    session.commit()
    return outcome


def days(session: Session) -> dict[str, float | None]:
    """The day on which each subscription is, counted from the start."""
    session.rollback()
    rows = session.execute(select(Subscription.stripe_id, Subscription.clock_time))
    return {name: (time - moment(START)).days if time else None for name, time in rows}


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def on(user: User, clock: str | None) -> Object:
    return a_subscription(user, test_clock=clock)


def test_everything_on_a_clock_moves_with_it_and_nothing_else_does(db_session: Session, alice: User) -> None:
    two, other, real = [on(alice, CLOCK), on(alice, CLOCK)], on(alice, "clock_2"), on(alice, None)
    for told in (*two, other):
        tell(db_session, told, clock=START)
    tell(db_session, real)
    assert moves(db_session, START + 5 * DAY) == Outcome(None)
    expected = {told["id"]: 5 for told in two} | {other["id"]: 0, real["id"]: None}
    assert days(db_session) == expected


def test_no_news_of_an_earlier_time_moves_anything_back(db_session: Session, alice: User) -> None:
    """The clock and the customer have a lease each: a subscription may have been fetched before its clock moved,
    and be written after."""
    told = on(alice, CLOCK)
    tell(db_session, told, clock=START)
    moves(db_session, START + 5 * DAY)
    moves(db_session, START + 3 * DAY)
    assert days(db_session) == {told["id"]: 5}
    tell(db_session, told, clock=START + 3 * DAY)
    assert days(db_session) == {told["id"]: 5}


def test_a_clock_with_nobody_of_ours_on_it_is_ignored(db_session: Session) -> None:
    assert moves(db_session, START).ignored == "no subscription of ours is on this clock"


def test_letting_time_pass_at_stripe_moves_a_persons_today(desk: Flask) -> None:
    alice = shopper(desk)
    alice.subscribe()
    assert alice.row.clock_time is None
    renewed = alice.advance_by(31 * A_DAY)
    then = alice.advance_by(3 * A_DAY)
    assert then == renewed + 3 * A_DAY
    assert alice.row.clock_time == alice.standing.now == moment(then)
    db.session.rollback()

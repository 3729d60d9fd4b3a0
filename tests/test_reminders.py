"""The ladder by time beside the ladder by tries: each stage once, whoever comes first, and none that is not true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import ladder, outbox, reminders, timetable
from billing.config import Config
from billing.extensions import db
from billing.models import Comp, Invoice, Notice, Subscription, User
from billing.payloads import Object
from local.mailsink import MailSink
from tests import admin_rows as rows
from tests.support import make_user
from tests.told import DAY, START, a_subscription, an_invoice, owing, tell

FAILED = START + 3600  # when Stripe first tried ``owing``
NO_MORE = {"next_payment_attempt": None}
HARD = {"decline": "stolen_card"}
ASKED = {"intent": "requires_action", **NO_MORE}


@pytest.fixture
def alice(db_session: Session) -> User:
    return make_user(db_session, "alice@example.com", customer="cus_alice")


@pytest.fixture
def plan(db_session: Session, alice: User) -> Object:
    found = a_subscription(alice)
    tell(db_session, found)
    return found


@pytest.fixture
def hears(db_session: Session, plan: Object) -> Callable[..., None]:
    """``hears(day, bill, status)``: Stripe tells of it on that day of its clock, and our clock does what is due."""

    def told(day: float, bill: Object, status: str = "past_due", **more: Any) -> None:
        at = FAILED + int(day * DAY) + 60
        tell(db_session, {**plan, "status": status, "latest_invoice": bill["id"], **more}, bill, clock=at)
        timetable._remind(db_session)

    return told


def owed(session: Session) -> list[tuple[str, str]]:
    session.rollback()
    rows_ = session.execute(select(Notice.kind, Notice.dedupe_key).order_by(Notice.id)).all()
    return [(kind, key.rpartition(":")[2]) for kind, key in rows_]


# Of each: the attempts, what else the invoice says, and what is owed on which days.
COURSES: dict[str, tuple[Object, dict[int, tuple[str, str]]]] = {
    "a hard decline": ({"attempts": 1, **HARD}, {0: ("dun1", "1"), 3: ("dun2", "2"), 8: ("dun3", "3"),
                                                 12: ("dun4", "4"), 14: ("dun5", "5")}),
    "the bank asks": ({"attempts": 0, **ASKED}, {0: ("action_required", "1"), 3: ("dun2", "2"), 8: ("dun3", "3"),
                                                 12: ("dun4", "4"), 14: ("dun5", "5")}),
    "no further try": ({"attempts": 1, **NO_MORE}, {0: ("dun1", "1"), 4: ("dun2", "2"), 8: ("dun3", "3"),
                                                    12: ("dun4", "4"), 14: ("dun5", "5")}),
    "tries to come": ({"attempts": 1}, {0: ("dun1", "1"), 12: ("dun4", "4"), 14: ("dun5", "5")}),
    "a first payment that came back": ({"attempts": 1, "billing_reason": "subscription_create", **NO_MORE},
                                       {0: ("dun1", "1"), 4: ("dun2", "2"), 8: ("dun3", "3")}),
    "an invoice that was sent": ({"attempts": 0, "collection_method": "send_invoice", "due_date": FAILED,
                                  "decline": None, **NO_MORE},
                                 {0: ("dun1", "1"), 3: ("dun2", "2"), 8: ("dun3", "3"), 12: ("dun4", "4"),
                                  14: ("dun5", "5")}),
}  # fmt: skip


@pytest.mark.parametrize("name", COURSES)
def test_what_stripe_will_not_try_again_is_told_of_by_the_days(
    db_session: Session, plan: Object, hears: Callable[..., None], name: str
) -> None:
    changes, days = COURSES[name]
    bill = owing(plan, **changes)
    told: list[tuple[str, str]] = []
    for day in (0, 2.9, 3, 4, 7.9, 8, 12, 14, 20):
        hears(day, bill, collection_method=bill["collection_method"])
        told += [days[int(day)]] if day in days else []
        assert owed(db_session) == told, f"day {day}"


def test_stripes_count_says_nothing_where_it_does_not_try(
    db_session: Session, plan: Object, hears: Callable[..., None]
) -> None:
    """After a hard decline it counts on; nobody reads that a card was tried again which wasn't."""
    bill = owing(plan, 1, **HARD)
    for attempts in (1, 2, 3, 4):
        hears(1, {**bill, "attempt_count": attempts})
    assert owed(db_session) == [("dun1", "1")]


def test_after_a_long_sleep_of_the_clock_only_what_is_so_now_is_said(
    db_session: Session, config: Config, mails: MailSink, plan: Object, hears: Callable[..., None]
) -> None:
    hears(0, owing(plan, 1, id="in_slept", **HARD))
    hears(13.5, owing(plan, 1, id="in_slept", **HARD))
    outbox.send_due(db_session, config)
    assert owed(db_session) == [("dun1", "1"), ("dun4", "4")]
    [sent] = mails.messages
    assert sent.subject == "[Test] 1 day left to keep your Pro plan"


def test_a_stage_by_tries_and_by_time_at_once_and_the_last_one_among_them_are_one_row_each(
    app: Flask, db_session: Session, config: Config, mails: MailSink, plan: Object
) -> None:
    """Day 4, no try to come: two workers tell of the second attempt while two clocks find the same stage due."""
    bill, start = owing(plan, 1, **NO_MORE), threading.Barrier(4)
    tell(db_session, {**plan, "status": "past_due"}, bill, clock=FAILED + 3 * DAY)
    at = FAILED + 4 * DAY + 60
    row = db_session.query(Subscription).one()
    row.clock_time = datetime.fromtimestamp(at, UTC)
    db_session.commit()

    def worker() -> None:
        start.wait(30)
        for _ in range(3):
            tell(db.session(), {**plan, "status": "past_due"}, {**bill, "attempt_count": 2}, clock=at)

    def clock() -> None:
        start.wait(30)
        for _ in range(3):
            timetable._remind(db.session())

    def inside(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with app.app_context():
                work()

        return run

    threads = [threading.Thread(target=inside(work)) for work in (worker, clock, worker, clock)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox.send_due(db_session, config)
    assert owed(db_session) == [("dun1", "1"), ("dun2", "2")]
    assert len(mails.messages) == 1


def test_an_earlier_stage_that_is_heard_of_late_is_not_said_after_a_later_one(
    db_session: Session, plan: Object, hears: Callable[..., None]
) -> None:
    bill = owing(plan, 1)
    hears(12, bill)
    for attempts in (3, 2, 1):
        hears(12.5, {**bill, "attempt_count": attempts})
    assert owed(db_session) == [("dun1", "1"), ("dun4", "4")]


# What becomes of it between queueing and leaving, at Stripe; and what leaves then.
ENDS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "paid": ({"status": "active"}, {"status": "paid", "amount_paid": 2900, "amount_remaining": 0}, []),
    "void": ({"status": "active"}, {"status": "void"}, []),
    "uncollectible": ({}, {"status": "uncollectible"}, []),
    "canceled by the person": (
        {"status": "canceled", "ended_at": FAILED + DAY, "cancellation_details": {"reason": "cancellation_requested"}},
        {},
        ["ended"],
    ),
    "unpaid": ({"status": "unpaid"}, {}, ["dun5"]),
    "paused for it": (
        {"status": "paused", "status_details": {"paused": {"subscription": {"type": "final_payment_failure"}}}},
        {},
        ["dun5"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("end", "day"), list(zip(ENDS, [0, 3, 8, 12, 3, 12], strict=True)))
def test_no_notice_of_any_stage_leaves_once_there_is_nothing_to_pay_in_time(
    db_session: Session,
    config: Config,
    mails: MailSink,
    plan: Object,
    hears: Callable[..., None],
    day: int,
    end: str,
) -> None:
    bill = owing(plan, 1, **HARD)
    hears(day, bill)
    queued = owed(db_session)[-1][0]
    changed, settled, leaves = ENDS[end]
    hears(day + 0.1, {**bill, **settled}, **{"status": "past_due", **changed})
    outbox.send_due(db_session, config)
    sent = db_session.execute(select(Notice.kind).where(Notice.state == "sent")).scalars().all()
    assert queued not in sent
    assert [kind for kind in sent if kind not in ("receipt", "recovered")] == leaves


def test_the_last_days_are_not_said_when_they_are_over_and_the_end_not_when_it_was_mended(
    db_session: Session, config: Config, mails: MailSink, plan: Object, hears: Callable[..., None]
) -> None:
    bill = owing(plan, 1)
    hears(13, bill)
    hears(14.1, bill)
    assert owed(db_session) == [("dun1", "1"), ("dun4", "4"), ("dun5", "5")]
    hears(14.2, an_invoice(plan, id=bill["id"]), status="active")
    outbox.send_due(db_session, config)
    assert mails.messages == [] or ["Receipt" in one.subject for one in mails.messages] == [True]


def test_a_second_unpaid_invoice_has_its_own_notices_and_access_ends_only_once(
    db_session: Session, plan: Object, hears: Callable[..., None]
) -> None:
    old = owing(plan, 4, **NO_MORE)
    hears(14, old)
    new = owing(plan, 1, status_transitions={"finalized_at": FAILED + 30 * DAY, "paid_at": None}, **NO_MORE)
    told = owed(db_session)
    for day in (30, 34, 38, 60):
        hears(day, new)
    assert told == [("dun3", "3"), ("dun5", "5")]
    assert owed(db_session) == [*told, ("dun1", "1"), ("dun2", "2"), ("dun3", "3")]


def test_whoever_was_given_access_does_not_read_that_it_has_ended(
    db_session: Session,
    config: Config,
    mails: MailSink,
    alice: User,
    plan: Object,
    hears: Callable[..., None],
) -> None:
    given = Comp(
        user_id=alice.id,
        plan="pro",
        until=rows.NOW + timedelta(days=3650),
        reason="friend",
        given_by=alice.id,
    )
    rows.add(db_session, given)
    hears(11, owing(plan, 4, **NO_MORE), status="unpaid")
    outbox.send_due(db_session, config)
    text = " ".join(mails.messages[-1].text.split())
    assert "It stopped on" in text
    assert "so did your access" not in text


def test_a_clock_that_finds_nothing_new_writes_nothing(
    db_session: Session, plan: Object, hears: Callable[..., None]
) -> None:
    hears(8, owing(plan, 1, **HARD))
    with rows.queries() as asked:
        timetable._remind(db_session)
    assert [one for one in asked if not one.startswith("SELECT")] == []
    assert reminders.due(db_session) == []


def test_short_days_of_grace_leave_out_what_has_no_room(
    app: Flask, db_session: Session, plan: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(db_session, {**plan, "status": "past_due"}, owing(plan, 1, **NO_MORE))
    bill, row = db_session.query(Invoice).one(), db_session.query(Subscription).one()
    began, config = datetime.fromtimestamp(FAILED, UTC), app.extensions["config"]
    for grace, stages in (
        (0, [1, 2, 3]),
        (1, [1, 5]),
        (3, [1, 4, 5]),
        (7, [1, 2, 4, 5]),
        (30, [1, 2, 3, 4, 5]),
    ):
        monkeypatch.setitem(app.extensions, "config", replace(config, grace_days=grace))
        found = [ladder.by_time(bill, row, began + timedelta(hours=hours)) for hours in range(0, 24 * 35, 4)]
        assert [one for at, one in enumerate(found) if at == 0 or one != found[at - 1]] == stages, grace

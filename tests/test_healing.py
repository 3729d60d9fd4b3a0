"""Each pass of the reconciler is written down: what it missed, what it healed, what stopped it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text, update

from billing import healing, timetable
from billing.clock import now
from billing.errors import StripeUnavailable
from billing.extensions import db
from billing.models import AuditEntry, Notice, Subscription, SyncRun
from tests import admin_rows as rows
from tests.histories import cursor_at
from tests.registry import over_a_wire
from tests.snapshots import Moments
from tests.story import HOUR, Shopper, config_of, count, shopper
from tests.support import make_user, wait_until
from tests.wire import error


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask, moments: Moments) -> Shopper:
    """Stripe's list begins now, in a second of its own: what is older is the catalogue."""

    def prepare() -> Shopper:
        began = int(time.time())
        wait_until(lambda: int(time.time()) > began, "the next second")
        cursor_at(HOUR)
        alice = shopper(desk)
        alice.subscribe()
        return alice

    return moments.of("alice", prepare)


def pass_(person: Shopper, actor: str = "clock", *, full: bool = False) -> SyncRun:
    return healing.make(db.session(), config_of(person.desk), actor, full=full)


def test_a_pass_over_what_is_right_says_that_nothing_was_healed(alice: Shopper) -> None:
    run = pass_(alice)
    assert (run.missed, run.looked, run.healed, run.problem) == (0, 0, 0, None)
    assert run.asked_at <= run.started_at <= run.ended_at  # type: ignore[operator]


def test_a_pass_counts_what_it_healed_and_one_or_two_alarm_nobody(alice: Shopper) -> None:
    make_user(db.session(), "admin@example.com", is_admin=True)
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    run = pass_(alice)
    assert (run.missed, run.looked, run.healed) == (1, 0, 1)
    assert alice.row.status == "canceled"
    assert count(AuditEntry, kind="reconciler.drift") == 0
    assert count(Notice, kind="admin_alert") == 0


def test_a_pass_that_healed_much_tells_the_admins_once(alice: Shopper) -> None:
    make_user(db.session(), "admin@example.com", is_admin=True)
    people = [alice, *(shopper(alice.desk, f"person{n}@example.com") for n in range(5))]
    for person in people[1:]:
        person.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    for person in people:
        alice.sandbox.stripe.subscriptions.cancel(person.row.stripe_id)
    run = pass_(alice)
    assert run.healed == 6
    [entry] = db.session.query(AuditEntry).filter_by(kind="reconciler.drift")
    assert (entry.alert, entry.subject) == (True, f"run {run.id}: 6 rows")
    [mail] = db.session.query(Notice).filter_by(kind="admin_alert")
    assert mail.facts["what"] == "The reconciler had much to heal"
    assert pass_(alice).healed == 0
    assert count(AuditEntry, kind="reconciler.drift") == 1


def test_a_pass_that_stripe_stopped_says_why_and_the_error_goes_on(alice: Shopper) -> None:
    with over_a_wire(alice.desk, alice.sandbox) as wire:
        wire.answer = lambda sent: error(500)
        with pytest.raises(StripeUnavailable):
            pass_(alice)
    [run] = db.session.query(SyncRun)
    assert run.ended_at is not None
    assert run.problem is not None
    assert run.problem.startswith("Stripe answered 500")


def test_a_pass_that_was_asked_for_is_made_once_by_the_clock(alice: Shopper) -> None:
    session = db.session()
    first, second = healing.ask(session, "admin:1"), healing.ask(session, "admin:2")
    session.commit()
    assert first is second
    pass_(alice, full=True)
    [duty] = [duty for duty in timetable.duties() if duty.name == "reconcile"]
    for _ in range(2):
        duty.work(session, config_of(alice.desk))
    [run] = session.query(SyncRun).filter(SyncRun.actor != "clock")
    assert (run.actor, run.problem, run.ended_at is not None) == ("admin:1", None, True)


EMPTY: list[Any] = []


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        (EMPTY, True),
        ([("full", 59)], None),
        ([("full", 61)], False),
        ([("full", 61), ("hourly", 59)], None),
        ([("full", 23 * 60 + 59), ("hourly", 59)], None),
        ([("full", 24 * 60 + 1), ("hourly", 59)], True),
        ([("full", 61), ("failed", 4)], None),
        ([("full", 61), ("failed", 6)], False),
        ([("failed", 6)], True),
        ([("cut off", 6)], True),
        ([("full", 30), ("cut off", 6)], None),
    ],
)
def test_which_pass_is_due_is_told_by_those_that_ended_not_by_when_the_clock_began(
    app: Flask, ended: list[tuple[str, int]], due: bool | None
) -> None:
    """Minutes since each ended; one that was cut off only began."""
    for kind, minutes in ended:
        moment = now() - timedelta(minutes=minutes)
        run = SyncRun(actor="clock", full=kind == "full", started_at=moment)
        run.ended_at = None if kind == "cut off" else moment
        run.problem = "Stripe answered nothing" if kind == "failed" else None
        db.session.add(run)
    db.session.commit()
    assert healing.due(db.session()) is due


def test_a_clock_that_starts_again_and_again_makes_no_pass_for_that(alice: Shopper) -> None:
    for _ in range(3):
        [duty] = [duty for duty in timetable.duties() if duty.name == "reconcile"]
        duty.work(db.session(), config_of(alice.desk))
    [run] = db.session.query(SyncRun)
    assert (run.actor, run.full, run.problem) == ("clock", True, None)


def test_reports_are_kept_for_some_months(alice: Shopper) -> None:
    old, kept = pass_(alice).id, pass_(alice).id
    db.session.execute(
        update(SyncRun).where(SyncRun.id == old).values(asked_at=text("now() - interval '91 days'"))
    )
    healing.forget_old(db.session())
    db.session.commit()
    assert [run.id for run in db.session.query(SyncRun)] == [kept]


def test_an_admin_asks_for_a_pass_and_sees_what_it_found(
    alice: Shopper, sign_in: Callable[..., None]
) -> None:
    client = alice.desk.test_client()
    sign_in(client, make_user(db.session(), "admin@example.com", is_admin=True))
    assert "There was no pass yet." in client.get("/admin/reconciler").text
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    answer = rows.press(client, "/admin/reconciler")
    assert (answer.status_code, answer.location) == (303, "/admin/reconciler")
    page = client.get("/admin/reconciler").text
    assert "The reconciler was asked." in page
    assert "waiting" in page
    assert alice.row.status == "active"
    healing.make_asked(db.session(), config_of(alice.desk))
    page = client.get("/admin/reconciler").text
    assert "by an admin" in page
    [missed, compared, looked, healed] = re.findall(r"</span> (\d+)</td>", page)[:4]
    assert (missed, int(compared) > 0, looked, healed) == ("1", True, "0", "1")
    assert "healed" in page
    assert count(AuditEntry, kind="reconciler.asked") == 1


def test_a_pass_that_was_killed_is_shown_as_cut_off(desk: Flask, sign_in: Callable[..., None]) -> None:
    client = desk.test_client()
    sign_in(client, make_user(db.session(), "admin@example.com", is_admin=True))
    for started in (now() - timedelta(minutes=5), now() - timedelta(hours=2)):
        db.session.add(SyncRun(actor="clock", started_at=started))
        db.session.commit()
    words = re.findall(r'data-glyph="[^"]*">([^<]*)</span>', client.get("/admin/reconciler").text)
    assert words == ["cut off", "looking"]
    assert count(Subscription) == 0


def test_an_admin_sees_of_each_pass_which_rows_were_healed_before_and_after(
    alice: Shopper, sign_in: Callable[..., None]
) -> None:
    client = alice.desk.test_client()
    sign_in(client, make_user(db.session(), "admin@example.com", is_admin=True))
    pass_(alice)
    cursor_at(24 * HOUR)
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    db.session.execute(text("update invoices set stripe_id = 'in_a'"))
    db.session.commit()
    healed, cause = pass_(alice, full=True).id, alice.row.cause_event_id
    cursor_at(24 * HOUR)
    clean = pass_(alice).id
    listed = client.get("/admin/reconciler").text
    assert f'href="/admin/reconciler/{healed}"' in listed
    assert "by itself, everything" in listed
    assert "by itself, what runs and is recent" in listed
    page = client.get(f"/admin/reconciler/{healed}").text
    told, _, changed = page.partition("What it healed")
    assert re.findall(r"<code>(.*?)</code>", told) == ["in_a"]
    rows = re.findall(
        r"<code>(.*?)</code>.*?before:</span> (.*?)</td>.*?after:</span> (.*?)</td>", changed, re.S
    )
    assert (alice.row.stripe_id, "active", "canceled") in rows
    assert f"/admin/events/{cause}" in changed
    assert f"/admin/subscribers/{alice.id}" in changed
    assert "Nothing: every row was as Stripe says." in client.get(f"/admin/reconciler/{clean}").text
    waiting = healing.ask(db.session(), "admin:1")
    db.session.commit()
    for number in (waiting.id, 10**9):
        assert client.get(f"/admin/reconciler/{number}").status_code == 404

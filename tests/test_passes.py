"""Passes of the reconciler: after an outage, beside others, killed, and on a database that was restored."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import make_url

from billing import healing
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeEvent, Subscription, SyncRun
from billing.subscriptions import TRANSITIONS
from tests.conftest import dispose
from tests.histories import History, at_stripe, cursor_at, with_us
from tests.processes import command, running
from tests.registry import over_a_wire
from tests.story import FAILS_LATER, HOUR, Shopper, apply_all, catch_up, config_of, count, shopper
from tests.support import Databases, wait_until
from tests.test_cli import flask, said
from tests.told import DAY
from tests.wire import Reply, Sent


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


def a_week_unheard(desk: Flask) -> Shopper:
    """Alice's renewal failed, days went by, and nothing of it reached us."""
    alice = shopper(desk)
    alice.subscribe()
    alice.use_card(FAILS_LATER)
    alice.sandbox.control("trouble", delivery="drop")
    for _ in range(5):
        passed = alice.sandbox.control(f"customers/{alice.customer}/advance", to="next")
    assert passed["now"] - int(alice.row.current_period_end.timestamp()) > 3 * DAY  # type: ignore[union-attr]
    assert alice.row.status == "active"
    return alice


@pytest.mark.parametrize("cursor", [None, 400 * DAY])
def test_after_an_outage_one_command_brings_everything_by_events_or_without_any(
    desk: Flask, cursor: int | None
) -> None:
    """The second time Stripe's list is empty, as it is of what is more than 30 days old."""
    cursor_at(cursor)
    alice = a_week_unheard(desk)
    [line] = said(flask(desk, "sync all"))
    assert line.startswith("0 missed") == (cursor is not None)
    assert with_us(alice) == at_stripe(alice)
    assert (alice.row.status, alice.standing.code) == ("past_due", "past_due")
    [mail] = db.session.query(Notice).filter(Notice.kind.like("dun%"))
    assert mail.facts["stage"] == alice.invoices[-1].attempt_count, "what is so now, not each step on the way"
    [line] = said(flask(desk, "sync all"))
    assert line.endswith("0 looked at again, 0 rows healed.")


def test_a_dry_run_of_all_says_what_differs_without_an_event_and_changes_nothing(desk: Flask) -> None:
    cursor_at(24 * HOUR)
    alice = shopper(desk)
    alice.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    stripe_id = alice.invoices[0].stripe_id
    db.session.execute(text("update invoices set stripe_id = 'in_a', number = 'wrong'"))
    db.session.commit()
    stored = count(StripeEvent)
    lines = said(flask(desk, "sync all --dry-run"))
    assert f"subscriptions {alice.row.stripe_id}: status active → canceled" in lines
    assert "invoice in_a: row there → removed (nothing at Stripe)" in lines
    assert f"invoices {stripe_id}: would be made (paid)" in lines
    assert (alice.row.status, count(StripeEvent)) == ("active", stored)


def test_two_passes_beside_late_and_doubled_webhooks_do_each_thing_once(desk: Flask) -> None:
    cursor_at(None)
    alice = shopper(desk)
    told = History(desk)
    alice.pay(alice.order())
    alice.use_card(FAILS_LATER)
    for _ in range(4):
        alice.sandbox.control(f"customers/{alice.customer}/advance", to="next")
    news = told.news()
    late = random.Random(4).sample(news * 2, len(news) * 2)

    def in_its_own_context(work: Any) -> None:
        with desk.app_context():
            work()

    def pass_() -> None:
        healing.make(db.session(), config_of(desk), "clock", full=True)

    with ThreadPoolExecutor(4) as pool:
        works = [pass_, pass_, lambda: told.deliver(late), apply_all]
        for done in [pool.submit(in_its_own_context, work) for work in works]:
            done.result(timeout=120)
    apply_all()
    assert with_us(alice) == at_stripe(alice)
    assert (alice.row.status, count(Subscription)) == ("past_due", 1)
    changes = db.session.query(AuditEntry).filter_by(kind="subscription.status").order_by(AuditEntry.id).all()
    steps = [((entry.before or {}).get("status"), entry.after["status"]) for entry in changes]  # type: ignore[index]
    assert [after for _, after in steps[:-1]] == [before for before, _ in steps[1:]], (
        "each begins where the last ended"
    )
    assert all(after in TRANSITIONS[before] for before, after in steps)
    fences = [invoice.fetch_no for invoice in alice.invoices] + [alice.row.fetch_no]
    assert max(fences) == alice.row.fetch_no
    kinds = [notice.kind for notice in db.session.query(Notice).filter(Notice.kind.like("dun%"))]
    assert len(kinds) == len(set(kinds)) > 0


def test_a_pass_that_is_killed_in_the_middle_is_simply_made_again(desk: Flask) -> None:
    cursor_at(24 * HOUR)
    people = [shopper(desk, f"person{number}@example.com") for number in range(3)]
    for person in people:
        person.subscribe()
    sandbox = people[0].sandbox
    sandbox.control("trouble", delivery="drop")
    for person in people:
        sandbox.stripe.subscriptions.update(person.row.stripe_id, {"cancel_at_period_end": True})
    middle, go_on = threading.Event(), threading.Event()
    with over_a_wire(desk, sandbox) as wire:

        def hold_the_second(sent: Sent) -> Reply | None:
            looks = [one for one in wire.seen if one.path.startswith("/v1/subscriptions/")]
            if len(looks) > 1:
                middle.set()
                go_on.wait(60)
                return None
            return wire.pass_on(sent)

        wire.answer = hold_the_second
        db.session.remove()
        with running([*command("sync"), "all"], config_of(desk), STRIPE_API_BASE=wire.url) as process:
            wait_until(lambda: middle.is_set() or process.poll() is not None, "the second look", seconds=90)
            process.kill()
            process.wait(timeout=20)
            go_on.set()
    assert sorted(person.row.cancel_at_period_end for person in people) == [False, False, True]
    db.session.execute(text("update leases set until = now() - interval '1 s'"))  # the dead one's run out
    db.session.commit()
    run = healing.make(db.session(), config_of(desk), "operator", full=True)
    assert [person.row.cancel_at_period_end for person in people] == [True, True, True]
    assert run.healed == 2
    assert count(Notice, kind="cancel_set") == 3
    assert [one.ended_at is None for one in db.session.query(SyncRun).order_by(SyncRun.id)] == [True, False]


def test_a_database_restored_from_an_older_copy_is_healed_by_one_pass(
    desk: Flask, databases: Databases
) -> None:
    """What was lost: events that were answered 2xx, a customer with what they bought, and the intents of it all.

    Before anything starts again, the numbers are moved on, as docs/deploy.md says.
    """
    cursor_at(None)
    alice, bob = shopper(desk), shopper(desk, "bob@example.com")
    alice.subscribe()
    name = make_url(config_of(desk).database_url).database or ""
    ours, older = name.rpartition("_")[0], "dunlin_older"
    db.session.remove()
    dispose()
    databases.create(older, ours)
    bob.subscribe()
    alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
    catch_up(desk)
    customer = bob.customer
    assert (alice.row.status, bob.row.status) == ("canceled", "active")
    db.session.remove()
    dispose()
    databases.create(ours, older)
    databases.drop(older)
    for table in ("users", "checkout_sessions"):
        most = f"(select coalesce(max(id), 0) + 100000 from {table})"
        db.session.execute(text(f"select setval(pg_get_serial_sequence('{table}', 'id'), {most})"))
    db.session.execute(text("update leases set fence = fence + 100000"))
    db.session.commit()
    assert (alice.row.status, bob.subscription, bob.customer) == ("active", None, "")
    run = healing.make(db.session(), config_of(desk), "operator", full=True)
    assert run.healed >= 3
    for person, status in ((alice, "canceled"), (bob, "active")):
        assert with_us(person) == at_stripe(person)
        assert person.row.status == status
    assert bob.customer == customer
    assert count(AuditEntry, kind="customer.found_again") == 1

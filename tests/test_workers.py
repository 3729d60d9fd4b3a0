"""Workers die, sleep and work side by side: no event is lost, none is applied twice, no older state wins."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from flask import Flask
from sqlalchemy.engine import make_url

from billing import claims, jobs, leases
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeEvent, Subscription
from tests.histories import about, later
from tests.processes import running
from tests.registry import over_a_wire
from tests.story import Shopper, apply_all, config_of, count, events, shopper
from tests.support import deliver, wait_until
from tests.wire import Held, Reply, Sent, Wire

LOCK = 11
Place = Callable[[Flask, Wire], AbstractContextManager[Callable[[], bool]]]
ANSWER = "from app import create_app; from billing import jobs\nwith create_app().app_context(): jobs.answer_bell()"
# The clock's sweep without its other lanes: what the reconciler is at would be taken for it.
SWEEP = """import time
from app import create_app
from billing import jobs
from billing.extensions import db
with create_app().app_context():
    while True:
        jobs.apply_due(db.session())
        time.sleep(0.1)
"""
# Until a claim and a lease of somebody who died are over.
CLAIM_OVER = claims.CLAIM.total_seconds() + 1


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    """Somebody who has just paid. Nothing of it is applied."""
    found = shopper(desk)
    assert found.pay(found.order()).status == 303
    found.sandbox.flush()
    db.session.rollback()  # a transaction that waits for another process too long is ended by the server
    return found


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        yield found


def pending(**is_: str) -> int:
    """Ends its transaction: one that stays open would hold up whoever changes the table."""
    found = count(StripeEvent, state=StripeEvent.PENDING, **is_)
    db.session.rollback()
    return found


@contextmanager
def asking(desk: Flask, wire: Wire) -> Iterator[Callable[[], bool]]:
    """A worker comes as far as Stripe's answer."""
    held = Held(wire)
    yield held.arrived.is_set
    held.go.set()


@contextmanager
def writing(desk: Flask, wire: Wire) -> Iterator[Callable[[], bool]]:
    """A worker comes as far as the last statement before its commit, and stands still in the database."""
    address = config_of(desk).database_url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK])
        other.execute(
            "create function stand_still() returns trigger language plpgsql as $$ begin"
            " perform set_config('lock_timeout', '0', true); perform set_config('statement_timeout', '0', true);"
            f" perform pg_advisory_xact_lock({LOCK}); return new; end $$"
        )
        other.execute(
            "create trigger stand_still before update on stripe_events for each row"
            " when (new.state = 'applied') execute function stand_still()"
        )
        waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        yield lambda: other.execute(waits).fetchone() == (1,)
        other.execute("select pg_advisory_unlock(%s)", [LOCK])
        wait_until(lambda: other.execute(waits).fetchone() == (0,), "the dead worker's connection to end")
        other.execute("drop function stand_still cascade")


@pytest.mark.parametrize("place", [asking, writing], ids=["waiting for Stripe", "about to commit"])
def test_a_worker_that_is_killed_leaves_everything_to_the_next_one(
    desk: Flask, alice: Shopper, wire: Wire, place: Place
) -> None:
    [plan] = {event.subject for event in events(type="customer.subscription.created")}
    before = pending(subject=plan)
    sweeper = running(["-c", SWEEP], config_of(desk), STRIPE_API_BASE=wire.url)
    with place(desk, wire) as there, sweeper as worker:
        wait_until(lambda: there() or worker.poll() is not None, "the worker to be there")
        assert worker.poll() is None
    wire.answer = wire.pass_on
    assert (pending(subject=plan), count(Subscription), count(Notice)) == (before, 0, 0)
    assert jobs.apply_due(db.session()) == 0, "nobody knows yet that the worker is dead"
    later(CLAIM_OVER)
    apply_all()
    assert (alice.row.status, pending()) == ("active", 0)
    assert (count(Notice), count(AuditEntry, kind="subscription.status")) == (1, 1)


def test_no_transaction_is_open_while_stripe_is_asked(desk: Flask, alice: Shopper, wire: Wire) -> None:
    """The server would end it after some seconds, and it would hold up whoever changes the table."""
    idle = "select count(*) from pg_stat_activity where datname = %s and state like 'idle in%%'"
    url, asked = make_url(config_of(desk).database_url), []
    address = url.set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(address, autocommit=True) as other:

        def look(sent: Sent) -> Reply | None:
            asked.append((sent.path.split("/")[2], other.execute(idle, [url.database]).fetchone()))
            return wire.pass_on(sent)

        wire.answer = look
        apply_all()
    assert {"subscriptions", "payment_intents", "checkout"} <= {kind for kind, _ in asked}
    assert [one for one in asked if one[1] != (0,)] == []


def test_a_worker_that_slept_too_long_puts_no_older_state_over_a_newer_one(
    app: Flask, desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """It asked while the plan ran, was replaced before it wrote, and wakes up when the plan is set to end."""
    held = Held(wire)
    [plan] = {event.subject for event in events(type="customer.subscription.created")}
    with ThreadPoolExecutor(1) as pool:
        sleeper = pool.submit(apply_elsewhere, desk)
        assert held.arrived.wait(30)
        later(leases.SECONDS + 1)
        alice.sandbox.stripe.subscriptions.update(plan, {"cancel_at_period_end": True})
        deliver(desk, about(alice, plan))
        assert jobs.apply_due(db.session()) > 0
        newer = alice.row.fetch_no
        held.go.set()
        sleeper.result(timeout=30)
    assert (alice.standing.code, alice.row.fetch_no) == ("canceling", newer)
    # its claim was over with its lease, so the other one applied what it had; it took nothing of that back
    asleep = events(type="customer.subscription.created")
    assert [(event.state, event.attempts) for event in asleep] == [(StripeEvent.APPLIED, 1)]
    later(CLAIM_OVER)
    apply_all()
    assert (alice.standing.code, pending()) == ("canceling", 0)


def test_a_process_that_was_stopped_and_goes_on_later_writes_nothing_over_what_came_meanwhile(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """SIGSTOP with Stripe's answer on its way, SIGCONT when others have long been at work."""
    [plan] = {event.subject for event in events(type="customer.subscription.created")}
    held = Held(wire)
    db.session.rollback()  # a transaction that stays open while a process starts would be ended
    with running(["-c", SWEEP], config_of(desk), STRIPE_API_BASE=wire.url) as worker:
        wait_until(lambda: held.arrived.is_set() or worker.poll() is not None, "the worker to ask Stripe")
        worker.send_signal(signal.SIGSTOP)
        held.go.set()
        later(CLAIM_OVER)
        alice.sandbox.stripe.subscriptions.update(plan, {"cancel_at_period_end": True})
        apply_all()
        newer = alice.row.fetch_no
        worker.send_signal(signal.SIGCONT)
        deliver(desk, about(alice, plan))
        # it sweeps again, and goes on with a lease of its own, and asks Stripe anew
        wait_until(lambda: pending(subject=plan) == 0, "the worker to go on")
    assert (alice.standing.code, alice.row.fetch_no > newer) == ("canceling", True)
    assert count(AuditEntry, kind="subscription.status") == 1
    assert count(AuditEntry, kind="subscription.changed") == 0, "the older state was written for a while"
    assert {event.attempts for event in events(subject=plan) if event.applied_at} == {1}, "not by its fence"


def apply_elsewhere(desk: Flask) -> int:
    with desk.app_context():
        return jobs.apply_due(db.session())


def test_workers_side_by_side_share_the_work_and_do_none_of_it_twice(desk: Flask, wire: Wire) -> None:
    people = [shopper(desk, f"person{number}@example.com") for number in range(4)]
    for person in people:
        assert person.pay(person.order()).status == 303
    people[0].sandbox.flush()
    due, start = pending(), threading.Barrier(3)

    def work() -> int:
        start.wait(30)
        return apply_elsewhere(desk)

    with ThreadPoolExecutor(3) as pool:
        done = [each.result(timeout=60) for each in [pool.submit(work) for _ in range(3)]]
    apply_all()
    assert sum(done) >= due
    assert [person.row.status for person in people] == ["active"] * 4
    applied = [event for event in events() if event.applied_at]
    assert (pending(), {event.attempts for event in applied}) == (0, {1})
    assert (count(Notice), count(AuditEntry, kind="subscription.status")) == (4, 4)


def test_events_of_somebody_whom_another_worker_has_are_put_back_and_applied_after(
    desk: Flask, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # only a time is changed: how long a worker stands before a lease that somebody has
    monkeypatch.setattr(jobs, "LEASE_WAIT_SECONDS", 0.1)
    lease = leases.take(db.session(), alice.customer)
    assert lease is not None
    jobs.apply_due(db.session())
    assert alice.subscription is None
    waiting = events(state=StripeEvent.PENDING)
    assert {(event.attempts, event.lease_until, event.reason) for event in waiting} == {(0, None, None)}
    leases.free(db.session(), lease)
    later(2)
    apply_all()
    assert (alice.row.status, pending()) == ("active", 0)


def test_answering_the_bell_applies_and_mails_what_is_due(desk: Flask, alice: Shopper) -> None:
    """In a process of its own: the worker's child leaves its parent's connections open, which a test may not."""
    with running(["-c", ANSWER], config_of(desk)) as worker:
        said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, said.decode()
    assert (alice.row.status, pending(), alice.mails()) == ("active", 0, ["receipt"])

"""Who has an event: a claim is renewed by whoever lives, proves what it holds, and is taken over from the dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing import claims, jobs
from billing.claims import Due
from billing.errors import StripeRefused
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeEvent, Subscription
from billing.syncing import Outcome
from tests.admin_rows import stripe_event
from tests.histories import later
from tests.story import Shopper, apply_all, count, events, shopper
from tests.watching import Lines


def claimed(session: Session) -> list[Due]:
    return claims.claim_due(session, jobs.HANDLERS)


def seconds_left(session: Session) -> float:
    left = func.extract("epoch", StripeEvent.lease_until - func.clock_timestamp())
    found = session.execute(select(left)).scalar_one()
    session.rollback()
    return float(found)


def runs_out(session: Session) -> None:
    """So much time passes that every claim is over."""
    session.execute(text("update stripe_events set lease_until = clock_timestamp() - interval '1 second'"))
    session.commit()


@pytest.fixture
def one(db_session: Session) -> StripeEvent:
    return stripe_event(db_session, state=StripeEvent.PENDING)


def test_a_renewed_claim_begins_anew_and_nobody_else_gets_the_event(
    db_session: Session, one: StripeEvent
) -> None:
    mine = claimed(db_session)
    db_session.execute(text("update stripe_events set lease_until = lease_until - interval '30 seconds'"))
    db_session.commit()
    old = [event._replace(lease_until=events()[0].lease_until) for event in mine]
    assert seconds_left(db_session) < 11
    [renewed] = claims.renew(db_session, old)
    assert seconds_left(db_session) > 30
    assert claimed(db_session) == []
    assert claims.renew(db_session, [renewed]) != []


def test_whoever_was_replaced_neither_renews_nor_gives_back_nor_counts_a_failure(
    db_session: Session, one: StripeEvent
) -> None:
    """Else an event that the heir applied would be tried again, and parked after enough of that."""
    stale = claimed(db_session)
    runs_out(db_session)
    heir = claimed(db_session)
    assert [event.event_id for event in heir] == [one.event_id]
    assert claims.renew(db_session, stale) == []
    claims.put_back(db_session, stale)
    assert claimed(db_session) == []
    claims.mark(db_session, [one.event_id], Outcome(None), took_ms=1)
    db_session.commit()
    for _ in range(claims.MAX_ATTEMPTS):
        claims.retry_later(db_session, stale, StripeRefused("Stripe answered 404"), took_ms=1)
    [event] = events()
    assert (event.state, event.attempts, event.reason) == (StripeEvent.APPLIED, 1, None)


def test_what_another_worker_took_over_is_left_out_of_the_batch(desk: Flask) -> None:
    alice = shopper(desk)
    assert alice.pay(alice.order()).status == 303
    alice.sandbox.flush()
    waiting = claims.claim_due(db.session(), jobs.HANDLERS)
    assert waiting
    runs_out(db.session())
    heirs = claims.claim_due(db.session(), jobs.HANDLERS)
    for event in waiting:
        jobs._apply_group(db.session(), event.lease_name, [event], float("inf"))
    assert (alice.subscription, {event.attempts for event in events(state=StripeEvent.PENDING)}) == (
        None,
        {0},
    )
    for event in heirs:
        jobs._apply_group(db.session(), event.lease_name, [event], float("inf"))
    assert alice.row.status == "active"


@contextmanager
def troubled(statement: str, each: str = "insert or update on subscriptions for each row") -> Iterator[None]:
    """Every write of a subscription, or whatever else, ends in this, raised by the database itself."""
    session = db.session()
    session.execute(
        text(
            "create function trouble() returns trigger language plpgsql as $$ begin"
            f" {statement}; return new; end $$"
        )
    )
    session.execute(text(f"create trigger trouble before {each} execute function trouble()"))
    session.commit()
    try:
        yield
    finally:
        session.rollback()
        session.execute(text("drop function trouble cascade"))
        session.commit()


def raising(code: str) -> str:
    return f"raise exception 'trouble' using errcode = '{code}'"


PASSING = {
    "serialization failure": raising("40001"),
    "deadlock": raising("40P01"),
    "lock timeout": raising("55P03"),
    "statement timeout": raising("57014"),
    "read-only server": raising("25006"),
    "too many connections": raising("53300"),
    "disk full": raising("53100"),
    "connection lost": "perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1)",
}


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    """Somebody who has just paid. Nothing of it is applied."""
    found = shopper(desk)
    assert found.pay(found.order()).status == 303
    found.sandbox.flush()
    return found


def test_a_database_that_is_disturbed_parks_nothing_and_the_whole_unit_is_tried_again(alice: Shopper) -> None:
    [plan] = {event.subject for event in events(type="customer.subscription.created")}
    waiting = count(StripeEvent, subject=plan, state=StripeEvent.PENDING)
    for name, statement in PASSING.items():
        with troubled(statement), Lines() as lines:
            jobs.apply_due(db.session())
            found = events(subject=plan, state=StripeEvent.PENDING)
            assert (name, len(found), {event.attempts for event in found}) == (name, waiting, {0})
            assert (name, alice.subscription, alice.mails()) == (name, None, [])
        assert (name, [line for line in lines.records if line.levelname == "ERROR"]) == (name, [])
        later(claims.DISTURBED.total_seconds() + 1)
    apply_all()
    assert (alice.row.status, count(StripeEvent, state=StripeEvent.PENDING)) == ("active", 0)


def test_a_write_that_the_database_refuses_for_good_counts_as_a_failure(alice: Shopper) -> None:
    [plan] = {event.subject for event in events(type="customer.subscription.created")}
    with troubled(raising("23514")), Lines() as lines:
        jobs.apply_due(db.session())
    found = events(subject=plan, state=StripeEvent.PENDING)
    assert {(event.attempts, event.reason) for event in found} == {(1, "IntegrityError")}
    assert {line.getMessage() for line in lines.records if line.levelname == "ERROR"} == {"event not applied"}


def test_what_an_event_did_is_gone_where_it_could_not_be_marked_as_applied(alice: Shopper) -> None:
    """Whatever ends the work between the two: what is done and is not known to be would be done again."""
    marking = "update on stripe_events for each row when (new.state = 'applied')"
    with troubled(raising("23514"), marking), Lines():
        jobs.apply_due(db.session())
        done = (count(Subscription), count(Notice), count(AuditEntry, kind="subscription.status"))
        assert done == (0, 0, 0)
    later(10)
    apply_all()
    assert (alice.row.status, count(StripeEvent, state=StripeEvent.PENDING)) == ("active", 0)


def test_a_commit_whose_answer_is_lost_is_no_failure_and_nothing_is_done_twice(
    alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's answer is taken away behind a commit that was made: a wire that is cut at that byte."""
    mark, commit, written, lost = claims.mark, psycopg.Connection.commit, [], []

    def and_note(*about: Any) -> None:
        mark(*about)
        written.append(about)

    def lose(connection: psycopg.Connection[Any]) -> None:
        commit(connection)
        if written:
            lost.append(written.pop())
            connection.close()
            raise psycopg.OperationalError("the connection was cut")

    monkeypatch.setattr(claims, "mark", and_note)
    monkeypatch.setattr(psycopg.Connection, "commit", lose)
    jobs.apply_due(db.session())
    monkeypatch.undo()
    assert lost
    assert (alice.row.status, count(StripeEvent, state=StripeEvent.PENDING)) == ("active", 0)
    later(claims.CLAIM.total_seconds() + 1)
    apply_all()
    applied = events(state=StripeEvent.APPLIED)
    assert {(event.attempts, event.reason) for event in applied} == {(1, None)}
    assert (count(Notice), count(AuditEntry, kind="subscription.status")) == (1, 1)


def twenty_wait(session: Session, *, about: int) -> None:
    """Events about so many subscriptions in turn."""
    for number in range(20):
        stripe_event(session, state=StripeEvent.PENDING, subject=f"sub_{number % about}")


def test_with_a_full_batch_comes_what_waits_about_the_same_things(
    db_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog in which each of five subscriptions changed four times: each is asked for once, not four times."""
    monkeypatch.setattr(claims, "BATCH", 3)
    twenty_wait(db_session, about=5)
    first = claims.claim_due(db_session, jobs.HANDLERS)
    second = claims.claim_due(db_session, jobs.HANDLERS)
    assert [len(first), len(second)] == [12, 8]
    assert not {event.subject for event in first} & {event.subject for event in second}
    assert first == sorted(first, key=lambda event: (event.lease_name, event.received_at))
    assert claims.claim_due(db_session, jobs.HANDLERS) == []


def test_a_batch_keeps_its_bound_however_the_database_plans_to_take_it(
    db_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With little known of the table, PostgreSQL chooses to ask for the due ones again for each row it looks at."""
    monkeypatch.setattr(claims, "BATCH", 3)
    twenty_wait(db_session, about=20)
    for shape in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"):
        db_session.execute(text(f"set local enable_{shape} = off"))
    first = claims.claim_due(db_session, jobs.HANDLERS)
    assert (len(first), count(StripeEvent, state=StripeEvent.PENDING, lease_until=None)) == (3, 17)

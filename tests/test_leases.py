"""Leases: one owner at a time, a fence that only grows, and no write by an owner who was replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from billing import leases
from billing.errors import StaleLease
from billing.extensions import db
from billing.leases import Lease
from billing.models import AuditEntry, User
from billing.models import Lease as Row
from tests.admin_rows import queries
from tests.story import count
from tests.support import wait_until

T = TypeVar("T")


def taken(session: Session, name: str = "cus_alice", **how: int) -> Lease:
    lease = leases.take(session, name, **how)
    assert lease is not None, f"{name} has an owner"
    return lease


def runs_out(session: Session, lease: Lease) -> None:
    """The lease's time passes."""
    session.execute(
        text("update leases set until = clock_timestamp() - interval '1 second' where name = :name"),
        {"name": lease.name},
    )
    session.commit()


def elsewhere(app: Flask, work: Callable[[Session], T]) -> T:
    """Do it in another thread, on a connection of its own, as another worker would."""

    def inside() -> T:
        with app.app_context():
            return work(db.session())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(inside).result(timeout=30)


def test_a_name_has_one_owner_whoever_asks(app: Flask, db_session: Session) -> None:
    taken(db_session)
    assert leases.take(db_session, "cus_alice") is None
    assert elsewhere(app, lambda session: leases.take(session, "cus_alice")) is None
    assert taken(db_session, "cus_bob").fence == 1


def test_every_taking_raises_the_fence_by_one(db_session: Session) -> None:
    fences = []
    for _ in range(3):
        lease = taken(db_session)
        fences.append(lease.fence)
        leases.free(db_session, lease)
    assert fences == [1, 2, 3]


def test_a_dead_owners_lease_runs_out_and_its_heir_has_a_higher_fence(db_session: Session) -> None:
    dead = taken(db_session)
    runs_out(db_session, dead)
    heir = taken(db_session)
    assert (heir.fence, heir.token != dead.token) == (dead.fence + 1, True)


def test_whoever_waits_gets_the_lease_when_its_owner_gives_it_back(app: Flask, db_session: Session) -> None:
    owner = taken(db_session)
    with ThreadPoolExecutor(1) as pool, queries() as seen:
        waiting = pool.submit(elsewhere, app, lambda session: leases.take(session, "cus_alice", wait=30))
        wait_until(lambda: len([one for one in seen if "insert into leases" in one]) > 1, "a second try")
        leases.free(db_session, owner)
        heir = waiting.result(timeout=30)
    assert heir is not None
    assert heir.fence == owner.fence + 1


def test_whoever_has_waited_long_enough_goes_away_without_the_lease(db_session: Session) -> None:
    owner = taken(db_session)
    assert leases.take(db_session, "cus_alice", wait=0.1) is None
    leases.hold(db_session, owner)
    assert db_session.execute(select(Row.fence)).scalar_one() == owner.fence


def test_of_many_that_grab_at_once_one_gets_it(app: Flask, db_session: Session) -> None:
    start = threading.Barrier(6)

    def grab(session: Session) -> Lease | None:
        start.wait(30)
        return leases.take(session, "cus_alice")

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: elsewhere(app, grab), range(6)))
    assert [lease.fence for lease in found if lease] == [1]


def test_many_that_wait_for_one_another_each_have_a_fence_of_their_own(
    app: Flask, db_session: Session
) -> None:
    """No two write under one number, and no two at once: each counts a number up, unprotected otherwise."""

    def work(session: Session) -> int:
        lease = leases.take(session, "cus_alice", wait=30)
        assert lease is not None
        seen = count(AuditEntry)
        session.add(AuditEntry(kind="seen", actor="test", subject=str(seen)))
        leases.hold(session, lease)
        session.commit()
        leases.free(session, lease)
        return lease.fence

    with ThreadPoolExecutor(4) as pool:
        fences = list(pool.map(lambda _: elsewhere(app, work), range(8)))
    assert sorted(fences) == list(range(1, 9))
    assert sorted(row.subject for row in db_session.query(AuditEntry)) == [str(n) for n in range(8)]


@pytest.mark.parametrize("taken_over", [True, False], ids=["taken over", "run out"])
def test_an_owner_whose_lease_is_gone_writes_nothing(
    db_session: Session, alice: User, taken_over: bool
) -> None:
    stale = taken(db_session)
    runs_out(db_session, stale)
    heir = taken(db_session) if taken_over else None
    alice.referral_code = "written too late"
    with pytest.raises(StaleLease):
        leases.hold(db_session, stale)
    db_session.rollback()
    assert db_session.get_one(User, alice.id, populate_existing=True).referral_code is None
    if heir is not None:
        leases.hold(db_session, heir)


def test_a_lease_that_was_given_back_is_neither_held_nor_renewed(db_session: Session) -> None:
    lease = taken(db_session)
    leases.free(db_session, lease)
    assert leases.renew(db_session, lease) is False
    with pytest.raises(StaleLease):
        leases.hold(db_session, lease)


def test_a_replaced_owner_takes_nothing_from_its_heir(db_session: Session) -> None:
    stale = taken(db_session)
    runs_out(db_session, stale)
    heir = taken(db_session)
    assert leases.renew(db_session, stale) is False
    leases.free(db_session, stale)
    assert leases.take(db_session, "cus_alice") is None
    leases.hold(db_session, heir)


def test_an_owner_that_renews_in_time_stays_the_owner_under_the_same_fence(db_session: Session) -> None:
    lease, left = taken(db_session, seconds=2), select(Row.until > func.now() + timedelta(seconds=30))
    assert db_session.execute(left).scalar_one() is False
    assert leases.renew(db_session, lease) is True
    assert db_session.execute(left).scalar_one() is True
    leases.hold(db_session, lease)
    assert db_session.execute(select(Row.fence)).scalar_one() == lease.fence
    runs_out(db_session, lease)
    assert leases.renew(db_session, lease) is False


def test_while_an_owner_writes_nobody_takes_over_even_if_its_time_is_up(
    app: Flask, db_session: Session
) -> None:
    """``hold`` keeps the row locked until the write is committed: there is no moment in between."""
    owner = taken(db_session, seconds=1)
    leases.hold(db_session, owner)
    overtime = text(
        "select until < clock_timestamp() and exists (select 1 from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock' and query like 'insert into leases%')"
        " from leases where name = 'cus_alice'"
    )
    with ThreadPoolExecutor(1) as pool:
        heir = pool.submit(elsewhere, app, lambda session: leases.take(session, "cus_alice", wait=30))
        wait_until(lambda: db_session.execute(overtime).scalar_one(), "the heir to stand before a locked row")
        db_session.add(AuditEntry(kind="written", actor="test"))
        db_session.commit()
        found = heir.result(timeout=30)
    assert found is not None
    assert found.fence == owner.fence + 1
    assert count(AuditEntry, kind="written") == 1

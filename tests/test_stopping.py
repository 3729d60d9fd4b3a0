"""A deploy in the middle: every process is told to stop, what was begun is ended or left whole, and done once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from billing import claims, queues
from billing.clock import now
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeEvent, Subscription
from tests.commands import Running, own_redis, started
from tests.conftest import make_app
from tests.histories import later
from tests.registry import over_a_wire
from tests.served import served
from tests.story import Shopper, apply_all, config_of, count, shopper
from tests.support import wait_until
from tests.wire import Held, Wire


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


def cookie_of(person: Shopper) -> str:
    cookie = person.client.get_cookie("dunlin")
    assert cookie is not None
    return f"dunlin={cookie.value}"


def everything_once(alice: Shopper) -> bool:
    return (count(Notice), count(AuditEntry, kind="subscription.status"), alice.row.status) == (
        1,
        1,
        "active",
    )


def test_a_request_that_waits_for_a_slow_stripe_is_answered_and_no_other_is_taken(
    desk: Flask, alice: Shopper, wire: Wire, tmp_path: Path
) -> None:
    apply_all()
    # so old that the page asks Stripe before it decides
    db.session.execute(update(Subscription).values(fetched_at=now() - timedelta(days=2)))
    db.session.commit()
    held = Held(wire)
    config = replace(config_of(desk), stripe_api_base=wire.url)
    with served(config, tmp_path) as web, ThreadPoolExecutor(3) as pool:
        waiting = pool.submit(web.ask, "GET", "/app", headers={"Cookie": cookie_of(alice)})
        assert held.arrived.wait(30)
        end = pool.submit(web.stop)
        wait_until(lambda: not web.answers(within=1), "requests not to be taken any more")
        late = pool.submit(web.ask, "GET", "/healthz")
        assert not waiting.done()
        held.go.set()
        assert (waiting.result(timeout=30).status, end.result(timeout=30)) == (200, 0)
        with pytest.raises(ConnectionError):
            late.result(timeout=30)
    assert alice.row.fetched_at > now() - timedelta(days=1)


def tell(process: Running, *more: int) -> None:
    """Every process of a dyno is told to stop, children too."""
    for pid in (process.process.pid, *more):
        os.kill(pid, signal.SIGTERM)


def children(process: Running) -> list[int]:
    pid = process.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_that_is_told_to_stop_in_the_middle_leaves_its_events_to_the_sweep(
    desk: Flask, alice: Shopper, wire: Wire, tmp_path: Path
) -> None:
    held = Held(wire)
    with own_redis(tmp_path) as redis:
        config = replace(config_of(desk), redis_url=redis.url, stripe_api_base=wire.url)
        with started("work", config, tmp_path) as worker:
            with make_app(config).app_context():
                assert queues.ring()
            wait_until(
                lambda: held.arrived.is_set() or worker.process.poll() is not None, "the worker to ask"
            )
            tell(worker, *children(worker))
            assert worker.process.wait(timeout=25) == 0, worker.log.read_text()
    held.go.set()
    wire.answer = wire.pass_on
    assert count(StripeEvent, state=StripeEvent.PENDING) > 0
    later(claims.CLAIM.total_seconds() + 1)
    apply_all()
    assert everything_once(alice)


def test_a_clock_that_is_told_to_stop_in_the_middle_ends_what_it_has_begun(
    desk: Flask, alice: Shopper, wire: Wire, tmp_path: Path
) -> None:
    held = Held(wire)
    with started("clock", replace(config_of(desk), stripe_api_base=wire.url), tmp_path) as clock:
        wait_until(lambda: held.arrived.is_set() or clock.process.poll() is not None, "the clock to ask")
        tell(clock)
        held.go.set()
        assert clock.process.wait(timeout=25) == 0, clock.log.read_text()
    assert alice.row.status == "active"
    later(1)
    apply_all()
    assert everything_once(alice)

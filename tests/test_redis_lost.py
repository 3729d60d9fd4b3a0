"""Redis forgets, ends or comes back with what was long done, while a worker is in the middle of an event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis

from billing import queues
from billing.extensions import db
from billing.models import Notice, StripeEvent, Subscription
from tests.commands import OwnRedis, own_redis, started
from tests.registry import over_a_wire
from tests.story import Shopper, catch_up, config_of, count, shopper
from tests.support import wait_until
from tests.test_workers import Held
from tests.watching import all_rows
from tests.wire import Wire

Trouble = Callable[[OwnRedis, Path], AbstractContextManager[OwnRedis]]
SIGNS_OF_LIFE = ("worker_seen_at",)


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        yield found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    (tmp_path / "redis").mkdir()
    with own_redis(tmp_path / "redis") as found:
        yield found


@pytest.fixture
def alice(desk: Flask, redis: OwnRedis) -> Shopper:
    """Somebody who has just paid. A bell was rung for it; nobody has answered yet."""
    found = shopper(desk)
    assert found.pay(found.order()).status == 303
    found.sandbox.flush()
    queues.init_app(desk, redis.url)
    assert (queues.ring(), waiting(redis)) == (True, 1)
    db.session.rollback()  # whoever waits for long holds no transaction
    return found


def waiting(redis: OwnRedis) -> int:
    with Redis.from_url(redis.url) as inside:
        return int(inside.llen(f"rq:queue:{queues.QUEUE}"))


def jobs(redis: OwnRedis) -> list[bytes]:
    """Bells that wait or are being answered; one that was answered is forgotten."""
    with Redis.from_url(redis.url) as inside:
        return list(inside.keys("rq:job:*"))


def all_applied() -> bool:
    return count(StripeEvent, state=StripeEvent.PENDING) == 0


def comes_through(alice: Shopper, redis: OwnRedis) -> bool:
    """Whether the end is known here. Rings as the clock does, which is not there: where no bell waits."""
    db.session.rollback()
    alice.sandbox.flush()
    if waiting(redis) == 0:
        queues.ring()
    return alice.standing.code == "canceling"


@contextmanager
def flushed(redis: OwnRedis, folder: Path) -> Iterator[OwnRedis]:
    with Redis.from_url(redis.url) as inside:
        inside.flushall()
    yield redis


@contextmanager
def restarted_empty(redis: OwnRedis, folder: Path) -> Iterator[OwnRedis]:
    redis.vanish()
    with own_redis(folder, redis.port) as again:
        yield again


@pytest.mark.parametrize("trouble", [flushed, restarted_empty])
def test_a_redis_that_is_lost_in_the_middle_of_an_event_costs_neither_it_nor_the_next(
    desk: Flask, wire: Wire, redis: OwnRedis, alice: Shopper, tmp_path: Path, trouble: Trouble
) -> None:
    held = Held(wire)
    config = config_of(desk)
    with started("work", config, tmp_path, REDIS_URL=redis.url, STRIPE_API_BASE=wire.url) as worker:
        assert held.arrived.wait(90), worker.log.read_text()
        with trouble(redis, tmp_path) as now:
            held.go.set()
            wait_until(all_applied, "the worker to finish what it had begun", 90)
            assert alice.row.status == "active"
            alice.sandbox.stripe.subscriptions.update(alice.row.stripe_id, {"cancel_at_period_end": True})
            db.session.rollback()
            alice.sandbox.flush()
            wait_until(lambda: comes_through(alice, now), "what came after", 90)
    assert count(Notice, kind="receipt") == 1


def test_bells_that_come_back_from_an_older_copy_of_redis_do_nothing_again(
    desk: Flask, redis: OwnRedis, alice: Shopper, tmp_path: Path
) -> None:
    with Redis.from_url(redis.url) as inside:
        inside.save()
    catch_up(desk)
    assert alice.mails() == ["receipt"]
    before = all_rows(db.session(), but=SIGNS_OF_LIFE)
    redis.vanish()
    with own_redis(tmp_path / "redis", redis.port) as again:
        assert waiting(again) == 1, "nothing came back"
        with started("work", config_of(desk), tmp_path, REDIS_URL=again.url) as worker:
            wait_until(lambda: not jobs(again), "the old bell to be answered", 90)
            assert worker.stop() == 0
    assert all_rows(db.session(), but=SIGNS_OF_LIFE) == before
    assert count(Subscription) == 1

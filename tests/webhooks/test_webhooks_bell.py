"""A real Redis that hangs, stops, forgets or is full: events are taken all the same, and the sweep applies them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flask import Flask
from redis import Redis

from billing import queues
from billing.config import Config
from tests.cable import Cable
from tests.commands import OwnRedis, own_redis
from tests.intake import another_app, paid, stored
from tests.story import apply_all, shopper
from tests.support import deliver, wait_until
from tests.watching import Lines


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path) as server:
        yield server


def waiting(redis: OwnRedis) -> int:
    """How many bells nobody has answered yet."""
    with Redis.from_url(redis.url) as inside:
        return int(inside.llen(f"rq:queue:{queues.QUEUE}"))


@contextmanager
def hung(redis: OwnRedis) -> Iterator[str]:
    redis.process.send_signal(signal.SIGSTOP)
    try:
        yield redis.url
    finally:
        redis.process.send_signal(signal.SIGCONT)


@contextmanager
def stopped(redis: OwnRedis) -> Iterator[str]:
    redis.vanish()
    yield redis.url


@contextmanager
def slow(redis: OwnRedis) -> Iterator[str]:
    """Half a second for each answer."""
    with Cable(redis.port) as cable:
        cable.delay = 0.5
        yield redis.url.replace(str(redis.port), str(cable.port))


def told(*config: str) -> Callable[[OwnRedis], AbstractContextManager[str]]:
    """With these settings."""

    def change(redis: OwnRedis) -> AbstractContextManager[str]:
        with Redis.from_url(redis.url) as inside:
            for name, value in zip(config[::2], config[1::2], strict=True):
                inside.config_set(name, value)
        return nullcontext(redis.url)

    return change


def unchanged(redis: OwnRedis) -> AbstractContextManager[str]:
    return nullcontext(redis.url)


def flushed(redis: OwnRedis) -> None:
    with Redis.from_url(redis.url) as inside:
        inside.flushall()


def restarted_empty(redis: OwnRedis) -> None:
    redis.vanish()
    with TemporaryDirectory() as folder, own_redis(Path(folder), redis.port) as again:
        assert waiting(again) == 0


# What is so while the events come, and what happens before they are applied.
TROUBLES = {
    "hung": (hung, None),
    "stopped": (stopped, None),
    "slow": (slow, None),
    "full": (told("maxmemory", "1", "maxmemory-policy", "noeviction"), None),
    "evicting": (told("maxmemory", "1", "maxmemory-policy", "allkeys-lru"), None),
    "flushed": (unchanged, flushed),
    "restarted empty": (unchanged, restarted_empty),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_payment_reaches_us_and_gives_access_whatever_becomes_of_redis(
    desk: Flask, redis: OwnRedis, name: str
) -> None:
    """Stripe's events come over HTTP; then the sweep does what no bell asked for."""
    trouble, later = TROUBLES[name]
    with trouble(redis) as url, Lines() as log:
        queues.init_app(desk, url)
        alice = shopper(desk)
        assert alice.pay(alice.order()).status == 303
        alice.sandbox.flush()
    assert ("bell not rung" in log.text) is (later is None)
    if later is not None:
        assert waiting(redis) > 0
        later(redis)
    assert alice.subscription is None, "something was applied before the sweep"
    apply_all()
    assert (alice.row.status, alice.standing.access) == ("active", True)


def test_a_burst_waits_for_a_hung_redis_once_and_is_rung_for_again_when_it_is_back(
    config: Config, redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock is moved by hand, so that neither a slow machine nor the quiet matters."""
    moments = [queues.monotonic()]
    monkeypatch.setattr(queues, "monotonic", lambda: moments[0])
    burst = [paid() for _ in range(20)]
    with another_app(replace(config, redis_url=redis.url)) as app:
        with hung(redis), Lines() as log:
            assert [deliver(app, event).status_code for event in burst] == [200] * 20
        assert [json.loads(line)["what"] for line in log.lines] == ["bell not rung"]
        assert [stored(config, event) for event in burst] == [1] * 20
        before = waiting(redis)
        moments[0] += queues.QUIET - 0.1
        assert (deliver(app, paid()).status_code, waiting(redis)) == (200, before)
        moments[0] += 0.1
        assert deliver(app, paid()).status_code == 200
        wait_until(lambda: waiting(redis) == before + 1, "a bell")


def test_a_redis_whose_every_answer_is_in_time_is_not_waited_for_when_they_add_up(
    config: Config, redis: OwnRedis
) -> None:
    """Ringing takes seven answers, of half a second each here: it is given up, and goes on by itself."""
    with slow(redis) as url, another_app(replace(config, redis_url=url)):
        assert queues.ring() is False
        wait_until(lambda: waiting(redis) == 1, "the bell, a little late")

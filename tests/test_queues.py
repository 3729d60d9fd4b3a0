"""The doorbell on a real Redis: it rings, it is never needed, and it opens no door."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from billing import queues
from billing.config import Config
from local.ports import free_port
from local.redis import server_program
from tests.conftest import make_app
from tests.support import wait_until


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = [
        server_program(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        wait_until(lambda: answers(url), "Redis to answer")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def answers(url: str) -> bool:
    try:
        return bool(Redis.from_url(url).ping())
    except RedisError:
        return False


@pytest.fixture
def belled(config: Config, redis_url: str) -> Iterator[Flask]:
    Redis.from_url(redis_url).flushall()
    application = make_app(replace(config, redis_url=redis_url))
    with application.app_context():
        yield application


def worker(redis_url: str) -> SimpleWorker:
    connection = queues.connect(redis_url, timeout=None)
    bell = Queue(queues.QUEUE, connection=connection, serializer=JSONSerializer, job_class=queues.BellJob)
    return SimpleWorker([bell], connection=connection, serializer=JSONSerializer, job_class=queues.BellJob)


def test_a_ring_puts_one_job_without_any_data_into_the_one_queue(belled: Flask, redis_url: str) -> None:
    assert queues.ring()
    [job] = belled.extensions["bell"].jobs
    assert (job.func_name, job.args, job.kwargs) == (queues.JOB, [], {})


def test_a_bell_that_nobody_has_heard_yet_is_not_rung_twice(belled: Flask, redis_url: str) -> None:
    assert queues.ring()
    assert queues.ring()
    assert belled.extensions["bell"].count == 1
    worker(redis_url).work(burst=True)
    assert queues.ring()
    assert belled.extensions["bell"].count == 1


def test_what_comes_soon_after_a_bell_shares_the_next_one_and_waits_for_none(
    belled: Flask, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell, gap = belled.extensions["bell"], threading.Event()
    monkeypatch.setattr(queues, "GAP", 60.0)
    monkeypatch.setattr(queues, "_pause", lambda seconds: gap.wait(60))
    queues.ring_soon()
    assert bell.count == 1, "the first is rung at once"
    worker(redis_url).work(burst=True)
    for _ in range(5):
        queues.ring_soon()
    assert bell.count == 0
    gap.set()
    wait_until(lambda: bell.count == 1, "the next one")
    worker(redis_url).work(burst=True)
    assert (bell.count, belled.extensions["bell_owed"]) == (0, False)


def test_what_comes_while_the_next_bell_is_rung_owes_one_of_its_own(
    belled: Flask, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been committed after that one was heard."""
    rung: list[str] = []

    def another_comes(queue: Queue) -> None:
        rung.append("bell")
        if len(rung) == 2:
            with belled.app_context():
                queues.ring_soon()

    monkeypatch.setattr(queues, "_pause", lambda seconds: None)
    monkeypatch.setattr(queues, "_enqueue", another_comes)
    monkeypatch.setattr(queues, "GAP", 60.0)
    queues.ring_soon()
    queues.ring_soon()
    wait_until(lambda: len(rung) == 3, "the third")


def test_a_bell_that_redis_does_not_take_is_no_error(app: Flask) -> None:
    assert queues.ring() is False


def test_whoever_can_write_to_redis_does_not_choose_what_the_worker_runs(
    belled: Flask, redis_url: str, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    forged = Queue(queues.QUEUE, connection=Redis.from_url(redis_url), serializer=JSONSerializer)
    job = forged.enqueue("os.remove", str(victim))
    worker(redis_url).work(burst=True)
    assert job.get_status(refresh=True) == "failed"
    assert victim.exists()


def test_the_worker_listens_to_one_queue_alone(belled: Flask, redis_url: str) -> None:
    """With several, RQ takes a job out of Redis before it is kept elsewhere, and a worker that dies then loses it."""
    assert queues._worker(redis_url).queue_names() == [queues.QUEUE]


def test_a_pickled_job_is_refused_without_being_opened(belled: Flask, redis_url: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    pickled = Queue(queues.QUEUE, connection=Redis.from_url(redis_url))
    job = pickled.enqueue("os.remove", str(victim))
    worker(redis_url).work(burst=True)
    assert job.get_status(refresh=True) == "failed"
    assert victim.exists()

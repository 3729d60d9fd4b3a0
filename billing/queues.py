"""The doorbell: RQ on Redis. It only says "look at the database"; no promise rests on it."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from contextlib import closing, suppress
from time import monotonic
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseTimeoutException as JobTimeout
from rq.worker import HerokuWorker

from billing.hands import Hands

log = logging.getLogger(__name__)
QUEUE = "bell"
RETRY_SECONDS = 2
RING_WITHIN, QUIET = 1.0, 5.0  # seconds
# Ringing is several questions and answers, so a slow Redis may take longer than each one's timeout.
_hand = Hands(1, "bell")
# To ring costs as much processor as to store three events. What comes so soon after a bell shares the next one.
GAP = 0.02  # seconds
_later = Hands(1, "next bell")
_pause = time.sleep
JOB = "billing.jobs.answer_bell"

__all__ = ["JobTimeout", "connect", "init_app", "ring", "ring_soon", "work"]


class BellJob(Job):
    """A job that can only be the bell: whoever may write to Redis must not choose what we run."""

    @property
    def func(self) -> Any:
        if self.func_name != JOB:
            raise ValueError("only the bell is answered")
        return super().func


def init_app(app: Flask, redis_url: str) -> None:
    """Keep one short-tempered connection for ringing."""
    with app.app_context():
        connection = connect(redis_url, timeout=1)
    app.extensions["bell_quiet_until"] = app.extensions["bell_rung"] = float("-inf")
    app.extensions["bell_owed"], app.extensions["bell_lock"] = False, threading.Lock()
    app.extensions["bell"] = Queue(QUEUE, connection=connection, serializer=JSONSerializer, job_class=BellJob)


def connect(redis_url: str, *, timeout: float | None) -> Redis:
    """A connection that never retries by itself.

    Heroku's Redis certificates are signed by nobody: ``HEROKU_REDIS=1`` accepts them (docs/deploy.md).
    """
    options: dict[str, Any] = {}
    if urlsplit(redis_url).scheme == "rediss":
        unsigned = current_app.config["HEROKU_REDIS"]
        options["ssl_cert_reqs"] = ssl.CERT_NONE if unsigned else ssl.CERT_REQUIRED
        options["ssl_check_hostname"] = not unsigned
    return Redis.from_url(
        redis_url,
        socket_timeout=timeout,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
        **options,
    )


def trouble(redis_url: str) -> str | None:
    """What is wrong with Redis, by the name of its error; None where it answers within a second."""
    try:
        with closing(connect(redis_url, timeout=1)) as connection:
            connection.ping()
    except (RedisError, OSError) as problem:
        return type(problem).__name__
    return None


def ring() -> bool:
    """Wake a worker. False when Redis did not answer within a second; the clock's sweep then does the work.

    Redis is then left alone for 5 seconds, so that a burst of events waits for it once and not each time.
    """
    kept = current_app.extensions
    if monotonic() < kept["bell_quiet_until"]:
        return False
    try:
        _hand.within(RING_WITHIN, _enqueue, kept["bell"])
    except (RedisError, TimeoutError) as problem:
        kept["bell_quiet_until"] = monotonic() + QUIET
        log.warning("bell not rung", extra={"reason": type(problem).__name__})
        return False
    return True


def ring_soon() -> None:
    """Wake a worker for what was just committed: now, or where a bell was rung less than ``GAP`` ago, when that time
    has passed. That one is for all that was committed until then, and nobody waits for it."""
    kept = current_app.extensions
    with kept["bell_lock"]:
        if kept["bell_owed"]:
            return
        moment = monotonic()
        left = min(GAP, kept["bell_rung"] + GAP - moment)
        kept["bell_owed"] = left > 0
        if left <= 0:
            kept["bell_rung"] = moment
    if left <= 0:
        ring()
    else:
        _later.begin(_ring_later, current_app._get_current_object(), left)  # type: ignore[attr-defined]


def _ring_later(app: Flask, seconds: float) -> None:
    _pause(seconds)
    kept = app.extensions
    with kept["bell_lock"]:  # what is committed from now on owes one of its own
        kept["bell_owed"], kept["bell_rung"] = False, monotonic()
    with app.app_context():
        try:
            ring()
        except Exception:  # nobody waits for this thread who could be told
            log.exception("bell not rung")


def _enqueue(queue: Queue) -> None:
    """A bell that still waits will be heard after what was committed before this one, and is enough."""
    if queue.count:
        return
    queue.enqueue(JOB, result_ttl=0, failure_ttl=7 * 86400, job_timeout=90)


class Worker(HerokuWorker):
    """Can be told to stop while Redis is away: RQ asks Redis whether a job runs, and would go on instead."""

    told_to_stop = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.told_to_stop = True
        try:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]
        except RedisError:
            raise StopRequested from None


def work(redis_url: str) -> None:
    """Answer the bell until told to stop. Redis being away ends nothing."""
    with suppress(StopRequested):  # told between two tries
        while not _work(redis_url):
            time.sleep(RETRY_SECONDS)


def _work(redis_url: str) -> bool:
    """Work until told to stop (True) or until Redis goes away."""
    worker = None
    try:
        worker = _worker(redis_url)
        worker.work(logging_level="WARNING")
    except RedisError as problem:
        log.error("worker can't reach Redis", extra={"reason": type(problem).__name__})
    return worker is not None and worker.told_to_stop


def _worker(redis_url: str) -> Worker:
    """A worker on the one queue; more than one queue would lose jobs on a crash (RQ uses BLPOP then)."""
    connection = connect(redis_url, timeout=None)
    queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer, job_class=BellJob)
    return Worker(
        [queue],
        connection=connection,
        serializer=JSONSerializer,
        job_class=BellJob,
        worker_ttl=30,
        maintenance_interval=15,
        default_result_ttl=0,
        log_job_description=False,
    )

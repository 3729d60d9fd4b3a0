"""A hundred thousand forged or mangled deliveries to the application, two thousand to its server: none gets through."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import delete, select

from billing import logs
from billing.extensions import db
from billing.models import StripeEvent
from tests import raw_http
from tests.commands import own_redis
from tests.forgeries import (
    CANARIES,
    OLD_SECRET,
    WEBHOOK_SECRET,
    Delivery,
    again,
    as_read,
    fresh,
    numbers,
    right_answers,
)
from tests.intake import set_up
from tests.mangles import made
from tests.raw_http import Line
from tests.served import Served, served
from tests.support import Databases
from tests.watching import all_rows

IN_PROCESS, ON_THE_WIRE, LINES = 100_000, 2_000, 8
REFUSED = b'{"error":"not a Stripe event for this endpoint"}\n'
# What a log may say of them, by the line's own words.
SAID = {
    "webhook refused",
    "many deliveries refused",
    "event not ours",
    "event of another API version",
    "not HTTP",
}
# A delivery that a secret of ours has signed and that is refused all the same is counted for the operator.
COUNTERS = {"rate_hits"}


@pytest.fixture(scope="module")
def app(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The application as it is shipped, on a PostgreSQL and a Redis that nobody else uses."""
    secrets = f"{WEBHOOK_SECRET},{OLD_SECRET}@9999-01-01"
    with (
        own_redis(tmp_path_factory.mktemp("redis")) as redis,
        set_up(databases, secret=secrets, REDIS_URL=redis.url) as application,
    ):
        yield application


@pytest.fixture(scope="module")
def web(app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(app.extensions["config"], tmp_path_factory.mktemp("web"), workers=1) as running:
        yield running


class Ear(io.TextIOBase):
    """Where the application's own log goes meanwhile: each line is read, none is kept."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()
        self.leaks: list[str] = []

    def write(self, text: str) -> int:
        for line in filter(None, text.splitlines()):
            self.said[what_of(line)] += 1
            if any(canary in line for canary in CANARIES):
                self.leaks.append(line)
        return len(text)


def what_of(line: str) -> str:
    """The words of a line of the log, which is JSON."""
    if '"what": "webhook refused"' in line:
        return "webhook refused"
    return str(json.loads(line)["what"])


@contextmanager
def listening() -> Iterator[Ear]:
    """Hear what the log is told, written as in production, by nobody else."""
    ear, root = Ear(), logging.getLogger()
    handler = logging.StreamHandler(ear)
    handler.setFormatter(logs.Lines())
    before, root.handlers = root.handlers, [handler]
    try:
        yield ear
    finally:
        root.handlers = before


class Traces:
    """All that is kept anywhere: each table's rows, and the keys of Redis."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._redis = Redis.from_url(app.extensions["config"].redis_url)
        self._forget()
        self._rows, self._keys = self._look()

    def are(self, taken: set[str]) -> None:
        """Raises AssertionError unless these events are what has been kept since, and nothing else."""
        with self._app.app_context():
            kept = set(db.session.execute(select(StripeEvent.event_id)).scalars())
        self._forget()
        rows, keys = self._look()
        assert kept == taken
        assert {table for table, mark in rows.items() if mark != self._rows[table]} <= COUNTERS
        new = keys - self._keys
        assert all(key.startswith("rq:") for key in new), "the bell, and nothing else"
        assert not any(canary in key for canary in (*CANARIES, "evt_") for key in new)
        assert taken or not new

    def _forget(self) -> None:
        with self._app.app_context():
            db.session.execute(delete(StripeEvent))
            db.session.commit()
        self._redis.flushall()

    def _look(self) -> tuple[dict[str, str], set[str]]:
        with self._app.app_context():
            rows = all_rows(db.session())
            db.session.remove()
        return rows, {key.decode() for key in self._redis.scan_iter()}


def id_in(body: bytes) -> str:
    return str(json.loads(body)["id"])


def answer_to(app: Flask, it: Delivery) -> tuple[int, bytes, dict[str, str]]:
    """What the application itself says; between it and the delivery is no client and no server."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": it.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": it.path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(it.body)) if it.said is None else it.said,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(it.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **it.environ,
    }
    if it.header is not None:
        environ["HTTP_STRIPE_SIGNATURE"] = it.header
    begun: list[Any] = []
    parts = app.wsgi_app(environ, lambda status, headers, problem=None: begun.extend((status, headers)))  # type: ignore[arg-type]
    body = b"".join(parts)
    if hasattr(parts, "close"):  # as a server asks
        parts.close()
    return int(begun[0][:3]), body, dict(begun[1])


def test_a_hundred_thousand_forged_deliveries_get_the_right_no_and_leave_nothing(app: Flask) -> None:
    traces, answers, taken = Traces(app), Counter[int](), set[str]()
    with listening() as ear:
        for number in numbers(IN_PROCESS):
            it, _ = made(number)
            status, said, headers = answer_to(app, it)
            assert status in right_answers(it), f"{again(number)}\n{status} {said!r} to {it}"
            assert status in (404, 405) or "Set-Cookie" not in headers, again(number)
            if status == 200:
                taken.add(id_in(as_read(it).body))
            elif status == 400:
                assert said == REFUSED, again(number)
            answers[status] += 1
    assert ear.leaks == []
    assert ear.said.keys() <= SAID
    traces.are(taken)
    whole = sum(answers.values()) == IN_PROCESS
    assert not whole or {*answers} == {200, 400, 404, 405, 413}
    assert answers[200] < IN_PROCESS / 20, "the generator mostly leaves deliveries as they were"


def test_two_thousand_forged_requests_on_the_wire_get_the_right_no_and_leave_nothing(
    app: Flask, web: Served
) -> None:
    """Over several connections, which are kept; some requests are no HTTP at all."""
    traces, begin = Traces(app), web.log.stat().st_size
    wanted = list(numbers(ON_THE_WIRE))

    def says(which: int) -> tuple[Counter[int | None], set[str]]:
        answers, taken = Counter[int | None](), set[str]()
        with Line(web.port) as line:
            for number in wanted[which::LINES]:
                sent = raw_http.made(number)
                for answer in line.say(sent):
                    assert answer.status in sent.right, f"{again(number)}\n{answer} to {sent}"
                    answers[answer.status] += 1
                    if answer.status == 200:
                        taken.add(id_in(sent.body))
            good = raw_http.plain(fresh(ON_THE_WIRE + which, made(which)[1]))
            [answer] = line.say(good)
            assert answer.status == 200, "the server is not what it was before"
        return answers, taken | {id_in(good.body)}

    with ThreadPoolExecutor(LINES) as pool:
        done = list(pool.map(says, range(LINES)))
    traces.are(set().union(*(taken for _, taken in done)))
    log = web.log.read_bytes()[begin:].decode()
    assert [line for line in log.splitlines() if any(canary in line for canary in CANARIES)] == []
    assert {what_of(line) for line in log.splitlines()} <= SAID


# What the server itself refuses, before the application sees it.
NO_HTTP = {
    "a coding that nobody knows": b"Transfer-Encoding: xchunked",
    "the name of a script": b"SCRIPT_NAME: /elsewhere",
    "a length that ends within the body": b"Content-Length: 10",
    "a header that goes on in the next line": b"Stripe-Signature: t=1,\r\n v1=00",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_breaks_the_rules_of_http_is_no_fault_of_ours_and_none_of_it_is_logged(
    web: Served, name: str
) -> None:
    begin = web.log.stat().st_size
    head = b"\r\n".join([b"POST /webhooks/stripe HTTP/1.1", b"Host: localhost", NO_HTTP[name], b"", b""])
    body = b"{'canary': 'whose body is no request'}\r\n\r\n"
    with Line(web.port) as line:
        answers = line.say(raw_http.Sent(head + body, body, {400}, end=True))
    assert {answer.status for answer in answers} == {400}
    log = web.log.read_bytes()[begin:].decode()
    assert {what_of(line) for line in log.splitlines()} <= SAID
    assert "canary" not in log
    assert not any(b"canary" in answer.body for answer in answers)

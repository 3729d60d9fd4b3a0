"""Processes that kill themselves on their way, at a boundary that a test names.

A boundary is just before something leaves a process or is known to have arrived: before a commit (or a statement
that commits by itself), a request to Stripe, a command to Redis, a line of SMTP, its reply, the first byte of an
answer. Between two of them nothing happens that anybody else could see: what comes after one of them and what
comes before the next one are the same death. The nursery is a process
without threads, which has all our code loaded and forks a child for each run: it dies by SIGKILL like any other.

    nursery.run(config, "bell", {}, at=7)      the child is killed at the eighth boundary
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
import stripe
from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Engine, default, make_url

from billing import config as settings
from billing.config import Config
from tests.processes import environ_of

ROOT = Path(__file__).parent.parent
# Its connections carry this name in the database, so that one can wait for their end.
NAME = "mortal"
# A flow does what comes before it, yields, and then is on its way: from there on boundaries count.
Flow = Callable[..., Iterator[None]]


@dataclass(frozen=True)
class Life:
    """``passed``: the boundaries that it came through, in order. ``said``: the statuses that it answered."""

    killed: bool
    passed: list[str]

    @property
    def said(self) -> list[str]:
        return [name.removeprefix("said ") for name in self.passed if name.startswith("said ")]


class Nursery:
    """Forks children and tells how they ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, config: Config, flow: str, args: dict[str, Any], at: int | None = None) -> Life:
        """One child, killed at boundary ``at`` (counted from 0), or left alone. Raises AssertionError where it
        failed by itself."""
        environ = environ_of(config, SECOND_SUBSCRIPTION=config.second_subscription)
        order = {"environ": environ, "flow": flow, "args": args, "at": at}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        died = os.WIFSIGNALED(answer["status"]) and os.WTERMSIG(answer["status"]) == signal.SIGKILL
        assert died or answer["status"] == 0, f"{flow} failed: {answer['passed']}"
        return Life(died, answer["passed"])


@contextmanager
def nursery(log: Path) -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.mortal"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output
        )
        try:
            yield Nursery(process)
        finally:
            process.communicate(timeout=20)  # the end of its input is the end of it


class Boundaries:
    """Counts them from ``begin`` on, tells each, and kills this process at the one that is asked for."""

    def __init__(self, told: int, at: int | None) -> None:
        self._told, self._at, self._number, self._counts = told, at, 0, False

    def begin(self) -> None:
        self._counts = True

    def here(self, name: str) -> None:
        if not self._counts:
            return
        if self._number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._number += 1
        os.write(self._told, json.dumps(name).encode() + b"\n")

    def before(self, owner: Any, method: str, name: str) -> None:
        """A boundary before each call of this method."""
        inner = getattr(owner, method)

        def outer(*args: Any, **kwargs: Any) -> Any:
            self.here(f"before {name}")
            return inner(*args, **kwargs)

        setattr(owner, method, outer)


def _watch(app: Flask, here: Boundaries) -> None:
    here.before(default.DefaultDialect, "do_commit", "a commit")
    here.before(stripe.RequestsClient, "request", "a request to Stripe")
    here.before(redis.Connection, "send_packed_command", "a command to Redis")
    here.before(smtplib.SMTP, "send", "a line of SMTP")
    here.before(smtplib.SMTP, "getreply", "a reply of SMTP")

    @event.listens_for(Engine, "before_cursor_execute")
    def before(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if conn.connection.dbapi_connection.autocommit:
            here.here(f"before {' '.join(statement.split()[:3])}")

    inner = app.wsgi_app

    def saying(environ: Any, start_response: Any) -> Any:
        def start(status: str, *rest: Any) -> Any:
            here.here("before the answer")
            here.here(f"said {status[:3]}")
            return start_response(status, *rest)

        return inner(environ, start)

    app.wsgi_app = saying  # type: ignore[method-assign]


def _live(order: dict[str, Any], told: int) -> None:
    """What a child does."""
    from tests.conftest import make_app
    from tests.mortal_flows import FLOWS

    config = settings.load(order["environ"])
    address = make_url(config.database_url).update_query_dict({"application_name": NAME})
    app = make_app(replace(config, database_url=address.render_as_string(hide_password=False)))
    here = Boundaries(told, order["at"])
    _watch(app, here)
    with app.app_context():
        way = FLOWS[order["flow"]](app, **order["args"])
        next(way)
        here.begin()
        for _ in way:
            pass


def _raise_children() -> None:
    import tests.conftest
    import tests.mortal_flows  # noqa: F401 loaded once, before the first fork

    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        hear, tell = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(hear)
                _live(json.loads(line), tell)
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                sys.stderr.flush()
                os._exit(status)
        os.close(tell)
        with os.fdopen(hear) as pipe:
            passed = [json.loads(name) for name in pipe]
        status = os.waitpid(child, 0)[1]
        os.write(answers, json.dumps({"status": status, "passed": passed}).encode() + b"\n")


if __name__ == "__main__":
    _raise_children()

"""Processes that kill themselves on their way, at a boundary that a test names.

A boundary is just before something leaves a process or is known to have arrived: before a commit that writes (or a
statement that commits by itself), a request that changes something at Stripe, a command to Redis, four moments of a
mail's way to its server, the first byte of an answer. (Of SMTP no more, since a server forgets a mail that is not
whole.) Between two of them nothing happens that anybody else could see, and reading leaves nothing: what comes after
one of them and what comes before the next one are the same death. The nursery is a process without threads. It lives
the calm run itself, so that everything is loaded, and forks a child for each death, which it dies by SIGKILL like any
other.

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

import psycopg
import redis
import stripe
from flask import Flask
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.engine import Engine, default, make_url
from sqlalchemy.pool import PoolProxiedConnection

from billing import config as settings
from billing import queues, stripe_client
from billing.config import Config
from billing.extensions import db
from tests.conftest import make_app
from tests.mortal_flows import FLOWS
from tests.processes import environ_of

ROOT = Path(__file__).parent.parent
# Its connections carry this name in the database, so that one can wait for their end.
NAME = "mortal"
# No line of SMTP is longer (RFC 5321, 4.5.3.1.6), and every mail is.
LINE = 1000
DOT = b".\r\n"


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

    def __init__(self) -> None:
        self._told, self._at, self._number = -1, None, -1

    def begin(self, told: int, at: int | None) -> None:
        self._told, self._at, self._number = told, at, 0

    def end(self) -> None:
        self._number = -1

    def here(self, name: str) -> None:
        if self._number < 0:
            return
        if self._number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._number += 1
        os.write(self._told, json.dumps(name).encode() + b"\n")

    def before(
        self, owner: Any, method: str, name: str, matters: Callable[..., bool] = lambda *_: True
    ) -> None:
        """A boundary before each call of this method, of those that ``matters`` says yes to."""
        inner = getattr(owner, method)

        def outer(*args: Any, **kwargs: Any) -> Any:
            if self._number >= 0 and matters(*args):
                self.here(f"before {name}")
            return inner(*args, **kwargs)

        setattr(owner, method, outer)

    def watch(self) -> None:
        """All but the answers of an application; once for a process."""
        self.before(default.DefaultDialect, "do_commit", "a commit", lambda _, connection: writes(connection))
        self.before(
            stripe.RequestsClient, "request", "a request to Stripe", lambda _, method, *rest: method != "get"
        )
        self.before(redis.Connection, "send_packed_command", "a command to Redis")
        self.before(smtplib.SMTP, "ehlo", "the first line of SMTP")
        self.watch_mails()

        @event.listens_for(Engine, "before_cursor_execute")
        def before(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if conn.connection.dbapi_connection.autocommit:
                self.here(f"before {' '.join(statement.split()[:3])}")

    def watch_mails(self) -> None:
        """Before a mail, before the dot that ends it, and when that has left and the server has not replied."""
        inner = smtplib.SMTP.send

        def send(connection: Any, text: Any) -> None:
            if len(text) > LINE:
                self.here("before a mail over SMTP")
            if text != DOT:
                return inner(connection, text)
            self.here("before the dot of SMTP")
            inner(connection, text)
            return self.here("before the reply of SMTP")

        smtplib.SMTP.send = send  # type: ignore[method-assign]

    def watch_answers(self, app: Flask) -> None:
        inner = app.wsgi_app

        def saying(environ: Any, start_response: Any) -> Any:
            def start(status: str, *rest: Any) -> Any:
                self.here("before the answer")
                self.here(f"said {status[:3]}")
                return start_response(status, *rest)

            return inner(environ, start)

        app.wsgi_app = saying  # type: ignore[method-assign]


def writes(pooled: PoolProxiedConnection) -> bool:
    """Whether its transaction, if there is one, has changed anything: only then PostgreSQL gave it a number."""
    connection: psycopg.Connection[Any] = pooled.driver_connection
    if connection.info.transaction_status != TransactionStatus.INTRANS:
        return False
    return connection.execute("select pg_current_xact_id_if_assigned()").fetchone() != (None,)


class Nest:
    """The nursery's own side: the applications, one for each environment, and how they are lived in."""

    def __init__(self) -> None:
        self._apps: dict[str, Flask] = {}
        self._boundaries = Boundaries()
        self._boundaries.watch()

    def live(self, order: dict[str, Any], told: int) -> None:
        app = self._app(order["environ"])
        with app.app_context():
            way = FLOWS[order["flow"]](app, **order["args"])
            next(way)
            self._boundaries.begin(told, order["at"])
            for _ in way:
                pass
            self._boundaries.end()
            db.session.remove()

    def calm(self, order: dict[str, Any], told: int) -> None:
        """In this process; then no connection may be left that a child would share with it."""
        self.live(order, told)
        app = self._app(order["environ"])
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()
        stripe_client.init_app(app, app.extensions["config"])
        queues.init_app(app, app.extensions["config"].redis_url)
        os.close(told)

    def child(self, order: dict[str, Any], told: int) -> int:
        """In a process of its own; how that ended."""
        child = os.fork()
        if child:
            os.close(told)
            return os.waitpid(child, 0)[1]
        failed = True
        try:
            self.live(order, told)
            failed = False
        finally:
            if failed:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(failed)

    def _app(self, environ: dict[str, str]) -> Flask:
        key = json.dumps(environ, sort_keys=True)
        if key not in self._apps:
            config = settings.load(environ)
            address = make_url(config.database_url).update_query_dict({"application_name": NAME})
            named = replace(config, database_url=address.render_as_string(hide_password=False))
            self._apps[key] = make_app(named)
            self._boundaries.watch_answers(self._apps[key])
        return self._apps[key]


def _main() -> None:
    answers, nest = os.dup(1), Nest()
    os.dup2(2, 1)  # what is printed goes to the log
    for line in sys.stdin:
        order = json.loads(line)
        hear, tell = os.pipe()
        status = 0
        if order["at"] is None:
            nest.calm(order, tell)
        else:
            status = nest.child(order, tell)
        with os.fdopen(hear) as pipe:
            passed = [json.loads(name) for name in pipe]
        os.write(answers, json.dumps({"status": status, "passed": passed}).encode() + b"\n")


if __name__ == "__main__":
    _main()

"""All that runs, started as a platform starts it: what is there, how it is hit, how it comes back."""

from __future__ import annotations

import http.client
import os
import secrets
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import flask_migrate
import psycopg
from flask import Flask
from redis import Redis
from redis.exceptions import RedisError

from billing import catalogue, installation
from billing.config import Config
from billing.extensions import db
from local import proc
from local.environment import Kept
from local.pghome import find_home
from local.ports import free_port
from local.postgres import LocalPostgres
from local.processes import Child, Children
from local.redis import server_program
from tests.chaos.memory import Memory
from tests.chaos.post import Post
from tests.conftest import ROOT, dispose, make_app, make_config
from tests.oracles import WATCH
from tests.processes import command, environ_of
from tests.support import Sandbox, wait_until

# As in the Procfile, but for the number of its processes: of one that is killed the others remain.
WEB_PROCESSES = "2"
DATABASE = "dunlin"


class Stack:
    """``starts``: what each part of ours is started with. ``app``: the same application, for whoever looks on."""

    app: Flask
    config: Config
    secret: str
    memory: Memory

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children = Children(folder)
        self.running: dict[str, Child] = {}
        self.web_port, self._redis_port, self._stripe_port = free_port(), free_port(), free_port()
        self.sandbox = Sandbox(f"http://127.0.0.1:{self._stripe_port}")
        self.post = Post()

    # setting up

    def open(self, stack: ExitStack) -> None:
        """Start everything, each on what it needs. ``stack`` ends it again."""
        stack.callback(self._end)
        stack.enter_context(self.post)
        self._make_postgres()
        for name in ("sandbox", "postgres", "redis"):
            self.start(name)
        self._postgres.wait(self.running["postgres"], database=DATABASE)
        wait_until(self._redis_answers, "Redis to answer")
        wait_until(self.sandbox.answers, "the sandbox to answer")
        self._settle(stack)
        self.memory = Memory(self.folder / "sandbox" / "sandbox.db")
        stack.callback(self.memory.close)
        for name in ("web", "worker", "clock"):
            self.start(name)
        wait_until(self._web_answers, "the web process to answer")

    def _make_postgres(self) -> None:
        """It forgets nothing that it has committed, and lies beside what is temporary."""
        kept = Kept(self.folder / "env")
        kept.make("LOCAL_POSTGRES_PASSWORD", lambda: secrets.token_hex(16))
        find_home(self.folder / "postgres", ephemeral=True)
        self._postgres = LocalPostgres(self.folder / "postgres", kept)

    def _settle(self, stack: ExitStack) -> None:
        """An installation with its endpoint and its catalogue at Stripe."""
        url = f"http://127.0.0.1:{self.web_port}"
        _, self.secret = self.sandbox.register_endpoint(f"{url}/webhooks/stripe")
        self.config = make_config(
            self.database,
            smtp_port=self.post.port,
            public_url=url,
            api_base=self.sandbox.url,
            secret=self.secret,
            REDIS_URL=f"redis://127.0.0.1:{self._redis_port}/0",
        )
        self.app = make_app(self.config)
        self.app.extensions["sandbox"] = self.sandbox
        with self.app.app_context():
            stack.callback(self._forget)
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            installation.record(db.session(), self.config, self.sandbox.account())
            db.session.commit()
            catalogue.push(db.session(), self.app.extensions["catalogue"])
            db.session.remove()
        with self.connected() as rows:
            rows.execute(WATCH)

    def _forget(self) -> None:
        with self.app.app_context():
            db.session.remove()
            dispose()

    def _end(self) -> None:
        """End all that was started, whatever state it is in, and delete the database's data."""
        for name in self.running:
            self.resume(self.pids(name))
        self.children.stop(self.children.running, 10)
        self.children.end()
        self._postgres.remove()

    # what there is

    @property
    def database(self) -> str:
        return self._postgres.url(DATABASE)

    @contextmanager
    def connected(self, seconds: int = 3) -> Iterator[psycopg.Connection]:
        """A connection of whoever looks on. Raises psycopg.OperationalError where there is none so soon."""
        limits = f"-c statement_timeout={seconds}s"
        with psycopg.connect(self.database, autocommit=True, connect_timeout=seconds, options=limits) as rows:
            yield rows

    def pids(self, part: str) -> list[int]:
        """The processes of a part; of a part's child, all that may be one, the parent not among them."""
        name, _, child = part.partition(" ")
        parent = self.running[name].process.pid
        kids = kids_of(parent)
        if child:
            return kids
        return [parent] if name in ("worker", "clock", "redis") else [parent, *kids]

    # what is done to it

    def start(self, name: str) -> None:
        """Start a part, again where it has died. It may need a moment until it answers."""
        if name in self.running:
            self.children.stop([self.running[name]], 0)  # what is left of its container
        if name == "postgres":
            self._postgres.released()
            self.running[name] = self._postgres.start(self.children)
            return
        words, env = self._command(name), None if name in ("redis", "sandbox") else environ_of(self.config)
        # ended by SIGKILL: whoever is stopped would not hear of anything else
        end = signal.SIGTERM if name == "sandbox" else signal.SIGKILL
        self.running[name] = self.children.start(name, words, env=env, cwd=ROOT, stop_signal=end)

    def _command(self, name: str) -> list[str]:
        if name == "redis":
            options = f"--port {self._redis_port} --bind 127.0.0.1 --dir".split()
            return [str(server_program()), *options, str(self.folder), "--save", ""]
        if name == "sandbox":
            data = str(self.folder / "sandbox")
            return [sys.executable, "-m", "sandbox", "--port", str(self._stripe_port), "--data", data]
        if name != "web":
            return [sys.executable, *command({"worker": "work"}.get(name, name))]
        [line] = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
        line = line.removeprefix("web:").replace("0.0.0.0", "127.0.0.1").replace("$PORT", str(self.web_port))
        return [
            sys.executable,
            "-m",
            *shlex.split(line.replace("${WEB_CONCURRENCY:-1}", WEB_PROCESSES)),
        ]

    def kill(self, pids: list[int]) -> None:
        """``kill -9``, the first one first."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self, pids: list[int]) -> dict[int, str]:
        """Stop them; the moment that each of them was started, so that no other is meant later."""
        since = {pid: proc.started(pid) for pid in pids}
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return since

    def resume(self, pids: list[int], since: dict[int, str] | None = None) -> None:
        for pid in pids:
            if since is None or since[pid] == proc.started(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def flush_redis(self) -> None:
        with suppress(RedisError), self.redis() as client:
            client.flushall()

    def redis(self) -> Redis:
        url = f"redis://127.0.0.1:{self._redis_port}/0"
        return Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)

    def _redis_answers(self) -> bool:
        try:
            with self.redis() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def _web_answers(self) -> bool:
        self.children.check()
        return answers(self.web_port)


def answers(port: int) -> bool:
    """Whether a request is answered within two seconds, however."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def kids_of(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it has just ended
        return []

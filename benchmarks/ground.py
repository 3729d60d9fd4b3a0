"""What the benchmarks stand on: a PostgreSQL that keeps its promises to the disk, Redis, the sandbox, and web servers.

All of it is ours alone, on free ports, and gone afterwards. The databases are made from one that was migrated once.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask_migrate
import psycopg
from psycopg import sql

from benchmarks.load import EVENT, SUBJECT
from billing import installation
from billing.config import Config
from billing.extensions import db
from local.environment import Kept
from local.ports import answers, free_port
from local.postgres import LocalPostgres
from local.processes import Children
from local.redis import LocalRedis
from local.waiting import until
from tests.conftest import WEBHOOK_SECRET, dispose, make_app, make_config
from tests.histories import sandbox_in
from tests.intake import another_app
from tests.support import Sandbox

ROOT = Path(__file__).resolve().parents[1]
SECRET = WEBHOOK_SECRET
ACCOUNT = "acct_tests"


class Ground:
    """One PostgreSQL with fsync, full page writes and synchronous_commit on, and one Redis."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children = Children(folder)
        kept = Kept(folder / "env")
        self.postgres, self._redis = (
            LocalPostgres(folder / "postgres", kept),
            LocalRedis(folder / "redis", kept),
        )

    @property
    def redis_url(self) -> str:
        return self._redis.url

    def start(self) -> None:
        database, redis = self.postgres.start(self.children), self._redis.start(self.children)
        self.postgres.wait(database)
        self._redis.wait(redis)
        application = make_app(self.config(self.empty("template")))
        with application.app_context():
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            dispose()

    def stop(self) -> None:
        self.children.stop(self.children.running, 15)
        self.children.end()
        self.postgres.remove()

    def empty(self, name: str) -> str:
        """A new empty database; its address."""
        self.postgres.create_database(name)
        return self.postgres.url(name)

    def config(self, url: str, **more: Any) -> Config:
        return make_config(url, **{"REDIS_URL": self.redis_url, **more})

    def database(self, name: str, account: str = ACCOUNT, **more: Any) -> Config:
        """A migrated database that knows its Stripe account; the settings to use it with."""
        create = sql.SQL("create database {} template template").format(sql.Identifier(name))
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(create)
        config = self.config(self.postgres.url(name), **more)
        with another_app(config):
            installation.record(db.session(), config, account)
            db.session.commit()
        return config


@contextmanager
def ground() -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="dunlin-bench-"))
    found = Ground(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    with tempfile.TemporaryDirectory() as folder, sandbox_in(Path(folder)) as found:
        yield found


def procfile(target: str, port: int, *, workers: int = 2) -> list[str]:
    """The web line of the Procfile for another application on a port of loopback."""
    [line] = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
    words = shlex.split(line.removeprefix("web:"))
    places = {
        "app:web()": target,
        "0.0.0.0:$PORT": f"127.0.0.1:{port}",
        "${WEB_CONCURRENCY:-1}": str(workers),
    }
    return [places.get(word, word) for word in words]


@contextmanager
def served(
    base: Ground, target: str, environ: dict[str, str], *, python: str = sys.executable, workers: int = 2
) -> Iterator[tuple[int, int]]:
    """Serve an application as the Procfile does; the port, and the process id of gunicorn.

    Raises ChildDied with what it said where it does not start.
    """
    port = free_port()
    command = [python, "-m", *procfile(target, port, workers=workers)]
    child = base.children.start(f"web-{port}", command, env={**os.environ, **environ}, cwd=ROOT)
    try:
        until(target, lambda: answers(port), base.children.check)
        yield port, child.process.pid  # the leash becomes what it starts
    finally:
        base.children.stop([child], 0)


def workers_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass(frozen=True)
class Template:
    """One subscription at the sandbox: its event of 5 KB with numbers to fill in, and the ids of what belongs to it."""

    event: bytes
    originals: dict[str, str]


def template(found: Sandbox, size: int = 5 * 1024) -> Template:
    """A paid subscription, and its ``customer.subscription.updated``, filled up with metadata to so many bytes."""
    stripe = found.stripe
    customer = stripe.customers.create({"email": "bench@example.com"})
    card = stripe.payment_methods.attach("pm_card_visa", {"customer": customer["id"]})
    price = stripe.prices.create(
        {
            "currency": "eur",
            "unit_amount": 2900,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Pro"},
        }
    )
    plan = stripe.subscriptions.create(
        {"customer": customer["id"], "items": [{"price": price["id"]}], "default_payment_method": card["id"]}
    )
    stripe.subscriptions.update(plan["id"], {"metadata": {"plan": "pro"}})
    [event] = stripe.events.list({"type": "customer.subscription.updated", "limit": 1}).to_dict(
        for_json=True
    )["data"]
    [payment] = stripe.payment_intents.list({"customer": customer["id"]})["data"]
    body = json.loads(json.dumps(event).replace(event["id"], EVENT).replace(plan["id"], SUBJECT))
    notes = body["data"]["object"]["metadata"]
    while (missing := size - len(json.dumps(body))) > 20:
        notes[f"note_{len(notes):02}"] = "x" * min(480, missing - 15)
    originals = {"sub": plan["id"], "cus": customer["id"], "in": plan["latest_invoice"], "pi": payment["id"]}
    return Template(json.dumps(body).encode(), originals)

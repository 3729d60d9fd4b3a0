"""A process is killed on its way through a write to Stripe; whoever comes next ends the write, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from billing import writes
from billing.config import Config
from billing.extensions import db
from billing.models import StripeWrite
from tests.draining import drain
from tests.registry import (
    LEASE_OVER,
    assert_made_once,
    customer_of,
    customers,
    over_a_wire,
    perform,
    row_of,
    sweep,
    time_passes,
)
from tests.scene import AtDesk
from tests.story import Shopper, config_of, count, shopper
from tests.support import Sandbox, wait_until
from tests.wire import Reply, Sent, Wire

ROOT = Path(__file__).parent.parent
LOCK = 7
# What a web process does for somebody's first order, with nothing around it.
CHILD = """
import sys
from app import create_app
from billing import people, writes
from billing.extensions import db
from billing.installation import public_id
from billing.models import User
with create_app().app_context():
    user = db.session.get_one(User, int(sys.argv[1]))
    writes.perform(db.session(), people.create_customer(user, public_id(db.session())))
"""
Trap = Callable[[], bool]


@pytest.fixture
def wire(app: Flask, sandbox_process: Sandbox) -> Iterator[Wire]:
    """Every test ends with all oracles."""
    with over_a_wire(app, sandbox_process) as found:
        scene = AtDesk(app)
        yield found
        drain(app, delivers=False)
        scene.ask()


@pytest.fixture
def alice(app: Flask) -> Shopper:
    return shopper(app)


def environ(config: Config, wire: Wire) -> dict[str, str]:
    """The settings of the application, as another process reads them."""
    return {
        **os.environ,
        "APP_ENV": "development",
        "SECRET_KEY": config.secret_key,
        "DATABASE_URL": config.database_url,
        "REDIS_URL": config.redis_url,
        "STRIPE_SECRET_KEY": config.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": config.stripe_webhook_secrets[0].value,
        "STRIPE_API_BASE": wire.url,
        "PUBLIC_URL": config.public_url,
        "SMTP_URL": config.smtp_url,
        "MAIL_FROM": config.mail_from,
    }


@contextmanager
def stopped_at_state(app: Flask, state: str) -> Iterator[Trap]:
    """Whoever brings a write to this state stands still in the database before it is so."""
    with psycopg.connect(config_of(app).database_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK])
        # The application waits two seconds at most for a lock; here it waits until it is killed.
        other.execute(
            "create function stand_still() returns trigger language plpgsql as $$ begin"
            " perform set_config('lock_timeout', '0', true);"
            f" perform pg_advisory_xact_lock({LOCK}); return new; end $$"
        )
        other.execute(
            "create trigger stand_still before update on stripe_writes for each row"
            f" when (new.state = '{state}' and old.state <> '{state}') execute function stand_still()"
        )
        waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        yield lambda: other.execute(waits).fetchone() == (1,)
        other.execute("select pg_advisory_unlock(%s)", [LOCK])
        other.execute("drop function stand_still cascade")


@contextmanager
def stopped_on_the_wire(wire: Wire, *, done: bool) -> Iterator[Trap]:
    """The request arrives and gets no answer; ``done``: Stripe does it all the same."""
    arrived, over = threading.Event(), threading.Event()

    def hold(sent: Sent) -> Reply | None:
        if done:
            wire.pass_on(sent)
        arrived.set()
        over.wait(60)
        return None

    wire.answer = hold
    yield arrived.is_set
    over.set()
    wire.answer = wire.pass_on


@contextmanager
def stopped(app: Flask, wire: Wire, where: str) -> Iterator[Trap]:
    if where in ("before the call", "with the answer in hand"):
        with stopped_at_state(app, "in_flight" if where == "before the call" else "done") as trap:
            yield trap
    else:
        with stopped_on_the_wire(wire, done=where == "after stripe did it") as trap:
            yield trap


def killed(app: Flask, wire: Wire, person: Shopper, where: str) -> None:
    """Start a process that makes the person a customer, and kill it at that place."""
    db.session.rollback()  # a process takes its time to start: no transaction of ours waits for it
    command = [sys.executable, "-c", CHILD, str(person.id)]
    with stopped(app, wire, where) as trap:
        child = subprocess.Popen(command, cwd=ROOT, env=environ(config_of(app), wire), stderr=subprocess.PIPE)
        try:
            wait_until(lambda: trap() or child.poll() is not None, f"the process to be {where}")
        finally:
            child.kill()
            _, said = child.communicate(timeout=20)
        assert child.returncode == -signal.SIGKILL, said.decode()


# Where it is killed: what is at Stripe then, and what the row says.
PLACES = {
    "before the call": (0, "pending"),
    "before stripe did it": (0, "in_flight"),
    "after stripe did it": (1, "in_flight"),
    "with the answer in hand": (1, "in_flight"),
}


@pytest.mark.parametrize("where", PLACES)
def test_a_write_whose_process_was_killed_is_ended_by_the_completer_and_done_once(
    app: Flask, wire: Wire, alice: Shopper, where: str
) -> None:
    killed(app, wire, alice, where)
    request, (objects, state) = customer_of(alice), PLACES[where]
    assert (len(customers(alice)), row_of(request).state, alice.customer) == (objects, state, "")
    assert writes.finish_open(db.session()) == 0, "nobody knows yet that the process is dead"
    assert sweep() == 1
    assert_made_once(wire, alice, request)


def test_killed_again_and_again_on_different_ways_it_is_still_one_write_when_the_person_comes_back(
    app: Flask, wire: Wire, alice: Shopper
) -> None:
    for where in ("after stripe did it", "with the answer in hand"):
        killed(app, wire, alice, where)
        time_passes(LEASE_OVER)
    request = customer_of(alice)
    assert perform(request)["id"] == alice.customer
    assert_made_once(wire, alice, request)
    assert (count(StripeWrite), len(wire.writes)) == (1, 3)

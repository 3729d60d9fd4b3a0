"""What every history stands on: a database whose clock is ours, a sandbox in this process, and the desk itself.

Made once for a process; ``Ground.anew`` brings all of it back to the first moment.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask_migrate
import psycopg
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session
from werkzeug.test import Client

import billing
import sandbox
from billing import catalogue, inbox, installation, jobs, passwords
from billing.extensions import db
from billing.models import PlanPrice, User
from sandbox.api import server
from sandbox.app import create_app as sandbox_app
from sandbox.house import House, open_house
from tests import oracles
from tests.conftest import ROOT, make_app, make_config
from tests.simulation import dice, doors, hours, stripe_door
from tests.support import PASSWORD, Databases

PEOPLE = ("alice@example.com", "bob@example.com")
STRANGERS = ("carol@example.com",)
ADMIN = "admin@example.com"
PORTAL = "http://127.0.0.1:8"
WEBHOOKS = f"{PORTAL}/webhooks/stripe"
KEY = {"Authorization": "Bearer sk_test_0123456789abcdefghij"}

# Names that are found before PostgreSQL's own. A transaction has one ``now()``, as it should.
CLOCK = """
create schema sim;
create sequence sim.tick;
create function sim.read() returns timestamptz language sql volatile as
  $$ select timestamptz 'epoch' + nextval('sim.tick') * interval '1 microsecond' $$;
create function sim.clock_timestamp() returns timestamptz language sql volatile as $$ select sim.read() $$;
create function sim.statement_timestamp() returns timestamptz language sql volatile as $$ select sim.read() $$;
create function sim.now() returns timestamptz language plpgsql volatile as $$
declare mark text := extract(epoch from pg_catalog.now())::text;
        kept text := current_setting('sim.kept', true);
begin
  if kept is null or split_part(kept, '|', 1) <> mark then
    kept := mark || '|' || sim.read()::text;
    perform set_config('sim.kept', kept, false);
  end if;
  return split_part(kept, '|', 2)::timestamptz;
end $$;
do $$ declare one record; begin
  for one in select table_name, column_name from information_schema.columns
             where table_schema = 'public' and column_default like '%now()%' loop
    execute format('alter table public.%I alter column %I set default sim.now()', one.table_name, one.column_name);
  end loop; end $$;
"""
WATCH = """
-- Leases that somebody took whose owner had not given them back.
create table sim.taken_over (name text);
create function sim.take_over() returns trigger language plpgsql as $$
begin
  if new.fence > old.fence and old.until <> '-infinity' then
    insert into sim.taken_over values (new.name);
  end if;
  return new;
end $$;
create trigger take_over before update on public.leases for each row execute function sim.take_over();
"""


@dataclass
class Ground:
    """``raw``: a connection of the world's own, which no door watches."""

    app: Flask
    house: House
    stripe: Client
    raw: psycopg.Connection[Any]
    folder: Path
    tables: list[str]
    kept: list[str]
    numbered: list[str]

    def anew(self, seed: int | str) -> None:
        """Everything as at the first moment, whatever happened before."""
        with self.app.app_context():
            for engine in db.engines.values():
                _fresh(engine)
        hours.hours.begin()
        dice.begin(seed)
        self.raw.execute("set session_replication_role = replica")  # the audit takes inserts only
        self.raw.execute(f"truncate {', '.join(self.tables)}, watched.wrong, sim.taken_over restart identity")
        for table in self.kept:
            self.raw.execute(f"insert into public.{table} overriding system value select * from kept.{table}")
        self.raw.execute("set session_replication_role = origin")
        for table in self.numbered:
            self.raw.execute(
                f"select setval(pg_get_serial_sequence('public.{table}', 'id'), (select max(id) from public.{table}))"
            )
        self.raw.execute("select setval('sim.tick', %s)", [round(hours.hours.now * 1e6)])
        self.house.store.load(self.folder / "begin.db")
        self.app.extensions["bell"].waiting = 0
        self.app.extensions["bell_quiet_until"] = float("-inf")

    def move_database(self) -> None:
        """The database's clock goes as far as ours; never back."""
        there = round(hours.hours.now * 1e6)
        self.raw.execute("select setval('sim.tick', greatest(last_value, %s)) from sim.tick", [there])


@contextmanager
def ground(folder: Path, server: str | None, ear: logging.Handler) -> Iterator[Ground]:
    """``server``: one that is there already; else one of our own."""
    with Databases.open(server) as databases:
        url = databases.create("dunlin_simulation")
        house = open_house(folder, 9)
        stripe_app = sandbox_app()
        _import_all()
        app = _desk(url, stripe_app)
        with psycopg.connect(url, autocommit=True) as raw:
            _prepare(app, raw)
            _listen(ear)
            found = _settled(app, house, Client(stripe_app), raw, folder)
            gc.collect()
            gc.freeze()  # the house stays: it need not be looked through for garbage after each history
            gc.set_threshold(50_000, 20, 20)
            gc.enable()
            yield found
            with app.app_context():
                for engine in db.engines.values():
                    engine.dispose()
        databases.drop("dunlin_simulation")
        house.store.close()


def _fresh(engine: Engine) -> None:
    """Nobody has a connection. Those that nobody lost are kept, since a new one knows no table and no plan yet."""
    if engine.pool.checkedout():  # type: ignore[attr-defined]
        engine.dispose()
    engine.pool._timeout = 0  # type: ignore[attr-defined]  # who waits would wait in vain
    engine.connect().close()  # the first connection is made under a lock, and nobody may go on meanwhile


def _made_cheap(app: Flask) -> None:
    """What would cost half of the time, and is tested elsewhere: planning each statement anew, and slow hashes."""
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with app.app_context():
        for engine in db.engines.values():

            @event.listens_for(engine, "do_connect")
            def keep_plans(_dialect: Any, _record: Any, _args: Any, given: dict[str, Any]) -> None:
                given["prepare_threshold"] = 1

            @event.listens_for(engine, "connect")
            def keep_many(connection: Any, _record: Any) -> None:
                connection.prepared_max = 2000


def _import_all() -> None:
    """What is imported later would ask the real clock."""
    importlib.import_module("stripe._webhook")
    for package in (billing, sandbox):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)


def _desk(url: str, stripe_app: Flask) -> Flask:
    hours.take_over()
    dice.take_over()
    dice.begin("ground")
    made = Client(stripe_app).post(
        "/v1/webhook_endpoints",
        data={"url": WEBHOOKS, "enabled_events[]": _types(), "api_version": "2026-10-28.endive"},
        headers=KEY,
    )
    config = make_config(
        url,
        public_url=PORTAL,
        api_base=stripe_door.ADDRESS,
        secret=made.get_json()["secret"],
    )
    app = make_app(config)
    app.extensions["stripe"]._requestor._client._session = stripe_door.session_to(stripe_app)
    doors.take_over(app)
    _made_cheap(app)
    # Nobody reads its answers but the SDK, and without indents they are made much faster.
    server.json = SimpleNamespace(dumps=lambda body, **_: json.dumps(body), loads=json.loads)  # type: ignore[assignment]
    return app


def _types() -> list[str]:
    """What is acted on, and one that is not."""
    return [*(name for name in jobs.HANDLERS if not inbox.is_ours(name)), "customer.created"]


def _prepare(app: Flask, raw: psycopg.Connection[Any]) -> None:
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
    raw.execute(CLOCK)
    raw.execute(oracles.WATCH + WATCH)
    raw.execute(f"alter database {raw.info.dbname} set search_path = sim, pg_catalog, public")
    raw.execute("set search_path = public, pg_catalog, sim")
    raw.execute("select setval('sim.tick', %s)", [round(hours.hours.now * 1e6)])


def _listen(ear: logging.Handler) -> None:
    """Nothing is printed; whatever is an error is heard."""
    root = logging.getLogger()
    for name in [None, *logging.root.manager.loggerDict]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate, logger.disabled = True, False
    root.addHandler(ear)
    root.setLevel(logging.WARNING)
    logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)


def _plans_in_the_portal(stripe: Client, session: Session) -> None:
    """Somebody allowed at the dashboard that Stripe's portal changes plans."""
    [usual] = stripe.get("/v1/billing_portal/configurations?is_default=true", headers=KEY).get_json()["data"]
    update = "features[subscription_update]"
    form = {f"{update}[enabled]": "true", f"{update}[proration_behavior]": "always_invoice"}
    form[f"{update}[default_allowed_updates][0]"] = "price"
    sold = session.query(PlanPrice).filter(PlanPrice.interval.is_not(None)).order_by(PlanPrice.lookup_key)
    products: dict[str, list[str]] = {}
    for price in sold:
        products.setdefault(price.product_id, []).append(price.price_id)
    for number, (product, prices) in enumerate(products.items()):
        form[f"{update}[products][{number}][product]"] = product
        form |= {f"{update}[products][{number}][prices][{n}]": price for n, price in enumerate(prices)}
    said = stripe.post(f"/v1/billing_portal/configurations/{usual['id']}", data=form, headers=KEY)
    assert said.status_code == 200, said.text


def _settled(app: Flask, house: House, stripe: Client, raw: psycopg.Connection[Any], folder: Path) -> Ground:
    """An installation with its catalogue at Stripe, and people who have not bought anything yet."""
    with app.app_context():
        session, config = db.session(), app.extensions["config"]
        installation.record(session, config, house.account_id())
        session.commit()
        catalogue.push(session, app.extensions["catalogue"])
        _plans_in_the_portal(stripe, session)
        hashed = passwords.make_hash(PASSWORD)
        for email in (*PEOPLE, ADMIN):
            before = hours.Today.now(UTC) - timedelta(days=1)  # every history begins after it
            there = {"email_confirmed_at": before, "created_at": before, "is_admin": email == ADMIN}
            session.add(User(email=email, password_hash=hashed, **there))
            session.flush()
        session.commit()
        db.session.remove()
    house.store.write("DELETE FROM deliveries")
    house.store.save(folder / "begin.db")
    found = raw.execute("select tablename from pg_tables where schemaname = 'public' order by 1").fetchall()
    tables = [f"public.{name}" for (name,) in found if name != "alembic_version"]
    kept = []
    raw.execute("create schema kept")
    for table in tables:
        name = table.removeprefix("public.")
        if raw.execute(f"select exists (select from {table})").fetchone() == (True,):
            raw.execute(f"create table kept.{name} as table {table}")
            kept.append(name)
    numbered = [
        name
        for name in kept
        if raw.execute(
            "select 1 from information_schema.columns where table_schema = 'public' and table_name = %s"
            " and is_identity = 'YES'",
            [name],
        ).fetchone()
    ]
    return Ground(app, house, stripe, raw, folder, tables, kept, numbered)

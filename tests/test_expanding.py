"""Each migration only adds: the release before goes on working on it, and traffic is never stopped for long."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask_migrate
import psycopg
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from billing import schema
from billing.extensions import db
from tests.conftest import ROOT, dispose, make_app, make_config
from tests.processes import running
from tests.story import config_of
from tests.support import Databases, deliver, make_event, wait_until

MIGRATIONS = str(ROOT / "migrations")
REVISIONS = [script.revision for script in ScriptDirectory(MIGRATIONS).walk_revisions()][::-1]
UPGRADE = ["-m", "flask", "--app", "app", "db", "upgrade"]

# Rows as the release of that revision writes them. They stay here as they are: a later schema must take them too.
WRITTEN: dict[str, tuple[str, ...]] = {
    "0001": (
        "insert into users (email, password_hash, email_confirmed_at, is_admin)"
        " values (:n || '@example.com', 'x', now(), false)",
        "insert into stripe_events (event_id, type, livemode, stripe_created, payload, source, state)"
        " values ('evt_' || :n, 'invoice.paid', false, now(), '{}', 'webhook', 'pending')",
        "insert into subscriptions (stripe_id, user_id, status, price_id, currency, quantity, created,"
        " cancel_at_period_end, collection_method, livemode, fetch_no, fetched_at, cause_event_id)"
        " select 'sub_' || :n, max(id), 'active', 'price', 'eur', 1, now(), false, 'charge_automatically', false,"
        " 1, now(), 'evt_' || :n from users",
        "insert into audit (actor, kind, alert) values ('stripe', 'subscription.status', false)",
        "insert into leases (name, token, until, fence) values ('cus_' || :n, 'x', now(), 1)",
        "insert into stripe_writes (name, operation, params, params_sha256, idempotency_key, state)"
        " values (:n, 'customer.create', '{}', '0', :n, 'pending')",
    ),
    "0002": ("insert into sync_runs (actor, started_at) values ('clock', now())",),
    "0003": (),
    "0004": (
        "insert into comps (user_id, plan, until, reason, given_by)"
        " select max(id), 'pro', now(), 'x', max(id) from users",
    ),
    "0005": (),
    "0006": (),
    "0007": (),
    "0008": (),
    "0009": (),
    "0010": (
        "insert into grants (key, user_id, kind, feature, amount)"
        " select :n, max(id), 'granted', '', 100 from users",
    ),
    "0011": (
        "insert into refunds (stripe_id, user_id, amount, currency, status, created, fetch_no, cause_event_id)"
        " select 're_' || :n, user_id, 500, currency, 'succeeded', now(), 1, cause_event_id from subscriptions limit 1",
        "insert into fraud_warnings (stripe_id, user_id, actionable, fraud_type, amount, currency, created, fetch_no,"
        " cause_event_id) select 'issfr_' || :n, user_id, true, 'misc', 500, currency, now(), 1, cause_event_id"
        " from subscriptions limit 1",
        "insert into disputes (stripe_id, user_id, status, reason, amount, currency, created, funds, fetch_no,"
        " cause_event_id) select 'du_' || :n, user_id, 'won', 'general', 500, currency, now(), 'reinstated', 1,"
        " cause_event_id from subscriptions limit 1",
    ),
    "0012": (),
    "0013": ("insert into data_exports (user_id, state) select max(id), 'asked' from users",),
    "0014": (
        "insert into deletions (user_id, due_at) select max(id), now() from users",
        "update users set deletion_due_at = now() where id = (select max(id) from users)",
    ),
    "0015": (),
}
COLUMNS = (
    "select table_name || '.' || column_name, data_type, is_nullable, column_default is not null or is_identity = 'YES'"
    " from information_schema.columns where table_schema = 'public'"
)
BEFORE_LAST: set[str] = set()  # what the release before has
INDEXES = (
    "select relname::text from pg_index join pg_class on oid = indexrelid where indisvalid"
    " and relnamespace = 'public'::regnamespace"
)
FILES = (
    "select relname, relfilenode from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
)


@pytest.fixture
def empty(databases: Databases) -> Iterator[Flask]:
    """The application on a database that nobody has migrated."""
    application = make_app(make_config(databases.create("dunlin_expanding")))
    with application.app_context():
        yield application
        db.session.remove()
        dispose()
    databases.drop("dunlin_expanding")


def upgrade(to: str) -> None:
    db.session.remove()
    flask_migrate.upgrade(directory=MIGRATIONS, revision=to)


def asked(query: str) -> list[tuple[Any, ...]]:
    found = [tuple(row) for row in db.session.execute(text(query))]
    db.session.rollback()
    return found


def test_the_release_before_finds_all_it_knows_and_can_write_all_it_writes_after_each_migration(
    empty: Flask,
) -> None:
    assert list(WRITTEN) == REVISIONS, "write down here what the release of the new migration inserts"
    columns: dict[str, tuple[str, str]] = {}
    files: dict[str, int] = {}
    for number, revision in enumerate(REVISIONS):
        upgrade(revision)
        now_there = {name: (kind, empty_) for name, kind, empty_, _ in asked(COLUMNS)}
        for name, (kind, may_be_empty) in columns.items():
            assert name in now_there, f"{revision} drops or renames {name}"
            assert now_there[name] in ((kind, may_be_empty), (kind, "YES")), f"{revision} changes {name}"
        for name, _, may_be_empty, filled in asked(COLUMNS):
            if name not in columns and name.partition(".")[0] in files:
                assert filled or may_be_empty == "YES", (
                    f"{revision} adds {name}, which the release before leaves out"
                )
        kept = dict(asked(FILES))
        assert {name: kept[name] for name in files} == files, f"{revision} rewrites a table"
        for known in REVISIONS[: number + 1]:
            for statement in WRITTEN[known]:
                db.session.execute(text(statement), {"n": f"{revision}_{known}"})
        db.session.commit()
        columns, files = now_there, kept


@pytest.fixture
def before(empty: Flask) -> Flask:
    """The schema of the release before the last migration, with traffic on it."""
    upgrade(REVISIONS[-2])
    BEFORE_LAST.update(there())
    return empty


def tables() -> list[str]:
    return sorted(name for (name,) in asked(FILES.replace("relname, relfilenode", "relname")))


def address(app: Flask) -> str:
    return config_of(app).database_url.replace("+psycopg", "")


def delivered(app: Flask) -> tuple[str, int]:
    event = make_event("invoice.paid", {"id": "in_1", "object": "invoice"})
    return event["id"], deliver(app, event).status_code


def there() -> set[str]:
    """Columns, and the indexes that are whole."""
    return {name for name, *_ in [*asked(COLUMNS), *asked(INDEXES)]}


def is_there(revision: str) -> bool:
    """Whether what the last migration adds is there, all of it (its last statement writes its number) or none."""
    added = there() - BEFORE_LAST
    assert schema.found(db.session()) == (revision if added else REVISIONS[-2]), "half of it"
    db.session.rollback()
    return bool(added)


def test_a_migration_that_meets_a_lock_gives_up_soon_leaves_nothing_and_costs_no_event(before: Flask) -> None:
    """Somebody writes into the tables for a long time. What is added comes in one transaction, or not."""
    taken: list[str] = []
    with psycopg.connect(address(before)) as writer, ThreadPoolExecutor(1) as pool:
        writer.execute(f"lock table {', '.join(tables())} in row exclusive mode")
        migration = pool.submit(upgrade_elsewhere, before)
        while not migration.done():
            event, status = delivered(before)
            assert status in (200, 503), "taken, or Stripe sends it again"
            taken += [event] if status == 200 else []
        with pytest.raises(OperationalError, match="LockNotAvailable"):
            migration.result()
        writer.rollback()
    assert is_there(REVISIONS[-1]) is False
    event, status = delivered(before)
    assert status == 200
    upgrade("head")
    assert is_there(REVISIONS[-1]) is True
    kept = {name for (name,) in asked("select event_id from stripe_events")}
    assert {*taken, event} <= kept


def upgrade_elsewhere(app: Flask) -> None:
    with app.app_context():
        upgrade("head")


def test_a_migration_that_is_killed_half_way_can_be_run_again(before: Flask) -> None:
    waits = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with (
        psycopg.connect(address(before)) as writer,
        psycopg.connect(address(before), autocommit=True) as watching,
    ):
        writer.execute(f"lock table {', '.join(tables())} in row exclusive mode")
        with running(UPGRADE, config_of(before)) as migration:
            wait_until(
                lambda: watching.execute(waits).fetchone() or migration.poll() is not None,
                "it to be half-way",
            )
            assert migration.poll() is None
            os.kill(migration.pid, signal.SIGKILL)
        writer.rollback()
    # the server notices when it next looks at the dead connection: at once, or after the wait for the lock
    wait_until(lambda: asked(waits) == [], "the dead one's transaction to end")
    # An index that is made beside the traffic is in no transaction, and may be whole by now.
    indexes = {name for (name,) in asked(INDEXES)}
    assert there() - BEFORE_LAST - indexes == set()
    assert schema.found(db.session()) == REVISIONS[-2]
    db.session.rollback()
    upgrade("head")
    assert is_there(REVISIONS[-1]) is True


def test_worker_and_clock_do_not_start_before_the_migrations_and_say_so(before: Flask) -> None:
    for name in ("work", "clock"):
        with running(["-m", "flask", "--app", "app", name], config_of(before)) as process:
            said, _ = process.communicate(timeout=60)
        assert (process.returncode, said.decode().splitlines()[-1]) == (
            1,
            "The database lacks migrations of this version; run `flask db upgrade`.",
        )

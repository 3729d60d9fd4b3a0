"""Two roles: the application works as one that owns nothing, and that can't change what it has written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import flask_migrate
import psycopg
import pytest
from flask import Flask
from psycopg import sql
from sqlalchemy import make_url, text

from billing.config import Config, database_url
from billing.extensions import db
from billing.models import AuditEntry, Installation, StripeEvent
from tests.conftest import ROOT, dispose, make_app, make_config
from tests.histories import History, sandbox_in
from tests.processes import command, running
from tests.story import config_of, count, fresh, shopper
from tests.support import Databases, Sandbox, wait_until
from tests.test_workers import ANSWER

PASSWORD = "of-tests-0123456789"


@dataclass(frozen=True)
class Roles:
    """A database, its server's superuser, and two roles without any right to it."""

    database: str
    owner: str
    app: str

    def url(self, role: str) -> str:
        return (
            make_url(database_url(self.database))
            .set(username=role, password=PASSWORD)
            .render_as_string(False)
        )

    def connect(self, role: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(role).replace("+psycopg", ""), autocommit=True)


@contextmanager
def roles_on(database: str, **settings: str) -> Iterator[Roles]:
    """Two new roles, dropped with all that they own. Skips where the server's user may not make roles."""
    found = Roles(database, f"tests_owner_{os.getpid()}", f"tests_app_{os.getpid()}")
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as server:
        if server.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() != (True,):
            pytest.skip("the user of TEST_DATABASE_URL may not make roles")
        for role in (found.owner, found.app):
            made = sql.SQL("create role {} login password {}")
            server.execute(made.format(sql.Identifier(role), sql.Literal(PASSWORD)))
    try:
        yield found
    finally:
        with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as server:
            for role in (found.app, found.owner):
                name = sql.Identifier(role)
                server.execute(sql.SQL("reassign owned by {} to current_user").format(name))
                server.execute(sql.SQL("drop owned by {}").format(name))
                server.execute(sql.SQL("drop role {}").format(name))


@pytest.fixture
def roles(databases: Databases) -> Iterator[Roles]:
    """An empty database that belongs to the owner, who is no superuser."""
    url = databases.create("dunlin_roles")
    with roles_on(url) as found:
        with psycopg.connect(url, autocommit=True) as server:
            name, owner = sql.Identifier(make_url(url).database or ""), sql.Identifier(found.owner)
            server.execute(sql.SQL("alter database {} owner to {}").format(name, owner))
        yield found
    databases.drop("dunlin_roles")


def upgrade(config: Config) -> None:
    application = make_app(config)
    with application.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
        dispose()


def refused(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> bool:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_a_role_that_owns_nothing_adds_to_the_record_and_can_change_neither_it_nor_any_table(
    roles: Roles,
) -> None:
    config = make_config(roles.url(roles.app), MIGRATION_DATABASE_URL=roles.url(roles.owner))
    upgrade(config)
    upgrade(config)  # each release does it again
    with roles.connect(roles.app) as app, roles.connect(roles.owner) as owner:
        rights = "select has_table_privilege(%s, 'audit', %s)"
        for right, expected in {
            "select": True,
            "insert": True,
            "update": False,
            "delete": False,
            "truncate": False,
        }.items():
            assert owner.execute(rights, [roles.app, right]).fetchone() == (expected,), right
        app.execute("insert into audit (actor, kind, alert) values ('tests', 'made', false)")
        app.execute("insert into rate_hits values ('a', now(), 1)")
        for statement in (
            "update audit set actor = 'nobody'",
            "delete from audit",
            "truncate audit",
            "truncate users",
            "update alembic_version set version_num = '0001'",
            "create table mine (id int)",
            "drop table audit",
            "alter table audit disable trigger audit_is_append_only",
            "drop trigger audit_is_append_only on audit",
            "create or replace function refuse_change() returns trigger language sql as 'select 1'",
            f"set role {roles.owner}",
        ):
            assert refused(app, statement), statement
        app.execute(
            f"grant update on audit to {roles.app}"
        )  # a warning: there is nothing that it may pass on
        assert owner.execute(rights, [roles.app, "update"]).fetchone() == (False,)
        owner.execute("create table of_a_later_migration (id bigserial primary key, word text)")
        app.execute("insert into of_a_later_migration (word) values ('a')")
        app.execute("update of_a_later_migration set word = 'b'")


def test_one_ordinary_role_for_everything_has_no_right_to_change_the_record_either(roles: Roles) -> None:
    """Being the owner, it could give itself one: that is what a role of its own is for."""
    upgrade(make_config(roles.url(roles.owner), MIGRATION_DATABASE_URL=roles.url(roles.owner)))
    with roles.connect(roles.owner) as owner:
        owner.execute("insert into audit (actor, kind, alert) values ('tests', 'made', false)")
        for statement in ("update audit set actor = 'nobody'", "delete from audit", "truncate audit"):
            assert refused(owner, statement), statement


def test_a_role_that_could_change_the_record_all_the_same_is_refused_at_the_release(roles: Roles) -> None:
    config = make_config(roles.url(roles.app), MIGRATION_DATABASE_URL=roles.url(roles.owner))
    with psycopg.connect(roles.database, autocommit=True) as server:
        server.execute(f"grant {roles.owner} to {roles.app}")
    with pytest.raises(SystemExit, match="no member of the role of MIGRATION_DATABASE_URL"):
        upgrade(config)
    with pytest.raises(SystemExit, match="DATABASE_URL names no user"):
        upgrade(make_config("postgresql:///dunlin", MIGRATION_DATABASE_URL=roles.url(roles.owner)))


@pytest.fixture
def sandbox_process(tmp_path: Path) -> Iterator[Sandbox]:
    """Of its own: the clock's reconciler takes up whatever is in Stripe's list."""
    with sandbox_in(tmp_path) as sandbox:
        yield sandbox


@pytest.fixture
def limited(desk: Flask) -> Iterator[Flask]:
    """The desk once more, by a role that owns nothing of its database."""
    config = config_of(desk)
    db.session.rollback()
    with roles_on(config.database_url) as roles:
        theirs = replace(
            config, database_url=roles.url(roles.app), migration_database_url=config.database_url
        )
        upgrade(theirs)
        application = make_app(theirs)
        application.extensions["sandbox"] = desk.extensions["sandbox"]
        with application.app_context():
            yield application
            db.session.remove()
            dispose()


def test_pages_deliveries_worker_and_clock_need_no_more_than_that_role_has(limited: Flask) -> None:
    assert db.session.execute(text("select current_user")).scalar_one().startswith("tests_app_")
    alice, history = shopper(limited), History(limited)
    assert alice.pay(alice.order()).status == 303
    history.deliver(history.news())
    db.session.rollback()
    with running(["-c", ANSWER], config_of(limited)) as worker:
        said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, said.decode()
    assert (alice.row.status, alice.mails()) == ("active", ["receipt"])
    assert count(StripeEvent, state=StripeEvent.PENDING) == 0
    assert count(AuditEntry) > 0
    assert alice.get("/app").status_code == 200
    db.session.rollback()
    with running(command("clock"), config_of(limited)) as clock:
        seen = wait_until(
            lambda: fresh(Installation, 1).reconciled_at or clock.poll() is not None,
            "each duty to be done",
            90,
        )
        db.session.rollback()
        clock.terminate()
        output, _ = clock.communicate(timeout=30)
    assert (clock.returncode, "duty failed" in output.decode()) == (0, False), output.decode()
    assert seen is not True

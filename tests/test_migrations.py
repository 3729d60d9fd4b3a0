"""The migrations alone make the schema that the models describe, and the database refuses what no code may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Engine, NullPool, create_engine, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing import audit, schema
from billing.config import database_url
from billing.extensions import Base, db
from billing.models import AuditEntry, Notice, StripeEvent, StripeWrite, User
from tests.admin_rows import add, mail, stripe_event, subscription
from tests.conftest import ROOT, dispose, make_app, make_config
from tests.support import Databases, make_user
from tests.watching import all_rows

MIGRATIONS = ROOT / "migrations"
VERSIONS = sorted((MIGRATIONS / "versions").glob("*.py"))


@pytest.fixture
def empty(databases: Databases) -> Iterator[Flask]:
    """The application on a database that nobody has migrated."""
    url = databases.create("dunlin_empty")
    application = make_app(make_config(url))
    with application.app_context():
        yield application
        db.session.remove()
        dispose()
    databases.drop("dunlin_empty")


def upgrade() -> None:
    flask_migrate.upgrade(directory=str(MIGRATIONS))


def test_an_empty_database_becomes_what_the_models_describe_and_nothing_changes_it_again(
    empty: Flask,
) -> None:
    session = db.session()
    assert schema.found(session) is None
    session.rollback()
    upgrade()
    before = all_rows(session)
    assert set(before) == {*Base.metadata.tables, "alembic_version"}
    assert schema.found(session) == schema.wanted()
    session.rollback()
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    subscription(
        session,
        add(session, User(email="a@example.com", password_hash="x", email_confirmed_at=text("now()"))),
    )
    filled = all_rows(session)
    assert filled["subscriptions"] != before["subscriptions"]
    upgrade()
    with pytest.raises(SystemExit):  # there is no way back, and trying to go there does no harm
        flask_migrate.downgrade(directory=str(MIGRATIONS), revision="base")
    assert all_rows(session) == filled


# A sequence’s default is left out: Alembic gives one to an integer key that the models fill themselves.
CATALOGUE = {
    "columns": "select table_name, column_name, data_type, is_nullable, is_identity,"
    " case when column_default not like 'nextval(%' then column_default end"
    " from information_schema.columns where table_schema = 'public'",
    "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
    " from pg_constraint where connamespace = 'public'::regnamespace",
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
}


def test_a_migrated_database_and_one_made_from_the_models_are_the_same_to_the_last_check(
    empty: Flask, databases: Databases
) -> None:
    # Alembic’s comparison sees no checks, no conditions of indexes and no names of constraints.
    Base.metadata.create_all(db.engine)
    with databases.copy_of("dunlin_template") as url:
        migrated = create_engine(database_url(url), poolclass=NullPool)
        for what, query in CATALOGUE.items():
            assert catalogue(migrated, query) == catalogue(db.engine, query), what


def catalogue(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(query))]
    assert len(rows) > 20
    return sorted((row for row in rows if row[0] != "alembic_version"), key=str)


def test_there_is_one_line_of_migrations_and_each_is_dated_and_says_what_it_is() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
    assert len(list(scripts.walk_revisions())) == len(VERSIONS)
    for script in scripts.walk_revisions():
        name = Path(script.path).name
        assert re.fullmatch(r"20\d\d-\d\d-\d\d-\d{4}_[a-z0-9_]+\.py", name), name
        assert script.doc


def refuses(session: Session, statement: object, message: str) -> None:
    with pytest.raises(DBAPIError, match=message):
        session.execute(text(statement) if isinstance(statement, str) else statement)  # type: ignore[call-overload]
    session.rollback()


def test_the_record_of_changes_takes_inserts_only(db_session: Session, alice: User) -> None:
    audit.record(db_session, "user.created", actor="user", user_id=alice.id)
    db_session.commit()
    for statement in ("update audit set actor = 'nobody'", "delete from audit", "truncate audit"):
        refuses(db_session, statement, "audit takes inserts only")
    assert db_session.query(AuditEntry).one().actor == "user"


def test_an_ended_subscription_stays_ended_and_no_older_lease_writes_over_a_newer(
    db_session: Session, alice: User
) -> None:
    row = subscription(db_session, alice, status="active", fetch_no=7)
    set_ = "update subscriptions set"
    refuses(db_session, f"{set_} fetch_no = 6", "was written under a newer lease")
    for final in ("canceled", "incomplete_expired"):
        ended = subscription(db_session, alice, status=final)
        refuses(db_session, f"{set_} status = 'active' where id = {ended.id}", f"has ended and stays {final}")
    db_session.execute(text(f"{set_} fetch_no = 7, status = 'canceled' where id = {row.id}"))
    db_session.commit()


def test_what_no_code_knows_and_what_may_be_there_once_is_refused_by_the_database(
    db_session: Session, alice: User
) -> None:
    mail(db_session, alice)
    stripe_event(db_session)
    write = {"name": "w", "operation": "x", "params": "{}", "params_sha256": "0", "idempotency_key": "k"}
    add(db_session, StripeWrite(**write))
    for model in (Notice, StripeEvent, StripeWrite):
        refuses(db_session, update(model).values(state="done and dusted"), f"ck_{model.__tablename__}_state")
    second = "insert into installation select 2, 'other', livemode, 'acct_2', '' from installation"
    refuses(db_session, second, "ck_installation_one")
    same = update(User).values(email="ALICE@Example.com").where(User.email == "bob@example.com")
    make_user(db_session, "bob@example.com")
    refuses(db_session, same, "uq_users_email_lower")


def test_an_audit_entry_of_any_day_stays_when_everything_else_of_a_person_goes(
    db_session: Session, alice: User
) -> None:
    audit.record(db_session, "user.created", actor="user", user_id=alice.id)
    db_session.commit()
    db_session.delete(alice)
    db_session.commit()
    assert db_session.query(AuditEntry).one().user_id is not None

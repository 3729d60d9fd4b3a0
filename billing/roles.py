"""Two roles: one owns the tables and migrates, the other runs the application and can't change what it wrote.

An owner may give any right back to itself, so the record of changes is safe from the application only where the
application is somebody else. That is so where ``MIGRATION_DATABASE_URL`` names another role than ``DATABASE_URL``.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from billing.config import Config
from billing.errors import ConfigError
from billing.extensions import engine_options

# {0}: the role of the application. May be run again and again; later tables are covered too.
GRANTS = (
    "grant usage on schema public to {0}",
    "grant select, insert, update, delete on all tables in schema public to {0}",
    "grant usage, select on all sequences in schema public to {0}",
    "alter default privileges in schema public grant select, insert, update, delete on tables to {0}",
    "alter default privileges in schema public grant usage, select on sequences to {0}",
    "revoke truncate, references, trigger on all tables in schema public from {0}",
    "revoke update, delete on audit from {0}",
    "revoke insert, update, delete on alembic_version from {0}",
)
FORBIDDEN = text(
    "select has_table_privilege(:role, 'audit', 'update, delete, truncate')"
    " or has_table_privilege(:role, 'alembic_version', 'insert, update, delete, truncate')"
    " or has_schema_privilege(:role, 'public', 'create')"
)


def owner(config: Config) -> Engine | None:
    """The engine that migrations run on, where they have a role of their own."""
    if config.migration_database_url is None:
        return None
    options = engine_options()["connect_args"]
    return create_engine(config.migration_database_url, poolclass=NullPool, connect_args=options)


def may_change_the_record(session: Session) -> str | None:
    """The role of the application where it could change the record of changes or the tables; else None."""
    role = str(session.execute(text("select current_user")).scalar_one())
    return role if session.execute(FORBIDDEN, {"role": role}).scalar() else None


def grant(connection: Connection, config: Config) -> None:
    """Give the application's role what it needs, and no more. The caller commits.

    Raises ConfigError where it could change the record all the same: a superuser, the owner, a member of the owner.
    """
    role = make_url(config.database_url).username
    if role is None:
        raise ConfigError("DATABASE_URL names no user; beside MIGRATION_DATABASE_URL it must.")
    if role == make_url(config.migration_database_url or "").username:
        return  # the same role by another way, past a pooler
    name = connection.dialect.identifier_preparer.quote(role)
    for statement in GRANTS:
        connection.exec_driver_sql(statement.format(name))
    if connection.execute(FORBIDDEN, {"role": role}).scalar():
        raise ConfigError(
            f"The role {role} of DATABASE_URL may change tables or the record of changes; it must own nothing, be no "
            "superuser and no member of the role of MIGRATION_DATABASE_URL."
        )

"""How Alembic reaches the database, each migration in a transaction of its own.

With the application's own role; or, where ``MIGRATION_DATABASE_URL`` is set, with that one, which then gives the
application's role what it needs (``billing/roles.py``).
"""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import inspect, text

from billing import roles, running
from billing.errors import ConfigError
from billing.extensions import db

LOCK_TIMEOUT = "2s"


def run() -> None:
    """Run the migrations online, never waiting longer than two seconds for a lock that traffic holds."""
    config = running.config()
    owner = roles.owner(config)
    with (owner or db.engines[None]).connect() as connection:
        connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("set statement_timeout = '15min'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            compare_type=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        if owner is not None and "alembic_version" in inspect(connection).get_table_names():
            try:
                roles.grant(connection, config)
            except ConfigError as problem:
                raise SystemExit(str(problem)) from problem
            connection.commit()


if context.is_offline_mode():
    raise SystemExit("Dunlin's migrations run against a database; remove --sql.")
assert current_app, "run migrations by `flask --app app db upgrade`"
run()

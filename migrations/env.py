"""How Alembic reaches the database: with the application's own engine, each migration in a transaction."""

from __future__ import annotations

from alembic import context
from flask import current_app
from sqlalchemy import text

from billing.extensions import db

LOCK_TIMEOUT = "2s"


def run() -> None:
    """Run the migrations online, never waiting longer than two seconds for a lock that traffic holds."""
    with db.engines[None].connect() as connection:
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


if context.is_offline_mode():
    raise SystemExit("Dunlin's migrations run against a database; remove --sql.")
assert current_app, "run migrations by `flask --app app db upgrade`"
run()

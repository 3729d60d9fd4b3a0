"""The Flask extensions, made once and bound to the application in ``app.create_app``."""

from __future__ import annotations

import logging
from select import POLLIN, poll
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import psycopg
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from flask_wtf import CSRFProtect
from sqlalchemy import MetaData, Table, event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

log = logging.getLogger(__name__)


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop what it made."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class LettingGo(Session):
    """A session whose connection was lost is closed all the same."""

    def close(self) -> None:
        """What was to be kept is committed by now. To roll back on a connection that is no longer there is no failure:
        a page that is made would be answered 500, and the clock would end."""
        try:
            super().close()
        except DBAPIError as problem:
            if not problem.connection_invalidated:
                raise
            log.warning("connection lost at the end", extra={"reason": type(problem).__name__})


db = SQLAlchemy(model_class=Base, disable_autonaming=True, session_options={"class_": LettingGo})
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


def table_of(model: type[Base]) -> Table:
    """What a model is written to, for statements that no session need keep its objects in step with."""
    return cast(Table, model.__table__)


migrate = Migrate(compare_type=True, compare_server_default=False)
login_manager = LoginManager()
csrf = CSRFProtect()

# A demoted primary keeps its connections open and refuses every write (25006), and a question whether it
# lives does not notice; 57P01..57P03 say that the server is going away. Both need new connections, not these.
LOST_SERVER = {"25006", "57P01", "57P02", "57P03"}


INTAKE_CONNECTIONS = 2
ASK_AFTER = 5.0  # seconds


def engine_options(
    *, statement_timeout: str = "5s", pool_size: int = 5, max_overflow: int = 2
) -> dict[str, Any]:
    """Options of a pool: short waits, keepalives, values kept out of error texts.

    Whatever the role or the database says, what was committed is on disk, since a mail that was sent must not be
    forgotten, and a second delivery of an event waits for the first and skips, which only READ COMMITTED does.
    Nothing is prepared on the server, so that a pooler may give each transaction another connection.
    """
    settings = (
        f"-c statement_timeout={statement_timeout} -c lock_timeout=2s -c synchronous_commit=on"
        " -c idle_in_transaction_session_timeout=10s -c timezone=UTC"
        " -c default_transaction_isolation=read\\ committed"
    )
    return {
        "pool_size": pool_size,
        "max_overflow": max_overflow,
        "pool_timeout": 3,
        "hide_parameters": True,
        "connect_args": {
            "connect_timeout": 3,
            "options": settings,
            "prepare_threshold": None,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,  # milliseconds; a server that vanished would else be waited for 15 minutes
        },
    }


def intake_options() -> dict[str, Any]:
    """Options of the intake's own pool, which the pages can't starve.

    Its one insert needs no BEGIN and COMMIT around it. What it was told is committed is on disk, whatever
    the role or the database says of ``synchronous_commit``.
    """
    options = engine_options(statement_timeout="4s", pool_size=INTAKE_CONNECTIONS, max_overflow=0)
    options["connect_args"]["options"] += " -c synchronous_commit=on"
    return {**options, "isolation_level": "AUTOCOMMIT"}


@event.listens_for(Pool, "checkin")
def note_the_time(connection: object, record: ConnectionPoolEntry) -> None:
    """Since when this connection is idle."""
    record.info["idle_since"] = monotonic()


@event.listens_for(Pool, "checkout")
def see_that_it_lives(
    connection: psycopg.Connection[Any], record: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    """Ask a pooled connection whether it still leads anywhere, where there is doubt; else the pool makes new ones.

    A server that ends a connection says so on its socket, which costs no question: whatever came while nobody asked
    is reason to ask. One that vanished says nothing: it is asked after ``ASK_AFTER`` seconds without a word.
    """
    since = record.info.pop("idle_since", None)
    if since is None or (monotonic() - since < ASK_AFTER and not _speaks(connection)):
        return
    try:
        connection.execute("select 1")
        connection.rollback()
    except psycopg.Error as problem:
        raise InvalidatePoolError("the connection is gone") from problem


def _speaks(connection: psycopg.Connection[Any]) -> bool:
    """Whether something came from the server, or its end."""
    if connection.closed:
        return True
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    return bool(waiting.poll(0))


@event.listens_for(Engine, "handle_error")
def drop_lost_connections(context: ExceptionContext) -> None:
    """Empty the pool when the server behind it can no longer be written to."""
    if getattr(context.original_exception, "sqlstate", None) in LOST_SERVER:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = True

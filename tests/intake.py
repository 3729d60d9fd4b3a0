"""The webhook under test: one application for a whole module, and a witness between server and application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import delete
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from billing import installation
from billing.config import Config
from billing.extensions import db
from billing.models import LoginSession, StripeEvent, User
from tests.conftest import dispose, make_app, make_config
from tests.story import events
from tests.support import Databases, make_event

PATH = "/webhooks/stripe"
RECEIVED = {"received": True}
REFUSED = {"error": "not a Stripe event for this endpoint"}
NOT_STORED = {"error": "not stored, send it again"}


@contextmanager
def set_up(databases: Databases, **settings: str) -> Iterator[Flask]:
    """An application with a database of its own, and no context."""
    with databases.copy_of("dunlin_template") as url:
        application = make_app(make_config(url, **settings))
        with application.app_context():
            installation.record(db.session(), application.extensions["config"], "acct_tests")
            db.session.commit()
            db.session.remove()
        try:
            yield application
        finally:
            with application.app_context():
                dispose()


@contextmanager
def standing_by(databases: Databases) -> Iterator[Flask]:
    """An application in its context, with a database; what one test leaves there, ``emptied`` removes."""
    with set_up(databases) as application, application.app_context():
        try:
            yield application
        finally:
            db.session.remove()


@contextmanager
def another_app(config: Config) -> Iterator[Flask]:
    """A second application, with settings of its own."""
    application = make_app(config)
    with application.app_context():
        try:
            yield application
        finally:
            db.session.remove()
            dispose()


def emptied(session: Session) -> None:
    session.rollback()
    for table in (StripeEvent, LoginSession, User):
        session.execute(delete(table))
    session.commit()


def paid(**more: Any) -> dict[str, Any]:
    """An event of a handled type."""
    return make_event("invoice.paid", {"id": "in_1", "object": "invoice", "customer": "cus_1"}, **more)


def the_row(event: dict[str, Any]) -> StripeEvent:
    [row] = events(event_id=event["id"])
    return row


def connect(config: Config) -> psycopg.Connection[Any]:
    """Another connection to the application's database, which commits by itself."""
    url = make_url(config.database_url).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def stored(config: Config, event: dict[str, Any]) -> int:
    """How many rows of this event another connection sees."""
    with connect(config) as other:
        found = other.execute("select count(*) from stripe_events where event_id = %s", [event["id"]])
        return int((found.fetchone() or [0])[0])


def waiting_for_a_lock(config: Config) -> list[int]:
    """The server processes of this database that wait for somebody else's transaction."""
    wait = "wait_event_type = 'Lock' and datname = current_database()"
    with connect(config) as other:
        return [pid for (pid,) in other.execute(f"select pid from pg_stat_activity where {wait}").fetchall()]


class Witness:
    """Notes each status as the answer begins, and how many rows of the event were committed by then."""

    def __init__(self, app: Flask, config: Config, event: dict[str, Any]) -> None:
        self.seen: list[tuple[str, int]] = []
        self._app, self._inner = app, app.wsgi_app
        self._look = lambda: stored(config, event)

    def __enter__(self) -> Witness:
        self._app.wsgi_app = self  # type: ignore[method-assign]
        return self

    def __exit__(self, *problem: object) -> None:
        self._app.wsgi_app = self._inner  # type: ignore[method-assign]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, *rest: Any) -> Any:
            self.seen.append((status, self._look()))
            return start_response(status, *rest)

        return self._inner(environ, start)

"""What tests look with: bells that were rung, lines that were logged, rows that changed, a real port."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing import logs
from billing.hands import Hands
from sandbox.serving import server as server_of


class Bell:
    """Counts how often a worker was to be woken; put it where the queue is. None waits: each is heard at once."""

    count = 0

    def __init__(self, app: Flask) -> None:
        self.rung = 0
        app.extensions["bell"] = self

    def enqueue(self, *args: object, **kwargs: object) -> None:
        self.rung += 1


class Underway:
    """Counts the requests under way: a server that was shut down still answers those it has begun."""

    def __init__(self, app: Flask) -> None:
        self._inner, self._count, self._changed = app.wsgi_app, 0, threading.Condition()
        app.wsgi_app = self  # type: ignore[method-assign]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self._add(1)
        try:
            return self._inner(environ, start_response)
        finally:
            self._add(-1)

    def ended(self) -> None:
        """Until there is none. Raises AssertionError otherwise."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._count == 0, 30), "a request goes on and on"

    def _add(self, number: int) -> None:
        with self._changed:
            self._count += number
            self._changed.notify_all()


def rested(hands: Hands) -> None:
    """Until what was given up for taking too long has ended as well: all threads come here, and wait for each other."""
    here = threading.Barrier(hands._count + 1)
    for _ in range(hands._count):
        hands._threads.submit(here.wait, 60)
    here.wait(60)


class Lines(logging.Handler):
    """What was logged while it was open: ``lines`` as they are written, ``records`` with all they carry."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.Lines())
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(self.format(record))

    def __enter__(self) -> Lines:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *problem: object) -> None:
        logging.getLogger().removeHandler(self)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def serving(app: Flask, port: int = 0) -> Iterator[int]:
    """The application on a real port, one thread for each request. Gives the port."""
    underway, server = Underway(app), server_of(app, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        underway.ended()


def all_rows(session: Session, *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """A fingerprint of each table, to see whether something was written. ``but``: columns to leave out."""
    session.rollback()
    tables = session.execute(
        text("select tablename from pg_tables where schemaname = 'public' order by 1")
    ).scalars()
    each = (
        f"select '{table}', (select md5(coalesce(string_agg(row, $$,$$ order by row), $$$$)) from"
        f' (select (to_jsonb(t) - cast(:but as text[]))::text as row from "{table}" t) as rows)'
        for table in tables.all()
    )
    found = {
        name: str(mark) for name, mark in session.execute(text(" union all ".join(each)), {"but": list(but)})
    }
    session.rollback()
    return found

"""A worker does its work once for practice before it forks: nothing of that stays, and nothing rests on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing import practice, queues
from billing.extensions import db
from billing.models import Installation
from tests.conftest import make_app, make_config
from tests.story import config_of
from tests.test_cli import flask
from tests.watching import Lines, all_rows, serving


def test_practice_writes_all_that_an_event_does_and_leaves_nothing(app: Flask, db_session: Session) -> None:
    built: dict[Any, Any] = {}  # the other tests' statements would be there already
    db.engine.update_execution_options(compiled_cache=built)
    before = all_rows(db_session)
    with Lines() as lines:
        practice.prepare(db_session)
    assert [line for line in lines.records if line.levelname != "INFO"] == []
    assert all_rows(db_session) == before
    known = len(built)
    practice.prepare(db_session)
    assert len(built) == known > 15, "the second time there is nothing to build"


def test_where_the_database_is_away_practice_is_left_out() -> None:
    with make_app(make_config("postgresql://127.0.0.1:1/nobody")).app_context(), Lines() as lines:
        practice.prepare(db.session())
    assert [line.getMessage() for line in lines.records] == ["nothing prepared for the first event"]


def test_the_worker_waits_for_the_bell_with_no_connection_open(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that is forked then would share it, and close it for both."""
    open_ = []

    def wait(_url: str) -> None:
        open_.extend(engine.pool.checkedin() + engine.pool.checkedout() for engine in db.engines.values())

    monkeypatch.setattr(queues, "work", wait)
    flask(app, "work")
    assert open_ == [0, 0]


def test_nor_with_one_to_stripe_which_was_asked_whose_a_new_key_is(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its children would all talk over it, and each would get what was meant for another."""
    at_stripe = Flask("stripe")
    asked, open_ = [], []

    @at_stripe.get("/v1/account")
    def account() -> dict[str, str]:
        asked.append(established(port))
        return {"id": "acct_tests", "object": "account"}

    monkeypatch.setattr(queues, "work", lambda _url: open_.append(established(port)))
    with serving(at_stripe) as port:
        address = f"http://127.0.0.1:{port}"
        app.extensions["config"] = replace(config_of(app), stripe_api_base=address)
        db.session.get_one(Installation, 1).key_fingerprint = "of the key before"
        db.session.commit()
        assert flask(app, "work").exit_code == 0
    assert (asked, open_) == ([1], [0])


def established(port: int) -> int:
    """How many connections to this port are open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)

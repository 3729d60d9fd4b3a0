"""Behind a pooler that gives each transaction another connection: nothing of ours lives longer than a transaction."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import text

from billing.extensions import db
from tests.conftest import ROOT

# What a session keeps beyond its transaction. ``migrations/env.py`` is not run behind a pooler (docs/deploy.md).
OF_A_SESSION = re.compile(
    r"pg_(try_)?advisory_(un)?lock\(|\blisten \w|\bunlisten\b|create temp|\bdeclare \w+ cursor with hold"
    r"|[\"'(]set (?!_|local)\w+ ?(=|to)|\bprepare \w+ as\b|yield_per|stream_results",
    re.IGNORECASE,
)


def test_no_statement_of_ours_needs_the_same_connection_in_the_next_transaction() -> None:
    sources = sorted((ROOT / "billing").rglob("*.py"))
    assert len(sources) > 50
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in sources
        for match in OF_A_SESSION.finditer(path.read_text())
    ]
    assert found == []
    for kept in (
        "select pg_advisory_lock(1)",
        "listen bell",
        '"set lock_timeout = 1"',
        "create temp table a",
    ):
        assert OF_A_SESSION.search(kept), kept
    assert not OF_A_SESSION.search("select pg_advisory_xact_lock(1)")


def test_nothing_is_prepared_on_the_server_however_often_it_is_asked(app: Flask) -> None:
    for engine in db.engines.values():
        with engine.connect() as connection:
            for number in range(12):
                connection.execute(text("select cast(:number as int)"), {"number": number})
            assert connection.execute(text("select count(*) from pg_prepared_statements")).scalar_one() == 0


@pytest.mark.alone
def test_each_connection_has_the_settings_that_promises_rest_on_whatever_the_database_says(
    app: Flask,
) -> None:
    name = db.engine.url.database
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
            connection.execute(text(f'alter database "{name}" set {setting}'))
    for engine in db.engines.values():
        engine.dispose()
        with engine.connect() as connection:
            for setting, expected in (
                ("synchronous_commit", "on"),
                ("transaction_isolation", "read committed"),
            ):
                assert connection.execute(text(f"show {setting}")).scalar_one() == expected

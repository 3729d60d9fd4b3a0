"""A desk and its sandbox as they are at one moment, to come back to: cheaper than to prepare the same again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import text

from billing.extensions import db
from tests.support import Sandbox

_numbers = itertools.count(1)
Prepared = TypeVar("Prepared")
# What brings all back is said for each table, and not put together as it runs: so it is planned once.
KEEP = """
do $$ declare one text; said text; begin
  create schema {kept};
  for one in select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' loop
    execute format('create table {kept}.%I as table public.%I', one, one);
  end loop;
  select string_agg(format('delete from public.%1$I; insert into public.%1$I overriding system value'
                           ' select * from {kept}.%1$I;', tablename), ' ') into said
    from pg_tables where schemaname = '{kept}';
  said := 'begin ' || said || ' end';
  execute format('create function {kept}.bring_back() returns void language plpgsql as %L', said);
end $$
"""
# The audit takes inserts only, and no table waits for another one.
AS_REPLICA = "set local session_replication_role = replica"
BRING_BACK = "select {kept}.bring_back()"
# New rows get the numbers that they would have got then.
KEEP_NUMBERS = """
create schema {kept}_numbers;
create table {kept}_numbers.last as
  select format('%I.%I', schemaname, sequencename) as name, coalesce(last_value, start_value) as value,
    last_value is not null as used
  from pg_sequences where schemaname = 'public'
"""
NUMBER_AGAIN = "select setval(name::regclass, value, used) from {kept}_numbers.last"


class Snapshot:
    """Taken when it is made. The desk's database, and its sandbox where it has one, must be nobody else's meanwhile."""

    def __init__(self, app: Flask) -> None:
        self._sandbox: Sandbox | None = app.extensions.get("sandbox")
        number = next(_numbers)
        self._name, self._schema = f"snapshot-{number}", f"kept_{number}"
        self._run(KEEP)
        self._run(KEEP_NUMBERS)
        if self._sandbox:
            self._sandbox.control("state/save", name=self._name)

    def bring_back(self) -> None:
        if self._sandbox:
            self._sandbox.control("trouble", delivery="drop")
            self._sandbox.flush()  # no event of what comes to nothing is on its way any more
            self._sandbox.control("state/load", name=self._name)
        self._run(AS_REPLICA, BRING_BACK)

    def number_again(self) -> None:
        self._run(NUMBER_AGAIN)

    def _run(self, *statements: str) -> None:
        db.session.rollback()
        for statement in statements:
            db.session.execute(text(statement.format(kept=self._schema)))
        db.session.commit()


class Moments:
    """A desk that is brought back to one of its moments for each test: its beginning, or what was prepared from there.

    Its application is the same all the time; what a test has put into it is taken out again.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        app.extensions["moments"] = self
        self._parts, self._settings = dict(app.extensions), dict(app.config)
        self._config = dict(vars(app.extensions["config"]))
        self._beginning = Snapshot(app)
        self._kept: dict[str, tuple[Snapshot, Any]] = {}

    def of(self, name: str, prepare: Callable[[], Prepared]) -> Prepared:
        """The moment after ``prepare``, which is done once under this name; what it gave."""
        if name not in self._kept:
            _again(self._beginning)
            prepared = prepare()
            self._kept[name] = Snapshot(self.app), prepared
        else:
            _again(self._kept[name][0])
        found: Prepared = self._kept[name][1]
        return found

    @contextmanager
    def beginning(self) -> Iterator[Flask]:
        """The desk as it was opened; what a test does to its application is over afterwards."""
        _again(self._beginning)
        try:
            yield self.app
        finally:
            db.session.rollback()
            for now, before in ((self.app.extensions, self._parts), (self.app.config, self._settings)):
                now.update(before)  # never empty: a late event may just be answered
                for added in now.keys() - before.keys():
                    del now[added]
            vars(self.app.extensions["config"]).update(self._config)


def _again(snapshot: Snapshot) -> None:
    snapshot.bring_back()
    snapshot.number_again()

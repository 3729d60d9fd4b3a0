"""A desk and its sandbox as they are at one moment, to come back to: cheaper than to prepare the same again."""

from __future__ import annotations

import itertools

from flask import Flask
from sqlalchemy import text

from billing.extensions import db
from tests.support import Sandbox

_numbers = itertools.count(1)
KEEP = """
do $$ declare one text; begin
  create schema kept;
  for one in select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' loop
    execute format('create table kept.%I as table public.%I', one, one);
  end loop;
end $$
"""
# The audit takes inserts only, and no table waits for another one: hence the role.
BRING_BACK = """
do $$ declare one text; begin
  perform set_config('session_replication_role', 'replica', true);
  for one in select tablename from pg_tables where schemaname = 'kept' loop
    execute format('delete from public.%I', one);
    execute format('insert into public.%I overriding system value select * from kept.%I', one, one);
  end loop;
end $$
"""


class Snapshot:
    """Taken when it is made. The desk's database and its sandbox must be nobody else's meanwhile."""

    def __init__(self, app: Flask) -> None:
        self._sandbox: Sandbox = app.extensions["sandbox"]
        self._name = f"snapshot-{next(_numbers)}"
        db.session.rollback()
        db.session.execute(text(KEEP))
        db.session.commit()
        self._sandbox.control("state/save", name=self._name)

    def bring_back(self) -> None:
        db.session.rollback()
        db.session.execute(text(BRING_BACK))
        db.session.commit()
        self._sandbox.control("state/load", name=self._name)

"""A desk and its sandbox as they are at one moment, to come back to: cheaper than to prepare the same again."""

from __future__ import annotations

import itertools

from flask import Flask
from sqlalchemy import text

from billing.extensions import db
from tests.support import Sandbox

_numbers = itertools.count(1)
# What brings all back is said for each table, and not put together as it runs: so it is planned once.
KEEP = """
do $$ declare one text; said text; begin
  create schema kept;
  for one in select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' loop
    execute format('create table kept.%I as table public.%I', one, one);
  end loop;
  select string_agg(format('delete from public.%1$I;'
                           ' insert into public.%1$I overriding system value select * from kept.%1$I;', tablename), ' ')
    into said from pg_tables where schemaname = 'kept';
  execute format('create function kept.bring_back() returns void language plpgsql as %L', 'begin ' || said || ' end');
end $$
"""
# The audit takes inserts only, and no table waits for another one.
AS_REPLICA = "set local session_replication_role = replica"


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
        db.session.execute(text(AS_REPLICA))
        db.session.execute(text("select kept.bring_back()"))
        db.session.commit()
        self._sandbox.control("state/load", name=self._name)

"""Our rows as they were at some moment, kept in the database itself and brought back as often as one likes."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from tests.disorder import OURS, ROWS

# Written as a whole and read as a whole: to pack it would only take time.
KEPT = """
create unlogged table if not exists sim.kept (place bigint, name text, rows jsonb);
alter table sim.kept alter column rows set storage external;
create index if not exists kept_place on sim.kept (place);
create or replace function sim.keep(here bigint) returns void language plpgsql as $$
declare one text; begin
  for one in select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' loop
    execute format('insert into sim.kept select %L, %L, jsonb_agg(t) from public.%I t having count(*) > 0',
                   here, one, one);
  end loop; end $$;
create or replace function sim.bring_back(here bigint) returns void language plpgsql as $$
declare one record; begin
  for one in select tablename, k.rows from pg_tables left join sim.kept k on k.place = here and k.name = tablename
             where schemaname = 'public' and tablename <> 'alembic_version' loop
    execute format('delete from public.%I', one.tablename);
    if one.rows is not null then
      execute format('insert into public.%I overriding system value select * from'
                     ' jsonb_populate_recordset(null::public.%I, $1)', one.tablename, one.tablename) using one.rows;
    end if;
  end loop; end $$;
"""
# The same question as of every order, and what purchases give.
QUESTION = str(ROWS).replace("%", "%%").replace(":ours", "%(ours)s")
GIVEN = (
    "select coalesce(jsonb_agg(array[payment_intent, feature, amount::text] order by 1), '[]') from"
    " (select payment_intent, feature, sum(amount) as amount from grants group by 1, 2 having sum(amount) <> 0) t"
)


class Kept:
    """``rows``: what our rows say now, without what tells of our own doing alone."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw, self._last = raw, 0
        raw.execute(KEPT)
        raw.execute("truncate sim.kept")

    def rows(self) -> str:
        [(found,)] = self._raw.execute(QUESTION, {"ours": OURS}).fetchall()
        [(given,)] = self._raw.execute(GIVEN).fetchall()
        return json.dumps({**found, "given": given}, sort_keys=True)

    def keep(self) -> int:
        """Keep all tables as they are; the number to bring them back by."""
        self._last += 1
        self._raw.execute("select sim.keep(%s)", [self._last])
        return self._last

    def bring_back(self, number: int) -> None:
        with self._raw.transaction():  # the audit takes inserts only, and what is referred to comes later
            self._raw.execute("set local session_replication_role = replica")
            self._raw.execute("select sim.bring_back(%s)", [number])

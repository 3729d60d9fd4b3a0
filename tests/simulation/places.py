"""Our rows as they were at some moment, kept in the database itself and brought back as often as one likes."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.disorder import OURS, ROWS

# Written as a whole and read as a whole: to pack it would only take time.
KEPT = """
create unlogged table if not exists sim.kept (place bigint, name text, rows jsonb);
alter table sim.kept alter column rows set storage external;
create index if not exists kept_place on sim.kept (place);
"""
TABLES = "select tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' order by 1"
# Said for each table, and not put together as it runs: so it is planned once.
FUNCTION = """
create or replace function sim.{name}(here bigint) returns void language plpgsql as $$
declare found jsonb; begin {body} end $$
"""
KEEP = """
  insert into sim.kept select here, '{table}', jsonb_agg(t) from public.{table} t having count(*) > 0;
"""
BRING_BACK = """
  delete from public.{table};
  select rows into found from sim.kept where place = here and name = '{table}';
  if found is not null then
    insert into public.{table} overriding system value
      select * from jsonb_populate_recordset(null::public.{table}, found);
  end if;
"""
# The same question as of every order, and what purchases give.
GIVEN = (
    "select coalesce(jsonb_agg(array[payment_intent, feature, amount::text] order by 1), '[]') from"
    " (select payment_intent, feature, sum(amount) as amount from grants group by 1, 2 having sum(amount) <> 0) t"
)
QUESTION = (
    f"select (({str(ROWS).replace('%', '%%').replace(':ours', '%(ours)s')}) ||"
    f" jsonb_build_object('given', ({GIVEN})))::text"
)


class Kept:
    """``rows``: what our rows say now, without what tells of our own doing alone."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw, self._last = raw, 0
        raw.execute(KEPT)
        raw.execute("truncate sim.kept")
        tables = [table for (table,) in raw.execute(TABLES).fetchall()]
        for name, each in (("keep", KEEP), ("bring_back", BRING_BACK)):
            body = "".join(each.format(table=table) for table in tables)
            raw.execute(FUNCTION.format(name=name, body=body))

    def rows(self) -> str:
        """As PostgreSQL writes them, which is one way for equal ones."""
        [(found,)] = self._raw.execute(QUESTION, {"ours": OURS}).fetchall()
        return str(found)

    def keep(self) -> int:
        """Keep all tables as they are; the number to bring them back by."""
        self._last += 1
        self._raw.execute("select sim.keep(%s)", [self._last])
        return self._last

    def bring_back(self, number: int) -> None:
        with self._raw.transaction():  # the audit takes inserts only, and what is referred to comes later
            self._raw.execute("set local session_replication_role = replica")
            self._raw.execute("select sim.bring_back(%s)", [number])

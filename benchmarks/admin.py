"""The admin's list of subscribers and the billing page, with many subscribers and with few.

Run it as `python -m benchmarks.admin`; `--quick` for a look. Each page is asked for as a browser does, in this process,
by somebody who is signed in. “SQL” is what its list's one query takes in the database, beside the bare query that a
person would write by hand for the same rows, over psycopg; “page” is the whole of it, beside the same page where there
is a thousandth of the subscribers. The billing page stands beside a bare Flask page that asks for one row.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from benchmarks.crew import connected
from benchmarks.filling import subscribers
from benchmarks.ground import Ground, ground
from benchmarks.harness import Results, Turn, interleaved, machine, options, say, table
from billing.config import Config
from billing.extensions import db
from billing.models import User
from tests.intake import another_app
from tests.support import make_user, sign_in

MANY, FEW = 1_000_000, 1000
QUICK = (3000, 60)
COLUMNS = "u.id, u.email, u.created_at, s.id, s.stripe_id, s.status, s.plan, s.created, s.current_period_end"
BY_USER = f"select {COLUMNS} from users u left join subscriptions s on s.user_id = u.id"
BY_PLAN = f"select {COLUMNS} from subscriptions s join users u on u.id = s.user_id"


@dataclass(frozen=True)
class Page:
    """An address of the list, and the query that somebody would write for its rows."""

    path: str
    bare: str


def pages(count: int) -> dict[str, Page]:
    """Those that are measured; in the middle of so many subscribers is the deep one."""
    deep, one = count // 2, f"person{count // 3}@example.com"
    return {
        "page one": Page("", f"{BY_USER} order by u.id desc limit 51"),
        "a deep page": Page(f"?before={deep}", f"{BY_USER} where u.id < {deep} order by u.id desc limit 51"),
        "past due": Page(
            "?status=past_due", f"{BY_PLAN} where s.status = 'past_due' order by s.id desc limit 51"
        ),
        "one address": Page(
            f"?q={one}", f"{BY_USER} where lower(u.email) = '{one}' order by u.id desc limit 51"
        ),
        "a part of one address": Page(
            f"?q={one[:-8]}",
            f"{BY_USER} where lower(u.email) like '%{one[:-8]}%' order by u.id desc limit 51",
        ),
        "a part that all have": Page(
            "?q=example", f"{BY_USER} where lower(u.email) like '%example%' order by u.id desc limit 51"
        ),
    }


@dataclass
class Desk:
    """An application on one database, and what it asks it."""

    app: Flask
    count: int
    asked: list[tuple[str, float]] = field(default_factory=list)

    def page(self, client: FlaskClient, path: str) -> dict[str, float]:
        """Milliseconds of the whole page and of its list's query, and how many queries it took."""
        self.asked.clear()
        begun = time.perf_counter()
        answer = client.get(path)
        took = time.perf_counter() - begun
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        lists = [
            seconds
            for statement, seconds in self.asked
            if "LIMIT" in statement and "users.email" in statement
        ]
        return {"page": took * 1000, "sql": sum(lists[:1]) * 1000, "queries": len(self.asked)}


@contextmanager
def desk(base: Ground, name: str, count: int) -> Iterator[Desk]:
    config = base.database(name)
    with connected(config) as rows:
        subscribers(rows, count)
    with another_app(config) as app:
        found = Desk(app, count)
        note = _timing(found)
        for when, function in note.items():
            event.listen(db.engine, when, function)
        yield found


def _timing(found: Desk) -> dict[str, Callable[..., None]]:
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(time.perf_counter())

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.asked.append((statement, time.perf_counter() - begun.pop()))

    return {"before_cursor_execute": before, "after_cursor_execute": after}


def main() -> int:
    given = options("The admin's list and the billing page.")
    many, few = QUICK if given.quick else (MANY, FEW)
    with ExitStack() as stack:
        base = stack.enter_context(ground())
        small = stack.enter_context(desk(base, "small", few))
        large = stack.enter_context(desk(base, "large", many))
        say(f"{machine()}; {many:,} subscribers beside {few:,}, {given.rounds} rounds\n")
        say(lists(large, small, given.rounds))
        say(f"\n{billing(large, small, given.rounds)}")
    return 0


def lists(large: Desk, small: Desk, rounds: int) -> str:
    """Each page of the list, in both databases, and its bare query."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(signed_in(one, "admin@example.net", is_admin=True)) for one in (large, small)
        ]
        rows = stack.enter_context(connected(large.app.extensions["config"]))
        kinds: dict[str, Callable[[], Turn]] = {}
        for name, page in pages(large.count).items():
            kinds[name] = _page(large, clients[0], f"/admin/subscribers{page.path}")
            kinds[f"{name}, bare"] = _bare(rows, page.bare)
        for name, page in pages(small.count).items():
            kinds[f"{name}, few"] = _page(small, clients[1], f"/admin/subscribers{page.path}")
        for turn in kinds.values():
            turn()
        found = interleaved(kinds, rounds)
    return _report(found, list(pages(large.count)))


def _page(one: Desk, client: FlaskClient, path: str) -> Callable[[], Turn]:
    def turn() -> Turn:
        with one.app.app_context():
            return one.page(client, path)

    return turn


def _bare(rows: psycopg.Connection, statement: str) -> Callable[[], Turn]:
    def turn() -> Turn:
        begun = time.perf_counter()
        found = rows.execute(statement).fetchall()
        took = (time.perf_counter() - begun) * 1000
        return {"sql": took, "rows": len(found)}

    return turn


def _report(found: Results, names: list[str]) -> str:
    rows = [
        [
            name,
            found[f"{name}, bare", "sql"],
            found[name, "sql"],
            found.ratio(name, f"{name}, bare", "sql"),
            found[name, "page"],
            found.ratio(name, f"{name}, few", "page"),
            int(found[name, "queries"].middle),
        ]
        for name in names
    ]
    heads = ["list", "bare SQL ms", "its SQL ms", "× bare", "page ms", "× with few", "queries"]
    return table(heads, rows)


def billing(large: Desk, small: Desk, rounds: int) -> str:
    """The billing page of somebody with a plan, in both databases."""
    bare = Flask("bare")
    config: Config = large.app.extensions["config"]
    with ExitStack() as stack:
        rows = stack.enter_context(connected(config))
        bare.add_url_rule(
            "/", view_func=lambda: str(rows.execute("select email from users where id = 7").fetchone())
        )
        kinds: dict[str, Callable[[], Turn]] = {"bare page": _hello(bare.test_client())}
        for name, one in (("billing page", large), ("billing page, few", small)):
            client = stack.enter_context(signed_in(one, "person7@example.com"))
            kinds[name] = _page(one, client, "/billing")
        for turn in kinds.values():
            turn()
        found = interleaved(kinds, rounds)
    cells = [
        [
            kind,
            found[kind, "page"],
            found.ratio(kind, "bare page", "page"),
            int(found[kind, "queries"].middle),
        ]
        for kind in found.kinds
    ]
    return table(["page", "ms", "× bare", "queries"], cells)


def _hello(client: FlaskClient) -> Callable[[], Turn]:
    def turn() -> Turn:
        begun = time.perf_counter()
        client.get("/")
        return {"page": (time.perf_counter() - begun) * 1000, "queries": 1}

    return turn


@contextmanager
def signed_in(one: Desk, email: str, **more: Any) -> Iterator[FlaskClient]:
    with one.app.app_context():
        client = one.app.test_client()
        found = db.session.query(User).filter_by(email=email).one_or_none()
        sign_in(client, found or make_user(db.session(), email, **more))
        db.session.remove()
    yield client


if __name__ == "__main__":
    sys.exit(main())

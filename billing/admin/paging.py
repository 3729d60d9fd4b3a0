"""Pages by key: a link names the row it goes on from, so the last page costs what the first one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort, url_for
from sqlalchemy import ColumnElement, Row, Select, SQLColumnExpression, func, literal, select, tuple_
from sqlalchemy.orm import Session

SIZE = 50
# Counting stops here: on a large table an exact number costs more than the page itself.
COUNTED = 10_000
LARGEST_ID = 2**63 - 1
LONGEST = 200

Query = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Order:
    """Newest first by ``columns``; ``place`` turns the key in an address into what they are compared with."""

    columns: tuple[SQLColumnExpression[Any], ...]
    place: Callable[[str], ColumnElement[Any]]
    key: Callable[[Row[*tuple[Any, ...]]], object]


@dataclass(frozen=True)
class Page:
    """Rows, newest first, and what the addresses of the neighbouring pages say.

    ``beyond``: the address led past the edge, so there is nothing, or less than the first page, to show.
    """

    rows: Sequence[Row[*tuple[Any, ...]]]
    newer: dict[str, str] | None
    older: dict[str, str] | None
    beyond: bool


def take(session: Session, query: Query, order: Order, args: Mapping[str, str]) -> Page:
    """The page that ``before`` or ``after`` in the address asks for; 404 for a key that can't be."""
    columns = tuple_(*order.columns)
    if after := text_of(args, "after"):
        newer = query.where(columns > order.place(after)).order_by(*(one.asc() for one in order.columns))
        rows = session.execute(newer.limit(SIZE + 1)).all()
        return _page(list(reversed(rows[:SIZE])), order, more=len(rows) > SIZE, back=True)
    before = text_of(args, "before")
    if before:
        query = query.where(columns < order.place(before))
    rows = session.execute(query.order_by(*(one.desc() for one in order.columns)).limit(SIZE + 1)).all()
    return _page(rows[:SIZE], order, more=len(rows) > SIZE, first=not before)


def _page(
    rows: Sequence[Row[*tuple[Any, ...]]],
    order: Order,
    *,
    more: bool,
    back: bool = False,
    first: bool = False,
) -> Page:
    beyond = not first and len(rows) < (SIZE if back else 1)
    newer = bool(rows) and (more if back else not first)
    older = bool(rows) and (more or back)
    return Page(
        rows,
        {"after": str(order.key(rows[0]))} if newer else None,
        {"before": str(order.key(rows[-1]))} if older else None,
        beyond,
    )


def number(text: str) -> int:
    """A row's id from an address. Aborts with 404 for anything that is not one."""
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > LARGEST_ID:
        abort(404)
    return int(text)


def by_id(column: SQLColumnExpression[int], key: Callable[[Row[*tuple[Any, ...]]], object]) -> Order:
    """The order of a table's own numbers."""
    return Order((column,), lambda text: tuple_(literal(number(text))), key)


def text_of(args: Mapping[str, str], name: str) -> str:
    """A word of the address as PostgreSQL may take it: short, trimmed, without control characters."""
    value = args.get(name, "")[:LONGEST]
    return "".join(char for char in value if char.isprintable()).strip()


def counted(query: Query) -> Select[int]:
    """How many rows a query has, counted up to one more than ``COUNTED``."""
    return select(func.count()).select_from(query.limit(COUNTED + 1).subquery())


def count(session: Session, page: Page, query: Query) -> int:
    """How many there are beside those of the page. A page without neighbours is all there is: nobody is asked."""
    if page.newer is None and page.older is None:
        return len(page.rows)
    return session.execute(counted(query)).scalar_one()


def count_text(shown: int, found: int, noun: str) -> str:
    """“2 subscribers”, “50 of 1,204 subscribers”, “50 of 10,000+ subscribers”."""
    total = f"{COUNTED:,}+" if found > COUNTED else f"{found:,}"
    words = f"{total} {noun}{'' if found == 1 else 's'}"
    return words if shown >= found else f"{shown} of {words}"


def choices(offered: list[tuple[str, str]], given: str) -> list[tuple[str, str]]:
    """The choices of a filter, and what the address asks for even where that is none of them."""
    return [*offered, (given, given)] if given and given not in dict(offered) else offered


def address(endpoint: str, filters: Mapping[str, str], place: dict[str, str] | None) -> str | None:
    """The address of a neighbouring page with the same filters; None where there is none."""
    if place is None:
        return None
    kept = {name: value for name, value in filters.items() if value}
    return url_for(endpoint, **{**kept, **place})  # type: ignore[arg-type]

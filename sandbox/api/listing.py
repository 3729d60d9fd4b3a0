"""Lists: newest first, cursors, limits and filters."""

from __future__ import annotations

import json
from typing import Any

from sandbox.api.form import Params
from sandbox.api.operation import Call
from sandbox.errors import missing, request_error
from sandbox.house import db

Json = dict[str, Any]


def page(
    call: Call, kind: str, url: str, where: Json | None = None, extra: tuple[str, list[Any]] = ("", [])
) -> Json:
    """One page of objects of a type. `where` maps paths of the body to values (None: not filtered);
    `extra` is one more SQL condition with its arguments."""
    sql = ["type=?", "json_extract(body, '$._deleted') IS NULL"]
    args: list[Any] = [kind]
    for path, value in (where or {}).items():
        if value is not None:
            sql.append("customer=?" if path == "customer" else f"json_extract(body, '$.{path}')=?")
            args.append(value)
    if extra[0]:
        sql.append(extra[0])
        args += extra[1]
    for operator, moment in bounds(call.params, "created"):
        sql.append(f"created {operator} ?")
        args.append(moment)
    rows, more = _slice(call, sql, args)
    return {"object": "list", "data": rows, "has_more": more, "url": url}


def of(call: Call, rows: list[Json], url: str) -> Json:
    """One page of a short list that is already in hand, in its own order."""
    limit = _limit(call)
    if call.params.text("ending_before"):
        rows = rows[: _index(call, rows, "ending_before")]
        return {"object": "list", "data": rows[-limit:], "has_more": len(rows) > limit, "url": url}
    if call.params.text("starting_after"):
        rows = rows[_index(call, rows, "starting_after") + 1 :]
    return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit, "url": url}


def _index(call: Call, rows: list[Json], param: str) -> int:
    id_ = call.params.text(param)
    for place, row in enumerate(rows):
        if row["id"] == id_:
            return place
    raise missing("object", str(id_), param, 400)


def _limit(call: Call) -> int:
    limit = call.params.integer("limit")
    if limit is None:
        return 10
    if not 1 <= limit <= 100:
        raise request_error("limit must be between 1 and 100", "parameter_invalid_integer", "limit")
    return limit


def _slice(call: Call, sql: list[str], args: list[Any]) -> tuple[list[Json], bool]:
    limit = _limit(call)
    after, before = call.params.text("starting_after"), call.params.text("ending_before")
    if after and before:
        raise request_error("You can give starting_after or ending_before, not both.", "parameters_exclusive")
    order = "DESC"
    if after:
        sql.append("seq < ?")
        args.append(_place(after, "starting_after"))
    if before:
        sql.append("seq > ?")
        args.append(_place(before, "ending_before"))
        order = "ASC"
    statement = f"SELECT body FROM objects WHERE {' AND '.join(sql)} ORDER BY seq {order} LIMIT ?"  # noqa: S608 only our own words
    found = [json.loads(row["body"]) for row in db().rows(statement, (*args, limit + 1))]
    kept = found[:limit]
    return (list(reversed(kept)) if before else kept), len(found) > limit


def _place(id_: str, param: str) -> int:
    row = db().one("SELECT seq FROM objects WHERE id=?", (id_,))
    if row is None:
        raise missing("object", id_, param, 400)
    return int(row["seq"])


def bounds(params: Params, name: str) -> list[tuple[str, int]]:
    """A filter by time, one moment or limits, as SQL comparisons."""
    given = params.tree.get(name)
    if given is None:
        return []
    if isinstance(given, str):
        moment = params.integer(name)
        return [] if moment is None else [("=", moment)]
    limits = params.child(name)
    operators = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    found = [(sign, limits.integer(each)) for each, sign in operators.items()]
    return [(sign, moment) for sign, moment in found if moment is not None]

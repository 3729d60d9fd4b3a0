"""Lists: newest first, cursors, limits and filters."""

from __future__ import annotations

import json
from typing import Any

from sandbox.api.form import Params
from sandbox.api.operation import Call
from sandbox.errors import missing, request_error
from sandbox.house import db

Json = dict[str, Any]


# Lists omit what lives on a test clock unless they are narrowed (facts 6). The clocks that the control panel
# makes for one person are not Stripe's: a shop would not expect anybody on them to be gone.
ON_CLOCKS = ("customer", "subscription", "subscription_schedule", "invoice", "invoiceitem")
REVEALING = {"customer", "subscription", "test_clock"}
OFF_CLOCK = (
    "(json_extract(body, '$.test_clock') IS NULL OR json_extract(body, '$.test_clock') IN (SELECT c.id FROM"
    " objects c WHERE c.type='test_helpers.test_clock' AND json_extract(c.body, '$._panel')))"
)


STEADY = 3600
EVENT = "SELECT seq FROM objects INDEXED BY events_created WHERE type='event'"


def page(
    call: Call, kind: str, url: str, where: Json | None = None, extra: tuple[str, list[Any]] = ("", [])
) -> Json:
    """One page of objects of a type. `where` maps paths of the body to values (None: not filtered);
    `extra` is one more SQL condition with its arguments."""
    # the type is written out, not bound: only so are the indexes of one type used
    sql = [f"type='{kind}'", "json_extract(body, '$._deleted') IS NULL"]
    args: list[Any] = []
    narrowed = set(call.params.tree) | {path for path, value in (where or {}).items() if value is not None}
    if kind in ON_CLOCKS and not narrowed & REVEALING:
        sql.append(OFF_CLOCK)
    for path, value in (where or {}).items():
        if value is not None:
            sql.append("customer=?" if path == "customer" else f"json_extract(body, '$.{path}')=?")
            args.append(value)
    if extra[0]:
        sql.append(extra[0])
        args += extra[1]
    for operator, moment in bounds(call.params, "created"):
        sql.append(f"+created {operator} ?")
        args.append(moment)
        if kind == "event":
            _narrow(operator, moment, sql, args)
    rows, more = _slice(call, sql, args)
    return {"object": "list", "data": rows, "has_more": more, "url": url}


def _narrow(operator: str, moment: int, sql: list[str], args: list[Any]) -> None:
    """Events come in the order of their time, as far as the machine's clock is steady to an hour: so a bound of
    time is nearly one of place, which a million events do not make slow."""
    if operator in (">", ">=", "="):
        sql.append(f"seq >= ({EVENT} AND created >= ? ORDER BY created LIMIT 1)")
        args.append(moment - STEADY)
    if operator in ("<", "<=", "="):
        sql.append(f"seq <= ({EVENT} AND created <= ? ORDER BY created DESC LIMIT 1)")
        args.append(moment + STEADY)


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

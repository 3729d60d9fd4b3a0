"""Older API versions: answers and events in their shapes, and their parameters understood.

The sandbox keeps every object in the newest shape. What a version changed is one `Change`, as at Stripe: an
answer for an older version goes back through the changes, newest first; its parameters come forward through
them, oldest first. Additions that break nothing are not undone, since Stripe shows them to every version.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.engine import discounts
from sandbox.errors import request_error
from sandbox.events import difference
from sandbox.house import API_VERSIONS, db, house
from sandbox.versions import acacia, basil, clover, dahlia
from sandbox.versions.change import Change, Request

Json = dict[str, Any]

CHANGES: tuple[Change, ...] = (
    *dahlia.CHANGES,
    *clover.CHANGES,
    *basil.CHANGES,
    *acacia.CHANGES,
)
"""Newest first. Each module holds what its version still had: what the one after it changed."""


def known(version: str | None) -> str:
    """The version of a request that names this one, or none; 400 for one that there is not."""
    if version is None:
        return str(house().settings()["api_version"])
    if version not in API_VERSIONS:
        raise request_error(f"Invalid Stripe API version: {version}")
    return version


def shaped(obj: Json, version: str) -> Json:
    """A copy in that version's shape, at any depth. An event keeps the shape that it was made in."""
    if obj.get("object") == "event":
        return event(obj, obj["api_version"])
    copy: Json = json.loads(json.dumps(obj))
    changes = _since(version)
    if changes:
        _undo(copy, changes)
    return copy


def _since(version: str) -> list[Change]:
    return [change for change in CHANGES if change.version > version]


def _undo(node: Any, changes: list[Change]) -> None:
    """An object first, then what is in it: also what was looked up to be put there."""
    if isinstance(node, dict):
        for change in changes:
            rule = change.answers.get(str(node.get("object")))
            if rule is not None:
                rule(node)
        for value in node.values():
            _undo(value, changes)
    elif isinstance(node, list):
        for each in node:
            _undo(each, changes)


def event(made: Json, version: str) -> Json:
    """The event as an endpoint of that version is sent it. `made` is one as it is kept."""
    data: Json = {"object": shaped(made["data"]["object"], version)}
    previous = made["data"].get("previous_attributes")
    if previous is not None:
        before = shaped(_overlaid(made["data"]["object"], previous), version)
        data["previous_attributes"] = difference(before, data["object"]) if _since(version) else previous
    return made | {"api_version": version, "data": data}


def _overlaid(obj: Json, previous: Json) -> Json:
    """The object as it was before the change that `previous` tells of."""
    merged = dict(obj)
    for key, value in previous.items():
        known_value = merged.get(key)
        both = isinstance(known_value, dict) and isinstance(value, dict)
        merged[key] = _overlaid(known_value, value) if both else value  # type: ignore[arg-type]
    return merged


def modern(request: Request, version: str) -> tuple[Json, Json]:
    """The request's parameters as the newest version has them, and what it has no parameter for."""
    older: Json = {}
    changes = _since(version)
    if not changes:
        return request.tree, older
    tree: Json = json.loads(json.dumps(request.tree))
    for change in reversed(changes):
        for (method, path), rule in change.parameters.items():
            if (method, path) == (request.method, request.path):
                rule(tree, older)
    return tree, older


def afterwards(answer: Json, older: Json) -> Json:
    """Do what an older request asked for beside what the newest parameters can say: a customer's coupon."""
    if answer.get("object") != "customer" or not older:
        return answer
    coupon = older.get("coupon") or None
    if older.get("promotion_code"):
        code = db().find("promotion_code", older["promotion_code"])
        coupon = code["promotion"]["coupon"] if code else older["promotion_code"]
    return discounts.give_customer(db().get("customer", answer["id"]), coupon)

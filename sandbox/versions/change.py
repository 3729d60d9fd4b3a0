"""What a change of the API is, and small steps that several changes take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox.house import db
from sandbox.store import public

Json = dict[str, Any]
Answer = Callable[[Json], None]
Parameters = Callable[[Json, Json], None]


class Request(NamedTuple):
    """An operation (`path` with `<id>` for each id) and the decoded tree of its parameters."""

    method: str
    path: str
    tree: Json


@dataclass(frozen=True)
class Change:
    """What `version` changed.

    `answers`: by type of object, how one is put back, in place. `parameters`: by method and path, how older
    parameters are brought forward, in place; what has no newer parameter goes into the second argument.
    """

    version: str
    answers: dict[str, Answer] = field(default_factory=dict)
    parameters: dict[tuple[str, str], Parameters] = field(default_factory=dict)


def looked_up(kind: str, id_: Any) -> Any:
    """The object of that id, or what was given where there is none or it is whole already."""
    found = db().find(kind, id_) if isinstance(id_, str) else None
    return public(found) if found is not None else id_


def rename(node: Json, old: str, new: str) -> None:
    """Let a parameter have another name, unless the other is there too."""
    if old in node and new not in node:
        node[new] = node.pop(old)


def rows(node: Json, name: str) -> list[Json]:
    """The objects of a list among decoded parameters; empty when it is cleared or no list of objects."""
    found = node.get(name)
    return [each for each in found.values() if isinstance(each, dict)] if isinstance(found, dict) else []

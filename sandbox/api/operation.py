"""One row of the API's table, and the request that an operation is called with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sandbox.api.form import Params
from sandbox.errors import missing
from sandbox.house import db

Json = dict[str, Any]

LISTED = "limit starting_after ending_before"
CREATED = "created created.gt created.gte created.lt created.lte"


@dataclass(frozen=True)
class Call:
    """A request: its path's ids and its parameters."""

    method: str
    path: str
    ids: tuple[str, ...]
    params: Params

    @property
    def id(self) -> str:
        return self.ids[0]

    def subject(self, kind: str, noun: str | None = None) -> Json:
        """The object that the path names; 404 when it is not there."""
        found = db().find(kind, self.id)
        if found is None or found.get("_deleted"):
            raise missing(noun or kind, self.id)
        return found


@dataclass(frozen=True)
class Operation:
    """`path` has `<id>` for each id (never `search`); `accepts` lists every parameter, see `form.check`."""

    method: str
    path: str
    run: Callable[[Call], Json]
    accepts: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.path.replace("<id>", r"(?!search\Z)([^/]+)") + r"\Z")

    @cached_property
    def accepted(self) -> frozenset[str]:
        return frozenset([*self.accepts.split(), "expand.#"])

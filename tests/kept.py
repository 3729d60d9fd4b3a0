"""What is compiled once and kept for the next application: there is one for each test, all of the same templates,
routes and statements, and making them anew took a third of the time of a test that shows a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from billing.extensions import db


class Templates(BytecodeCache):
    """What Jinja made of each template, by its name and what it says."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._kept.get((bucket.key, bucket.checksum)):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


class Route(Rule):
    """A rule whose builder of addresses is kept: it depends on the text of the rule alone.

    Werkzeug may rename what is overridden here; then every application makes its own again, and nothing else happens.
    """

    _kept: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (self.rule, self.subdomain, repr(self.defaults), append_unknown)
        if key not in self._kept:
            self._kept[key] = super()._compile_builder(append_unknown)
        return self._kept[key]


class Dialect(PGDialect_psycopg):
    """All of them are one to whoever looks a compiled statement up: they talk to servers of one version."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialect)

    def __hash__(self) -> int:
        return hash(Dialect)


class Database(SQLAlchemy):
    """Its engines share what was compiled for each statement."""

    _statements: LRUCache[Any, Any] = LRUCache(2000)

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        engine = super()._make_engine(bind_key, options, app)
        engine.update_execution_options(compiled_cache=self._statements)
        return engine


_templates = Templates()


def for_all() -> None:
    """Every application that is made from here on has them."""
    registry.register("postgresql.psycopg", __name__, "Dialect")
    db.__class__ = Database
    Flask.url_rule_class = Route
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": _templates}

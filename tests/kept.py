"""What is compiled once and kept for the next application: there is one for each test, all of the same templates and
routes, and making them anew took a third of the time of a test that shows a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule


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


_templates = Templates()


def for_all() -> None:
    """Every application that is made from here on has them."""
    Flask.url_rule_class = Route
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": _templates}

"""Form encoding with brackets, and typed reading of what it says."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox.errors import request_error, required, unknown

Json = dict[str, Any]
KEY = re.compile(r"\A([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")


def decode(encoded: str | bytes) -> Json:
    """`a[b][0]=c` as nested dicts; positions of lists stay as keys, `[]` counts up. 400 unless it is UTF-8."""
    tree: Json = {}
    try:
        text = encoded.decode() if isinstance(encoded, bytes) else encoded
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as problem:
        raise request_error("The request's parameters are not valid UTF-8.") from problem
    for key, value in pairs:
        match = KEY.match(key)
        if match is None:
            raise unknown(key)
        steps = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        node = tree
        for step in steps[:-1]:
            below = node.setdefault(_next(node, step), {})
            if not isinstance(below, dict):
                raise request_error(f"Invalid parameter: {key}", param=key)
            node = below
        node[_next(node, steps[-1])] = value
    return tree


def encoded(value: Any) -> Json:
    """A JSON object as `decode` gives it: places of lists as keys, every value a word, null as cleared."""
    if isinstance(value, dict):
        return {key: _encoded(each) for key, each in value.items()}
    return {str(place): _encoded(each) for place, each in enumerate(value)}


def _encoded(value: Any) -> Any:
    if isinstance(value, dict | list):
        return encoded(value) if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _next(node: Json, step: str) -> str:
    return step or str(len(node))


def leaves(tree: Json, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every value."""
    found = []
    for key, value in tree.items():
        here = (*path, key)
        found += leaves(value, here) if isinstance(value, dict) else [here]
    return found


def bracketed(path: tuple[str, ...]) -> str:
    return path[0] + "".join(f"[{step}]" for step in path[1:])


def check(tree: Json, accepted: frozenset[str]) -> None:
    """400 parameter_unknown for a value whose place is not on the list (`a.b`, `rows.#.c`, `metadata.*`)."""
    for path in leaves(tree):
        steps = ["#" if step.isdigit() else step for step in path]
        names = {".".join(steps), *(".".join([*steps[:n], "*"]) for n in range(1, len(steps)))}
        cleared = tree[path[0]] == "" and any(name.startswith(f"{path[0]}.") for name in accepted)
        if not (names & accepted or cleared):
            raise unknown(bracketed(path))


class Params:
    """A node of the decoded tree. Absent and empty are told apart by `has`."""

    def __init__(self, tree: Json, path: tuple[str, ...] = ()) -> None:
        self.tree, self.path = tree, path

    def has(self, name: str) -> bool:
        return name in self.tree

    def name(self, name: str) -> str:
        return bracketed((*self.path, name))

    def text(self, name: str, limit: int = 5000) -> str | None:
        """The words; None when absent or cleared."""
        value = self.tree.get(name)
        if isinstance(value, dict):
            raise request_error(f"Invalid string: {self.name(name)}", param=self.name(name))
        if value is not None and len(value) > limit:
            raise request_error(
                f"Invalid string: {self.name(name)} has more than {limit} characters", param=self.name(name)
            )
        return value or None

    def need(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            if self.has(name):
                raise request_error(
                    f"You passed an empty string for '{self.name(name)}'.",
                    "parameter_invalid_empty",
                    self.name(name),
                )
            raise required(self.name(name))
        return value

    def choice(self, name: str, *allowed: str) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise request_error(
                f"Invalid {self.name(name)}: must be one of {', '.join(allowed)}", param=self.name(name)
            )
        return value

    def integer(self, name: str, least: int | None = None) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,15}", value):
            raise request_error(f"Invalid integer: {value}", "parameter_invalid_integer", self.name(name))
        number = int(value)
        if least is not None and number < least:
            raise request_error(
                f"This value must be greater than or equal to {least}.",
                "parameter_invalid_integer",
                self.name(name),
            )
        return number

    def flag(self, name: str) -> bool | None:
        value = self.choice(name, "true", "false")
        return None if value is None else value == "true"

    def child(self, name: str) -> Params:
        """The nested object of that name, empty when absent or cleared."""
        value = self.tree.get(name, {})
        if isinstance(value, str) and value:
            raise request_error(f"Invalid object: {self.name(name)}", param=self.name(name))
        return Params(value or {}, (*self.path, name))

    def rows(self, name: str) -> list[Params]:
        """The nested list of objects of that name."""
        node = self.child(name)
        keys = sorted(node.tree, key=lambda key: int(key) if key.isdigit() else 0)
        return [node.child(key) for key in keys]

    def texts(self, name: str) -> list[str]:
        """The nested list of words of that name."""
        node = self.child(name)
        keys = sorted(node.tree, key=lambda key: int(key) if key.isdigit() else 0)
        return [text for key in keys if (text := node.text(key)) is not None]

    def words(self, *names: str) -> Json:
        """Those of the named texts that were sent, cleared ones as None."""
        return {name: self.text(name) for name in names if self.has(name)}

    def plain(self, name: str) -> Json | None:
        """A nested object of words as it is (address, shipping), or None when absent or cleared."""
        value = self.tree.get(name)
        return value if isinstance(value, dict) else None

    def metadata(self, kept: Json | None = None) -> Json:
        """The metadata after this request: merged into `kept`, empty values removed, all when cleared."""
        if self.tree.get("metadata") == "":
            return {}
        sent = self.child("metadata")
        merged = dict(kept or {})
        for key in sent.tree:
            value = sent.text(key, limit=500)
            if len(key) > 40:
                raise request_error(
                    f"Metadata keys may have up to 40 characters: {key}", param=sent.name(key)
                )
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        if len(merged) > 50:
            raise request_error("Metadata may hold up to 50 keys.", param=self.name("metadata"))
        return merged

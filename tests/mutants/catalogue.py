"""The bugs, as ``catalogue.toml`` has them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FILE = Path(__file__).parent / "catalogue.toml"


@dataclass(frozen=True)
class Edit:
    """Whole lines of a file, which are there once, and what stands there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One bug.

    ``breaks``: a promise or fault of docs/reliability.md, or a heading of docs/security.md. ``killed_by``: the test
    that notices it, and ``says``: words of its failure, so that no other trouble passes for that. ``early``: it is
    there before the test's fixtures are made; else it comes after them.
    """

    name: str
    bug: str
    breaks: str
    killed_by: str
    says: str
    edits: tuple[Edit, ...]
    early: bool = False

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(edit.file for edit in self.edits))


def _read() -> list[Mutant]:
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))["mutant"]
    return [
        Mutant(**{name: value for name, value in one.items() if name != "edit"}, edits=_edits(one["edit"]))
        for one in found
    ]


def _edits(found: list[dict[str, str]]) -> tuple[Edit, ...]:
    return tuple(Edit(**one) for one in found)


MUTANTS = _read()

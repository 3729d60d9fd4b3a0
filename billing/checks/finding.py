"""One line of what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warn", "wrong"]


@dataclass(frozen=True)
class Finding:
    """``note``: what no one but the operator can see. ``warn``: it works, and may not for long. ``fix``: what to do.

    Neither text holds a secret, or anything that somebody else chose.
    """

    about: str
    level: Level
    says: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.level:<6} {self.about}: {self.says}" + (f" → {self.fix}" if self.fix else "")

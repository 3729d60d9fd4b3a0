"""One setting of the environment, by its kind.

Every setting may also be given as ``NAME_FILE``, a path whose content is the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from billing.errors import ConfigError


class Reader:
    """``read(name, default)`` and its kinds; each raises ConfigError, one sentence that names the setting."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str, default: str = "", *, required: bool = False) -> str:
        value = self._from_file(name) if f"{name}_FILE" in self._environ else self._environ.get(name, "")
        value = value.strip() or default
        if required and not value:
            raise ConfigError(f"{name} is not set; set it, or {name}_FILE to a file that holds it.")
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within these bounds."""
        value = self(name, str(default))
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ConfigError(f"{name} must be a whole number from {low} to {high}.")
        return int(value)

    def yes(self, name: str, default: str) -> bool:
        """``yes`` or ``no``."""
        value = self(name, default)
        if value not in ("yes", "no"):
            raise ConfigError(f"{name} must be yes or no.")
        return value == "yes"

    def _from_file(self, name: str) -> str:
        path = self._environ[f"{name}_FILE"]
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError as problem:
            raise ConfigError(f"{name}_FILE can't be read ({problem.strerror}); check the path.") from problem
        except UnicodeDecodeError as problem:
            raise ConfigError(f"{name}_FILE leads to a file that is not UTF-8 text.") from problem

"""Files of ``NAME=value`` lines: ``.env``, which the operator writes, and ``.data/env``, which we keep."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.errors import CannotStart


def read(path: Path) -> dict[str, str]:
    """The values of a file, {} where there is none; without comments, ``export`` and a pair of quotes."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise CannotStart(f"{path} can’t be read ({problem}); correct it or move it away.") from problem
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = _unquote(value.strip())
    return values


def write(path: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step, readable by its owner only. Raises CannotStart where the disk refuses."""
    for name, value in values.items():
        if "\n" in value:
            raise ValueError(f"{name} has more than one line")
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".env-", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as problem:
        raise CannotStart(f"{path} can’t be written ({problem.strerror}); {advice(path)}") from problem


def advice(path: Path) -> str:
    """What to do about a folder that is not ours to write to."""
    folder = next((parent for parent in path.parents if parent.exists()), path.parent)
    if folder.stat().st_uid != os.geteuid():
        return f"{folder} belongs to another user: run `sudo chown -R $(id -un) {folder}` and run again."
    return "free some space or correct the folder’s permissions, and run again."


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value

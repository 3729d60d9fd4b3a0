"""The recording of what leaves: each answer of the API, each event and each delivery of one, one JSON line each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_file: int | None = None


def open_file(path: Path) -> None:
    """Append to `path` from now on. Several sandboxes may share one file: a line is one write."""
    global _file
    path.parent.mkdir(parents=True, exist_ok=True)
    _file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def line(kind: str, api_version: str, path: str, status: int | None, body: Any) -> None:
    """Keep one body. `kind` is `answer` or, given again, `replay` (path `METHOD /v1/…`); `event` (path: its type; in
    the newest shape, delivered or not) or `webhook` (path: the endpoint's URL; in the endpoint's shape).

    `status` is the answer's, for a webhook the endpoint's or None where it gave none.
    """
    if _file is not None:
        entry = {"kind": kind, "api_version": api_version, "path": path, "status": status, "body": body}
        os.write(_file, json.dumps(entry).encode() + b"\n")

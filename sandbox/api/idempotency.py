"""Idempotency keys as Stripe keeps them: the first outcome, for a day of the sandbox's time.

They are written in the transaction of the effects: a killed process keeps both or neither.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox import clock
from sandbox.errors import ApiError, request_error
from sandbox.house import db

Json = dict[str, Any]

LIFE = 86400
_running: set[str] = set()
_guard = threading.Lock()


@dataclass(frozen=True)
class Stored:
    status: int
    body: Json
    request: str


def fingerprint(method: str, path: str, params: Json) -> str:
    return hashlib.sha256(json.dumps([method, path, params], sort_keys=True).encode()).hexdigest()


@contextmanager
def in_flight(key: str | None) -> Iterator[None]:
    """Hold a key while its request runs; 409 for a second request that comes meanwhile."""
    if key is None:
        yield
        return
    if len(key) > 255:
        raise request_error("Idempotency keys may have up to 255 characters.")
    with _guard:
        if key in _running:
            raise _in_use(key)
        _running.add(key)
    try:
        yield
    finally:
        with _guard:
            _running.discard(key)


def recall(key: str, mark: str) -> Stored | None:
    """The stored outcome of this key; 400 when it was another request's. Old keys are forgotten first."""
    db().write("DELETE FROM idempotency WHERE created<?", (clock.exact() - LIFE,))
    row = db().one("SELECT * FROM idempotency WHERE key=?", (key,))
    if row is None:
        return None
    if row["fingerprint"] != mark:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used"
            f" with. Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise ApiError(400, {"message": message, "type": "idempotency_error"})
    return Stored(row["status"], json.loads(row["body"]), row["request"])


def keep(key: str, mark: str, outcome: Stored) -> None:
    db().write(
        "INSERT INTO idempotency (key, fingerprint, status, body, request, created) VALUES (?,?,?,?,?,?)",
        (key, mark, outcome.status, json.dumps(outcome.body), outcome.request, clock.exact()),
    )


def age(seconds: float) -> None:
    """Make every stored key that much older."""
    with db().transaction():
        db().write("UPDATE idempotency SET created=created-?", (seconds,))


def _in_use(key: str) -> ApiError:
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you"
        f" submitted twice, and the other request is still going through): {key}. Try again later."
    )
    return ApiError(409, {"code": "idempotency_key_in_use", "message": message, "type": "idempotency_error"})

"""One request from its key to its answer."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, request

from sandbox import ids, record
from sandbox.api import form, idempotency
from sandbox.api.expanding import render
from sandbox.api.idempotency import Stored
from sandbox.api.operation import Call, Operation
from sandbox.api.table import TABLE
from sandbox.errors import ApiError
from sandbox.house import API_VERSION, db, house
from sandbox.store import Cause

Json = dict[str, Any]

bp = Blueprint("api", __name__)
log = logging.getLogger("sandbox.api")
KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]{8,}\Z")
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]
KEPT_REQUESTS = 5000


@dataclass
class Visit:
    """What is known of a request while it is answered."""

    method: str
    path: str
    key: str | None
    tree: Json = field(default_factory=dict)
    request_id: str = field(default_factory=lambda: ids.new("req", 14))
    original: str | None = None
    replayed: bool = False
    executed: bool = False


@bp.route("/v1/<path:_rest>", methods=METHODS)
def api(_rest: str) -> Response:
    """Every operation of the table, and 404 for what is not on it."""
    visit = Visit(request.method, request.path, request.headers.get("Idempotency-Key"))
    if visit.method != "POST":
        visit.key = None
    try:
        _check_key(request.headers.get("Authorization", ""))
        mode = _trouble_before(visit)
        encoded = request.get_data() if visit.method == "POST" else request.query_string
        visit.tree = form.decode(encoded.decode("utf-8", "replace"))
        with idempotency.in_flight(visit.key):
            if mode == "hang":
                _hang()
            status, body = _run(visit, mode)
    except ApiError as problem:
        status, body = problem.status, {"error": problem.error}
    except Exception:
        log.exception("%s %s failed", visit.method, visit.path)
        status, body = 500, _fault()
    _remember(visit, status, body)
    return _answer(visit, status, body)


def _check_key(authorization: str) -> None:
    scheme, _, credentials = authorization.partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        message = (
            "You did not provide an API key. Provide it in the Authorization header: Bearer YOUR_SECRET_KEY."
        )
        raise ApiError(401, {"message": message, "type": "invalid_request_error"})
    if not KEY.match(key) or len(key) < 16:
        shown = f"{key[:8]}{'*' * 8}{key[-4:]}"
        raise ApiError(
            401, {"message": f"Invalid API Key provided: {shown}", "type": "invalid_request_error"}
        )


def _trouble_before(visit: Visit) -> str:
    """The trouble that this request meets; raises for those that keep it from the idempotency layer."""
    trouble = house().trouble()
    mode = str(trouble["api"]) if visit.path.startswith(trouble["api_path"]) else "normal"
    if mode == "error_500":
        raise ApiError(500, _fault()["error"])
    if mode == "error_429":
        message = (
            "Too many requests hit the API too quickly. We recommend an exponential backoff of your requests."
        )
        raise ApiError(429, {"code": "rate_limit", "message": message, "type": "invalid_request_error"})
    return mode


def _hang() -> None:
    """Keep the caller waiting until the trouble ends or its time is up; then go on as usual."""
    until = time.time() + float(house().trouble()["hang_seconds"])
    while time.time() < until and house().trouble()["api"] == "hang":
        time.sleep(0.05)


def _run(visit: Visit, mode: str) -> tuple[int, Json]:
    operation, call = _find(visit)
    if visit.method == "GET":
        with db().lock:
            return 200, _perform(visit, operation, call)
    with db().transaction(Cause(visit.request_id, visit.key)):
        mark = idempotency.fingerprint(visit.method, visit.path, visit.tree)
        stored = idempotency.recall(visit.key, mark) if visit.key else None
        if stored is not None:
            visit.original, visit.replayed, visit.executed = stored.request, True, True
            return stored.status, stored.body
        outcome = _execute(visit, operation, call, mode)
        if visit.key:
            idempotency.keep(visit.key, mark, outcome)
    if mode == "lost_answer":
        _cut()
    return outcome.status, outcome.body


def _execute(visit: Visit, operation: Operation, call: Call, mode: str) -> Stored:
    try:
        status, body = 200, _perform(visit, operation, call)
    except ApiError as problem:
        if not problem.executed:
            raise
        status, body = problem.status, {"error": problem.error}
    visit.executed = True
    if mode == "applied_then_500":
        status, body = 500, _fault()
    return Stored(status, body, visit.request_id)


def _perform(visit: Visit, operation: Operation, call: Call) -> Json:
    form.check(visit.tree, operation.accepted)
    paths = call.params.texts("expand")
    return render(operation.run(call), paths)


def _find(visit: Visit) -> tuple[Operation, Call]:
    for operation in TABLE:
        match = operation.pattern.match(visit.path)
        if match and operation.method == visit.method:
            return operation, Call(visit.method, visit.path, match.groups(), form.Params(visit.tree))
    message = f"Unrecognized request URL ({visit.method}: {visit.path}). The sandbox has no such operation."
    raise ApiError(404, {"message": message, "type": "invalid_request_error"})


def _cut() -> None:
    """Close the connection without an answer: the work is done, the caller will never know."""
    connection: socket.socket | None = request.environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)


def _fault() -> Json:
    message = "An unknown error occurred"
    return {"error": {"message": message, "type": "api_error"}}


def _remember(visit: Visit, status: int, body: Json) -> None:
    entry = {
        "id": visit.request_id,
        "method": visit.method,
        "path": visit.path,
        "idempotency_key": visit.key,
        "params": visit.tree,
        "status": status,
        "replayed": visit.replayed,
        "error": (body.get("error") or {}).get("code") if status >= 400 else None,
        "object": body.get("id"),
    }
    with db().transaction():
        seq = db().write("INSERT INTO requests (at, body) VALUES (?,?)", (time.time(), json.dumps(entry)))
        db().write("DELETE FROM requests WHERE seq<=?", (seq - KEPT_REQUESTS,))


def _answer(visit: Visit, status: int, body: Json) -> Response:
    if status >= 400 and status != 401 and "error" in body:  # whoever has no key has no log either
        body = {
            "error": body["error"] | {"request_log_url": f"{house().base_url}/requests/{visit.request_id}"}
        }
    version = request.headers.get("Stripe-Version", API_VERSION)
    record.line("answer", version, f"{visit.method} {visit.path}", status, body)
    answer = Response(json.dumps(body, indent=2), status, content_type="application/json")
    answer.headers["Request-Id"] = visit.request_id
    answer.headers["Stripe-Version"] = version
    answer.headers["Cache-Control"] = "no-cache, no-store"
    answer.headers["Vary"] = "Origin"
    sent = request.headers.get("Idempotency-Key")
    if sent and visit.method in ("POST", "DELETE"):  # echoed to a DELETE too, which does not heed it
        answer.headers["Idempotency-Key"] = sent
    if visit.key:
        answer.headers["Original-Request"] = visit.original or visit.request_id
    if visit.replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    if visit.executed and visit.method == "POST" and status < 500:
        answer.headers["Stripe-Should-Retry"] = "false"
    return answer

"""One request from its key to its answer."""

from __future__ import annotations

import json
import logging
import socket
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from sandbox import ids, record, versions
from sandbox.api import form, idempotency, keys, limits
from sandbox.api.expanding import render
from sandbox.api.idempotency import Stored
from sandbox.api.operation import Call, Operation
from sandbox.api.table import TABLE
from sandbox.errors import ApiError, request_error
from sandbox.house import db, house
from sandbox.store import Cause
from sandbox.versions.change import Request

Json = dict[str, Any]

bp = Blueprint("api", __name__)
log = logging.getLogger("sandbox.api")
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]
KEPT_REQUESTS = 5000


@dataclass
class Visit:
    """What is known of a request while it is answered."""

    method: str
    path: str
    key: str | None
    tree: Json = field(default_factory=dict)
    api_key: str = ""
    version: str = ""
    trouble: str = "normal"
    request_id: str = field(default_factory=lambda: ids.new("req", 14))
    original: str | None = None
    replayed: bool = False
    executed: bool = False
    limited: str | None = None


@bp.route("/v1/<path:_rest>", methods=METHODS)
def api(_rest: str) -> Response:
    """Every operation of the table, and 404 for what is not on it."""
    method = "GET" if request.method == "HEAD" else request.method
    visit = Visit(method, request.path, request.headers.get("Idempotency-Key"))
    if visit.method != "POST":
        visit.key = None
    try:
        status, body = _attend(visit)
    except ApiError as problem:
        status, body = problem.status, {"error": problem.error}
        visit.limited = getattr(problem, "reason", None)
    except Exception:
        log.exception("%s %s failed", visit.method, visit.path)
        status, body = 500, _fault()
    _remember(visit, status, body)
    return _answer(visit, status, body)


def _attend(visit: Visit) -> tuple[int, Json]:
    """In Stripe's order: the key, the limits, the request's form, the idempotency key, the work."""
    visit.api_key = keys.check(request.headers.get("Authorization", ""))
    visit.version = versions.known(request.headers.get("Stripe-Version"))
    found = _match(visit.method, visit.path)
    limits.check(visit.api_key, f"{visit.method} {found[0].path if found else ''}")
    _meet_trouble(visit)
    visit.tree = _parameters(visit.method)
    with idempotency.in_flight(visit.key):
        if visit.trouble == "hang":
            _wait("hang")
        outcome = _run(visit)
        if visit.trouble == "slow":
            _wait("slow")
        return outcome


def _parameters(method: str) -> Json:
    if method != "POST":
        return form.decode(request.query_string)
    try:
        body = request.get_data()
    except RequestEntityTooLarge as problem:
        raise request_error("The request is larger than the sandbox reads.", status=413) from problem
    if request.mimetype == "application/json" and body:
        raise request_error(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded)."
        )
    return form.decode(body)


def _meet_trouble(visit: Visit) -> None:
    """The trouble of this request; raises for those that keep it from the idempotency layer."""
    visit.trouble = house().meet_trouble(visit.method, visit.path)
    if visit.trouble == "error_500":
        raise ApiError(500, _fault()["error"])
    if visit.trouble == "error_429":
        raise limits.Limited("global-rate")
    if visit.trouble == "cut_before":
        _cut()
        raise ApiError(500, _fault()["error"])  # nobody reads it; what matters is that nothing is done


def _wait(trouble: str) -> None:
    """Keep the caller waiting until the trouble ends or its time is up; then go on as usual."""
    until = time.time() + float(house().trouble()[f"{trouble}_seconds"])
    while time.time() < until and house().trouble()["api"] == trouble:
        time.sleep(0.05)


def _run(visit: Visit) -> tuple[int, Json]:
    operation, call = _find(visit)
    keys.permit(visit.api_key, operation)
    if visit.method == "GET":
        with db().lock:
            return 200, _perform(operation, call, visit.version)
    with db().transaction(Cause(visit.request_id, visit.key)):
        mark = idempotency.fingerprint(visit.method, visit.path, visit.tree)
        stored = idempotency.recall(visit.key, mark) if visit.key else None
        if stored is not None:
            visit.original, visit.replayed, visit.executed = stored.request, True, True
            return stored.status, stored.body
        outcome = _execute(visit, operation, call)
        if visit.key:
            idempotency.keep(visit.key, mark, outcome)
    if visit.trouble == "lost_answer":
        _cut()
    return outcome.status, outcome.body


def _execute(visit: Visit, operation: Operation, call: Call) -> Stored:
    try:
        status, body = 200, _perform(operation, call, visit.version)
    except ApiError as problem:
        if not problem.executed:
            raise
        status, body = problem.status, {"error": problem.error}
    visit.executed = True
    if visit.trouble == "applied_then_500":
        status, body = 500, _fault()
    return Stored(status, body, visit.request_id)


def _perform(operation: Operation, call: Call, version: str) -> Json:
    """Do it and show the outcome, both as that API version has it."""
    asked = Request(operation.method, operation.path, call.params.tree)
    tree, older = versions.modern(asked, version)
    form.check(tree, operation.accepted)
    modern = Call(call.method, call.path, call.ids, form.Params(tree))
    answer = versions.afterwards(operation.run(modern), older)
    return render(answer, modern.params.texts("expand"), lambda obj: versions.shaped(obj, version))


def perform_in_dashboard(method: str, path: str, tree: Json) -> tuple[int, Json]:
    """An operation that a person does in the dashboard: no key, no request in the events that follow."""
    found = _match(method, path)
    if found is None:
        return 404, {"error": _unrecognized(method, path).error}
    operation, ids_ = found
    call = Call(method, path, ids_, form.Params(tree))
    with db().transaction(Cause()):
        try:
            return 200, _perform(operation, call, versions.known(None))
        except ApiError as problem:
            if not problem.executed:
                raise
            return problem.status, {"error": problem.error}


def _match(method: str, path: str) -> tuple[Operation, tuple[str, ...]] | None:
    for operation in _by_depth().get((method, path.count("/")), []):
        if match := operation.pattern.match(path):
            return operation, match.groups()
    return None


@cache
def _by_depth() -> dict[tuple[str, int], list[Operation]]:
    """The table by method and by the slashes of the path, of which an id has none."""
    found: dict[tuple[str, int], list[Operation]] = {}
    for operation in TABLE:
        found.setdefault((operation.method, operation.path.count("/")), []).append(operation)
    return found


def _find(visit: Visit) -> tuple[Operation, Call]:
    found = _match(visit.method, visit.path)
    if found is None:
        raise _unrecognized(visit.method, visit.path)
    return found[0], Call(visit.method, visit.path, found[1], form.Params(visit.tree))


def _unrecognized(method: str, path: str) -> ApiError:
    message = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at"
        " https://support.stripe.com/. (Or the sandbox does not build it yet.)"
    )
    return ApiError(404, {"message": message, "type": "invalid_request_error"})


def _cut() -> None:
    """Close the connection without an answer: the caller will never know."""
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
        "version": visit.version,
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
    version = visit.version or versions.known(None)
    kind = "replay" if visit.replayed else "answer"  # a replay has the shape that it had
    record.line(kind, version, f"{visit.method} {visit.path}", status, body)
    # Stripe's SDKs read no lines; to make them takes as long as a small answer.
    indent = None if "X-Stripe-Client-User-Agent" in request.headers else 2
    answer = Response(json.dumps(body, indent=indent), status, content_type="application/json")
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
    if visit.limited:
        answer.headers["Stripe-Rate-Limited-Reason"] = visit.limited
    if visit.executed and visit.method == "POST" and status < 500:
        answer.headers["Stripe-Should-Retry"] = "false"
    if visit.trouble == "truncated_body":
        _truncate(answer)
    return answer


def _truncate(answer: Response) -> None:
    """Promise the whole body and send half of it."""
    whole = answer.get_data()
    answer.set_data(whole[: len(whole) // 2])
    answer.headers["Content-Length"] = str(len(whole))
    answer.headers["Connection"] = "close"

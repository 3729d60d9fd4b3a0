"""The control API under /sandbox: JSON for tests and scripts. Not Stripe's."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import actions, wire
from sandbox.api import form, idempotency, keys, server
from sandbox.errors import ApiError
from sandbox.house import db

Json = dict[str, Any]

bp = Blueprint("control", __name__, url_prefix="/sandbox")


@bp.errorhandler(ValueError)
def refuse(problem: ValueError) -> tuple[Response, int]:
    return jsonify(error=str(problem)), 400


@bp.errorhandler(actions.NotFound)
def missing(problem: Exception) -> tuple[Response, int]:
    return jsonify(error=f"There is no {problem}."), 404


@bp.errorhandler(ApiError)
def stripes_answer(problem: ApiError) -> tuple[Response, int]:
    return jsonify(error=problem.error), problem.status


def _body() -> Json:
    given = request.get_json(force=True, silent=True)
    if not isinstance(given, dict):
        raise ValueError("Send a JSON object.")
    return given


@bp.get("/customers")
def customers() -> Response:
    return jsonify(customers=actions.people())


@bp.post("/customers/<customer>/advance")
def advance(customer: str) -> Response:
    """`{"to": ts | "next"}`; answers when everything due was done, its events perhaps not yet delivered."""
    to = _body().get("to")
    now, coming = actions.moments(customer)
    if to == "next":
        ahead = [at for at, _ in coming if at > now] or [at + 1 for at in [now] if coming]
        if not ahead:
            raise ValueError("Nothing is due for this customer.")
        to = ahead[0]
    if not isinstance(to, int) or to <= now:
        raise ValueError(f"`to` is `next` or a time later than {now}.")
    now = actions.advance(customer, to)
    owner = db().get("customer", customer)
    return jsonify(now=now, clock=owner["test_clock"])


@bp.get("/customers/<customer>/moments")
def moments(customer: str) -> Response:
    now, coming = actions.moments(customer)
    return jsonify(now=now, moments=[{"at": at, "label": label} for at, label in coming])


@bp.post("/customers/<customer>/card")
def card(customer: str) -> Response:
    """`{"number": …}`: the card that renewals are charged to from now on."""
    actions.use_card(customer, str(_body().get("number", "")))
    return jsonify(ok=True)


@bp.post("/customers/<customer>/settle")
def settle(customer: str) -> Response:
    """The bank answers every debit of theirs that is under way, however long it meant to take."""
    return jsonify(settled=actions.settle_debits(customer))


@bp.get("/deliveries")
def deliveries() -> Response:
    event = request.args.get("event")
    limit = request.args.get("limit", 100, type=int)
    found = actions.deliveries_of(event) if event else actions.deliveries(limit)
    return jsonify(deliveries=found)


@bp.post("/deliveries/flush")
def flush() -> Response:
    actions.flush()
    waiting = db().one("SELECT count(*) AS n FROM deliveries WHERE state='pending'")
    return jsonify(pending=waiting["n"] if waiting else 0)


@bp.route("/trouble", methods=["GET", "POST"])
def trouble() -> Response:
    if request.method == "POST":
        actions.set_trouble(**_body())
    return jsonify(actions.trouble())


@bp.route("/settings", methods=["GET", "POST"])
def settings() -> Response:
    if request.method == "POST":
        actions.set_settings(**_body())
    return jsonify(actions.settings())


@bp.post("/idempotency/age")
def age() -> Response:
    """`{"seconds": n}` makes every kept idempotency key that much older."""
    idempotency.age(float(_body().get("seconds", 0)))
    return jsonify(ok=True)


@bp.get("/requests")
def requests() -> Response:
    """The newest API requests, oldest of them first."""
    limit = request.args.get("limit", 500, type=int)
    rows = db().rows("SELECT * FROM requests ORDER BY seq DESC LIMIT ?", (limit,))
    return jsonify(requests=[{"at": row["at"], **json.loads(row["body"])} for row in reversed(rows)])


@bp.get("/ledger")
def ledger() -> Response:
    """Every charge, oldest first."""
    names = ("id", "amount", "amount_refunded", "currency", "customer", "status", "payment_intent", "created")
    return jsonify(charges=[{name: each[name] for name in names} for each in db().all("charge")])


@bp.get("/clock")
def clock() -> Response:
    """The wall's time and what comes next for those who have no test clock."""
    now, coming = wire.moments()
    return jsonify(now=now, moments=[{"at": at, "kind": kind, "id": subject} for at, kind, subject in coming])


@bp.post("/clock/advance")
def advance_clock() -> Response:
    """`{"to": ts | "next" | "renewal" | "retry" | "trial_end" | "grace_end" | "end"}` for all without a clock."""
    to = _body().get("to")
    if not isinstance(to, int | str) or isinstance(to, bool):
        raise ValueError("`to` is a time or what to move to.")
    return jsonify(now=wire.advance(to))


@bp.route("/keys", methods=["GET", "POST"])
def api_keys() -> Response:
    """`{"key": …, "state": "active" | "expired" | "revoked", "permissions": [rak_…] | null}`."""
    if request.method == "POST":
        given = _body()
        key = str(given.get("key", ""))
        keys.set_state(key, str(given.get("state", "active")), given.get("permissions"))
    return jsonify(keys=keys.listed())


@bp.post("/endpoints/<endpoint>/roll")
def roll(endpoint: str) -> Response:
    """`{"keep_old_seconds": n}`: a new secret; the old one signs too for so long."""
    secret = wire.roll(endpoint, float(_body().get("keep_old_seconds", 0)))
    return jsonify(secret=secret)


@bp.post("/events/<event>/resend")
def resend(event: str) -> Response:
    """`{"endpoint": we_…}`: deliver it now, whatever else is owed; what the endpoint answered."""
    return jsonify(wire.resend(event, str(_body().get("endpoint", ""))))


@bp.post("/events")
def foreign_event() -> Response:
    """`{"type": …, "like": id, "metadata": {…}}`: an event about another installation's object."""
    given = _body()
    metadata = given.get("metadata")
    if not isinstance(metadata, dict):
        raise ValueError("`metadata` is an object.")
    made = wire.foreign_event(str(given.get("type", "")), str(given.get("like", "")), metadata)
    return jsonify(id=made["id"])


@bp.route("/dashboard/<path:path>", methods=["POST", "DELETE"])
def dashboard(path: str) -> tuple[Response, int]:
    """Any POST or DELETE of the API, by form or JSON, as a person does it in the dashboard: no request causes it."""
    tree = form.encoded(_body()) if request.is_json and request.data else form.decode(request.get_data())
    status, body = server.perform_in_dashboard(request.method, f"/v1/{path}", tree)
    return jsonify(body), status


@bp.get("/state")
def states() -> Response:
    return jsonify(saved=wire.saved())


@bp.post("/state/reset")
def reset() -> Response:
    wire.reset()
    return jsonify(ok=True)


@bp.post("/state/save")
def save() -> Response:
    """`{"name": "a-z0-9-"}`"""
    wire.save(str(_body().get("name", "")))
    return jsonify(saved=wire.saved())


@bp.post("/state/load")
def load() -> Response:
    """`{"name": …}`"""
    wire.load(str(_body().get("name", "")))
    return jsonify(ok=True)

"""The control API under /sandbox: JSON for tests and scripts. Not Stripe's."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import actions
from sandbox.api import idempotency
from sandbox.house import db

Json = dict[str, Any]

bp = Blueprint("control", __name__, url_prefix="/sandbox")


@bp.errorhandler(ValueError)
def refuse(problem: ValueError) -> tuple[Response, int]:
    return jsonify(error=str(problem)), 400


@bp.errorhandler(actions.NotFound)
def missing(problem: Exception) -> tuple[Response, int]:
    return jsonify(error=f"There is no {problem}."), 404


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

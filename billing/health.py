"""Is it up (``/healthz``), and is anything stuck (``/healthz/deep``)."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError

from billing import lights, schema
from billing.access import public
from billing.extensions import db

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def shallow() -> tuple[Response, int]:
    """200 when this process answers and the schema is not older than it needs."""
    try:
        too_old = schema.is_too_old(db.session())
    except SQLAlchemyError:
        return jsonify(ok=False, problem="the database does not answer"), 503
    if too_old:
        return jsonify(ok=False, problem="the schema is not current; run flask db upgrade"), 503
    return jsonify(ok=True), 200


@bp.get("/healthz/deep")
@public
def deep() -> tuple[Response, int]:
    """200 when nothing is stuck; else 503 with what is. Says no more than names of conditions."""
    try:
        red = lights.red(db.session())
    except SQLAlchemyError:
        red = ["database"]
    return jsonify(ok=not red, red=red), 503 if red else 200

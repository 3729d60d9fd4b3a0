"""Is it up (``/healthz``), and is anything stuck (``/healthz/deep``)."""

from __future__ import annotations

from datetime import timedelta

from alembic.script import ScriptDirectory
from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy import exists, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from billing import refusals
from billing.access import public
from billing.clock import now
from billing.extensions import db
from billing.installation import current
from billing.models import AuditEntry, Notice, StripeEvent, StripeWrite

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def shallow() -> tuple[Response, int]:
    """200 when this process answers and the schema is not older than it needs.

    The release before goes on serving after a migration, so a newer schema is as good.
    """
    try:
        ours, theirs = schema_wanted(), schema_found(db.session())
    except SQLAlchemyError:
        return jsonify(ok=False, problem="the database does not answer"), 503
    if theirs != ours and is_older(theirs):
        return jsonify(ok=False, problem="the schema is not current; run flask db upgrade"), 503
    return jsonify(ok=True), 200


@bp.get("/healthz/deep")
@public
def deep() -> tuple[Response, int]:
    """200 when nothing is stuck; else 503 with what is. Says no more than names of conditions."""
    try:
        found = conditions(db.session())
    except SQLAlchemyError:
        return jsonify(ok=False, red=["database"]), 503
    red = [name for name, bad in found.items() if bad]
    return jsonify(ok=not red, red=red), 503 if red else 200


def conditions(session: Session) -> dict[str, bool]:
    """Each condition that should turn an operator's light red."""
    moment, ours = now(), current(session)
    late = StripeEvent.received_at < moment - timedelta(minutes=5)
    mail_late = Notice.created_at < moment - timedelta(minutes=30)
    seen = ours.clock_seen_at if ours else None
    answered = ours.worker_seen_at if ours else None
    reconciled = ours.reconciled_at if ours else None
    alerts = AuditEntry.at > moment - timedelta(hours=24)
    return {
        "not set up": ours is None,
        "events waiting": _any(session, StripeEvent.state == StripeEvent.PENDING, late),
        "events parked": _any(session, StripeEvent.state == StripeEvent.PARKED),
        "writes unknown": _any(session, StripeWrite.state == "unknown"),
        "mail waiting": _any(session, Notice.state == "queued", mail_late),
        "mail unknown": _any(
            session, Notice.state == "unknown", Notice.created_at > moment - timedelta(days=1)
        ),
        "clock stopped": seen is None or seen < moment - timedelta(seconds=90),
        "worker stopped": answered is None or answered < moment - timedelta(minutes=5),
        "reconciler late": reconciled is None or reconciled < moment - timedelta(hours=2),
        "deliveries refused": refusals.many(),
        "foreign events": refusals.foreign(session),
        "alerts": _any(session, AuditEntry.alert.is_(True), alerts),
    }


def schema_found(session: Session) -> str | None:
    """The migration that the database is at; None for an empty one."""
    if session.execute(select(func.to_regclass("alembic_version"))).scalar() is None:
        return None
    return session.execute(text("select version_num from alembic_version")).scalar()


def is_older(found: str | None) -> bool:
    """Whether the database is at a migration that this code knows, or at none."""
    known = {script.revision for script in _scripts().walk_revisions()}
    return found is None or found in known


def schema_wanted() -> str | None:
    """The newest migration of this code."""
    return _scripts().get_current_head()


def _scripts() -> ScriptDirectory:
    folder = current_app.extensions["migrate"].directory
    return ScriptDirectory(f"{current_app.root_path}/{folder}")


def _any(session: Session, *conditions_: object) -> bool:
    return bool(session.execute(select(exists().where(*conditions_))).scalar())  # type: ignore[arg-type]

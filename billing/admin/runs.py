"""What the reconciler found at its last passes, and asking for another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import audit, healing
from billing.access import person
from billing.admin import bp, story
from billing.admin.event import currencies_of
from billing.clock import now
from billing.extensions import db
from billing.models import AuditEntry, SyncRun

SHOWN = 50
MOST = 200
# A pass that began longer ago and did not end was killed; the next one does its work.
LONGEST = timedelta(hours=1)
WHO = {"clock": "by itself", "operator": "by an operator’s command"}


@bp.get("/reconciler")
def reconciler() -> ResponseReturnValue:
    """The last passes, newest first."""
    runs = db.session.execute(select(SyncRun).order_by(SyncRun.id.desc()).limit(SHOWN)).scalars()
    return render_template(
        "admin/runs.html",
        rows=[_row(run) for run in runs],
        ask={"label": "Look at Stripe now", "href": url_for("admin.ask_reconciler"), "method": "post"},
    )


@bp.post("/reconciler")
def ask_reconciler() -> ResponseReturnValue:
    """Ask the clock for a pass: it may take minutes, so no page waits for it."""
    session, actor = db.session(), f"admin:{person().id}"
    healing.ask(session, actor)
    audit.record(session, "reconciler.asked", actor=actor)
    session.commit()
    flash("The reconciler was asked. It begins within seconds; this page shows what it finds.")
    return redirect(url_for("admin.reconciler"), 303)


@bp.get("/reconciler/<int:run_id>")
def reconciler_run(run_id: int) -> ResponseReturnValue:
    """What one pass healed, row by row, and what it could only tell of."""
    session = db.session()
    run = session.get(SyncRun, run_id)
    if run is None or run.started_at is None:
        abort(404)
    healed = healing.found(session, run, alerts=False, most=MOST)
    alerts = healing.found(session, run, alerts=True, most=MOST)
    currencies = currencies_of([*healed, *alerts])
    return render_template(
        "admin/run.html",
        run=_row(run),
        healed=[_entry(one, currencies) for one in healed],
        alerts=[_entry(one, currencies) for one in alerts],
        most=MOST,
    )


def _entry(entry: AuditEntry, currencies: story.Currencies) -> dict[str, Any]:
    cause = entry.cause_event_id
    return {
        "at": entry.at,
        "subject": entry.subject,
        "href": url_for("admin.event", event_id=cause) if cause else None,
        "person": url_for("admin.subscriber", user_id=entry.user_id) if entry.user_id else None,
        "changes": [
            {"what": what, "before": before, "after": after}
            for what, before, after in story.changes(entry, currencies)
        ],
    }


def _row(run: SyncRun) -> dict[str, Any]:
    word, tone, glyph = _state(run)
    took = run.ended_at - run.started_at if run.ended_at and run.started_at else None
    return {
        "at": run.started_at or run.asked_at,
        "href": url_for("admin.reconciler_run", run_id=run.id) if run.started_at else None,
        "scope": "everything" if run.full else "what runs and is recent",
        "who": WHO.get(run.actor, "by an admin"),
        "tag": word,
        "tone": tone,
        "glyph": glyph,
        "took": f"{took.total_seconds():.0f} s" if took is not None else None,
        "missed": run.missed,
        "compared": run.compared,
        "looked": run.looked,
        "healed": run.healed,
        "problem": run.problem,
    }


def _state(run: SyncRun) -> tuple[str, str, str]:
    if run.started_at is None:
        return "waiting", "wait", "◌"
    if run.ended_at is None:
        cut_off = now() - run.started_at > LONGEST
        return ("cut off", "stop", "■") if cut_off else ("looking", "wait", "◌")
    if run.problem:
        return "stopped", "stop", "■"
    return ("healed", "look", "▲") if run.healed else ("all the same", "good", "●")

"""Before an event is run again: what that would change, said without changing it."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from billing import rehearsal
from billing.access import safe_next
from billing.admin import bp
from billing.admin.events import again, stored
from billing.errors import StaleLease, StripeError
from billing.extensions import db
from billing.models import Notice
from billing.rehearsal import NEW, Change

WORDS = {"True": "yes", "False": "no"}


@bp.post("/events/<event_id>/rehearse")
def rehearse(event_id: str) -> ResponseReturnValue:
    """Ask Stripe, and show each field and mail that running the event again would change."""
    row = stored(event_id)
    own = url_for("admin.event", event_id=event_id)
    if again(row) is None:
        flash("This event can’t be run again: nothing is done for its type.")
        return redirect(own, 303)
    kind = row.type
    changes, problem = _changes(event_id)
    return render_template(
        "admin/rehearse.html",
        event={"id": event_id, "type": kind, "href": own},
        changes=[_row(change) for change in changes],
        problem=problem,
        run={
            "label": "Run it again",
            "href": url_for("admin.run", event_id=event_id),
            "method": "post",
            "fields": {"back": _back(own)},
        },
    )


def _changes(event_id: str) -> tuple[list[Change], str | None]:
    try:
        return rehearsal.of_event(db.session(), event_id) or [], None
    except (StripeError, StaleLease) as problem:
        return [], str(problem)


def _row(change: Change) -> dict[str, str]:
    table, _, name = change.row.partition(" ")
    if table == Notice.__tablename__ and change.field == NEW:
        return {"row": "A mail", "field": change.after, "before": "not owed", "after": "owed"}
    return {
        "row": name,
        "field": change.field.replace("_", " "),
        "before": WORDS.get(change.before, change.before),
        "after": WORDS.get(change.after, change.after),
    }


def _back(own: str) -> str:
    """The list that the button was on, with its filters; else the event's own page."""
    came = urlsplit(request.referrer or "")
    if came.path != url_for("admin.events"):
        return own
    return safe_next(f"{came.path}?{came.query}".rstrip("?"), own)

"""What Stripe told us and what became of it; one event in full; and running it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import func, literal, or_, select, tuple_
from sqlalchemy.orm import aliased, defer

from billing import audit, jobs, running, tags
from billing.access import person, safe_next
from billing.admin import bp, links, paging, redact, story
from billing.admin.details import Pairs
from billing.extensions import db
from billing.models import AuditEntry, StripeEvent, User
from billing.stripe_client import API_VERSION

STATES = [(state, tag[0]) for state, tag in tags.EVENTS.items()]
CHANGES = 50


@bp.get("/events")
def events() -> ResponseReturnValue:
    """Every stored event, last received first."""
    filters = {name: paging.text_of(request.args, name) for name in ("state", "type")}
    conditions = [getattr(StripeEvent, name) == value for name, value in filters.items() if value]
    query = select(StripeEvent).where(*conditions).options(defer(StripeEvent.payload))
    page = paging.take(db.session(), query, _order(), request.args)
    if page.beyond:
        return redirect(paging.address("admin.events", filters, {}) or "", 303)
    found = paging.count(db.session(), select(StripeEvent.event_id).where(*conditions))
    config = running.config()
    return render_template(
        "admin/events.html",
        rows=_rows([row for (row,) in page.rows]),
        states=paging.choices(STATES, filters["state"]),
        types=paging.choices([(name, name) for name in sorted(jobs.HANDLERS)], filters["type"]),
        **filters,
        count_text=paging.count_text(len(page.rows), found, "event"),
        summary=_summary(),
        endpoint=f"{config.public_url}/webhooks/stripe",
        newer=paging.address("admin.events", filters, page.newer),
        older=paging.address("admin.events", filters, page.older),
    )


def _order() -> paging.Order:
    """By the moment of arrival; the key in an address is the event's id, its moment is looked up."""
    other = aliased(StripeEvent)

    def place(key: str) -> Any:
        moment = select(other.received_at).where(other.event_id == key).scalar_subquery()
        return tuple_(moment, literal(key))

    return paging.Order((StripeEvent.received_at, StripeEvent.event_id), place, lambda row: row[0].event_id)


def _rows(rows: Sequence[StripeEvent]) -> list[dict[str, Any]]:
    owners = _owners(rows)
    return [
        {
            "id": row.event_id,
            "received": row.received_at,
            "created": row.stripe_created,
            "type": row.type,
            "object_id": row.object_id or "–",
            "subscriber": _link(owners.get(row.event_id)),
            **_tag(row),
            "attempts": row.attempts,
            "error": row.reason,
            "href": url_for("admin.event", event_id=row.event_id),
            "again": again(row),
        }
        for row in rows
    ]


def _owners(rows: Sequence[StripeEvent]) -> dict[str, User]:
    """Whom each event is about: its user, or until it is applied the user of its customer."""
    ids = {row.user_id for row in rows if row.user_id}
    customers = {row.customer_id for row in rows if row.customer_id and not row.user_id}
    if not ids and not customers:
        return {}
    found = select(User).where(or_(User.id.in_(ids), User.stripe_customer_id.in_(customers)))
    users = db.session.execute(found).scalars().all()
    by_id, by_customer = {one.id: one for one in users}, {one.stripe_customer_id: one for one in users}
    pairs = (
        (row.event_id, by_id.get(row.user_id) if row.user_id else by_customer.get(row.customer_id))
        for row in rows
    )
    return {event_id: user for event_id, user in pairs if user is not None}


def _link(user: User | None) -> dict[str, str] | None:
    if user is None:
        return None
    return {"email": user.email, "href": url_for("admin.subscriber", user_id=user.id)}


def _summary() -> Pairs:
    """Is anything coming, is anything stuck: one query."""
    arrived = StripeEvent.received_at
    last = select(arrived).where(StripeEvent.source == "webhook").order_by(arrived.desc()).limit(1)
    waiting = select(arrived).where(StripeEvent.state == StripeEvent.PENDING).order_by(arrived).limit(1)
    failed = select(StripeEvent.event_id).where(StripeEvent.state == StripeEvent.PARKED)
    other = StripeEvent.source == "webhook", StripeEvent.api_version.is_distinct_from(API_VERSION)
    odd = select(StripeEvent.event_id).where(arrived > func.now() - timedelta(days=1), *other)
    row = db.session.execute(
        select(
            last.scalar_subquery(),
            waiting.scalar_subquery(),
            *(paging.counted(some).scalar_subquery() for some in (failed, odd)),
        )
    ).one()
    return [
        ("Last webhook received", links.moment(row[0]) if row[0] else "none yet"),
        ("Oldest not applied", links.moment(row[1]) if row[1] else "none"),
        ("Failed", _number(row[2])),
        ("Of another API version, last 24 hours", _number(row[3])),
    ]


def _number(counted: int) -> str:
    return f"{paging.COUNTED:,}+" if counted > paging.COUNTED else f"{counted:,}"


@bp.get("/events/<event_id>")
def event(event_id: str) -> ResponseReturnValue:
    """One event: what it is about, what became of it, what it changed, and what Stripe sent."""
    row = stored(event_id)
    open_ = row.state in (StripeEvent.PENDING, StripeEvent.PARKED)
    return render_template(
        "admin/event.html",
        event={
            "id": row.event_id,
            "type": row.type,
            **_tag(row),
            "error": row.reason if open_ else None,
            "again": again(row),
        },
        facts=_facts(row, None if open_ else row.reason),
        changes=_changes(row),
        payload=redact.pretty(row.payload),
    )


def _facts(row: StripeEvent, reason: str | None) -> Pairs:
    owner = _link(_owners([row]).get(row.event_id))
    link = Markup('<a href="{}">{}</a>').format(owner["href"], owner["email"]) if owner else None
    pairs: Pairs = [
        ("Received", links.moment(row.received_at)),
        ("Made at Stripe", links.moment(row.stripe_created)),
        ("Learned from", row.source.replace("_", " ")),
        ("Subscriber", link),
        ("Customer", row.customer_id),
        ("Object", row.object_id),
        ("Asked Stripe for", row.subject if row.subject != row.object_id else None),
        ("Tries", row.attempts),
        ("Next try", links.moment(row.next_attempt_at) if row.state == StripeEvent.PENDING else None),
        ("Applied", links.moment(row.applied_at) if row.state == StripeEvent.APPLIED else None),
        ("Why nothing was done", reason),
        ("API version", row.api_version),
        ("Mode", "live" if row.livemode else "test"),
    ]
    return [(label, value) for label, value in pairs if value not in (None, "")]


def _changes(row: StripeEvent) -> list[dict[str, str]]:
    """What was written because of this event. The audit is indexed by person and time, so both are named."""
    if row.user_id is None:
        return []
    found = (
        select(AuditEntry)
        .where(
            AuditEntry.user_id == row.user_id,
            AuditEntry.at >= row.received_at,
            AuditEntry.cause_event_id == row.event_id,
        )
        .order_by(AuditEntry.at, AuditEntry.id)
        .limit(CHANGES)
    )
    entries = db.session.execute(found).scalars()
    lines = (line for entry in entries for line in story.changes(entry))
    return [{"what": what, "before": before, "after": after} for what, before, after in lines]


@bp.post("/events/<event_id>/run")
def run(event_id: str) -> ResponseReturnValue:
    """Make the event due and apply it now. Its handler asks Stripe anew, so an old event does no harm."""
    row, session = stored(event_id), db.session()
    back = redirect(safe_next(request.form.get("back"), url_for("admin.event", event_id=event_id)), 303)
    if again(row) is None:
        flash("This event can’t be run again: nothing is done for its type.")
        return back
    audit.record(
        session,
        "event.run_again",
        actor=f"admin:{person().id}",
        user_id=row.user_id,
        subject=event_id,
        before={"state": row.state, "attempts": row.attempts},
    )
    session.commit()
    done = jobs.run_again(session, event_id)
    flash(_outcome(done))
    return back


def _outcome(row: StripeEvent | None) -> str:
    if row is None:
        return "This event can’t be run again."
    reason = f": {row.reason}" if row.reason else ""
    return {
        StripeEvent.APPLIED: "The event was run again and applied.",
        StripeEvent.IGNORED: f"The event was run again. There was nothing to do{reason}.",
        StripeEvent.PENDING: f"The event was not applied yet{reason}. It is tried again by itself.",
        StripeEvent.PARKED: f"The event failed again{reason}.",
    }[row.state]


def again(row: StripeEvent) -> str | None:
    """Where the way to running it again begins: what that would change is shown first."""
    if row.type not in jobs.HANDLERS or row.subject is None:
        return None
    return url_for("admin.rehearse", event_id=row.event_id)


def stored(event_id: str) -> StripeEvent:
    """The event of that id, or 404."""
    if not event_id.isprintable():
        abort(404)
    return db.session.get(StripeEvent, event_id) or abort(404)


def _tag(row: StripeEvent) -> dict[str, str]:
    return dict(zip(("tag", "tone", "glyph"), tags.event(row), strict=True))

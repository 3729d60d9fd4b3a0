"""What Stripe told us and what became of it, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, literal, or_, select, tuple_
from sqlalchemy.orm import aliased, defer

from billing import jobs, running, tags
from billing.admin import bp, links, paging
from billing.admin.details import Pairs
from billing.extensions import db
from billing.models import StripeEvent, User
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
    found = paging.count(db.session(), page, select(StripeEvent.event_id).where(*conditions))
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
    known = owners(rows)
    return [
        {
            "id": row.event_id,
            "received": row.received_at,
            "created": row.stripe_created,
            "type": row.type,
            "object_id": row.object_id or "–",
            "subscriber": link(known.get(row.event_id)),
            **tag(row),
            "attempts": row.attempts,
            "error": row.reason,
            "href": url_for("admin.event", event_id=row.event_id),
            "again": again(row),
        }
        for row in rows
    ]


def owners(rows: Sequence[StripeEvent]) -> dict[str, User]:
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


def link(user: User | None) -> dict[str, str] | None:
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


def tag(row: StripeEvent) -> dict[str, str]:
    return dict(zip(("tag", "tone", "glyph"), tags.event(row), strict=True))

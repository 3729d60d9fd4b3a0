"""One event of Stripe: what became of it, how long that took, what it changed; and running it again."""

from __future__ import annotations

from collections.abc import Sequence

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import select, union_all

from billing import audit, jobs
from billing.access import person, safe_next
from billing.admin import bp, links, redact, story
from billing.admin.details import Pairs
from billing.admin.events import again, link, owners, stored, tag
from billing.extensions import db
from billing.models import (
    AuditEntry,
    Dispute,
    FraudWarning,
    Invoice,
    Payment,
    Refund,
    StripeEvent,
    Subscription,
)

CHANGES = 200
TOGETHER = 20
DONE = (StripeEvent.APPLIED, StripeEvent.IGNORED)


@bp.get("/events/<event_id>")
def event(event_id: str) -> ResponseReturnValue:
    """One event: what it is about, what became of it, what it changed, and what Stripe sent."""
    row = stored(event_id)
    open_, together = row.state not in DONE, _together(row)
    return render_template(
        "admin/event.html",
        event={
            "id": row.event_id,
            "type": row.type,
            **tag(row),
            "error": row.reason if open_ else None,
            "again": again(row),
        },
        facts=_facts(row, None if open_ else row.reason, together),
        changes=_changes(row, together),
        payload=redact.pretty(row.payload),
    )


def _together(row: StripeEvent) -> list[str]:
    """Other events that waited for the same object and were applied with it: one answer of Stripe's served them all."""
    if row.user_id is None or row.applied_at is None:
        return []
    found = select(StripeEvent.event_id).where(
        StripeEvent.user_id == row.user_id,
        StripeEvent.applied_at == row.applied_at,
        StripeEvent.subject == row.subject,
        StripeEvent.event_id != row.event_id,
    )
    return list(db.session.execute(found.order_by(StripeEvent.received_at).limit(TOGETHER)).scalars())


def _facts(row: StripeEvent, reason: str | None, together: list[str]) -> Pairs:
    owner = link(owners([row]).get(row.event_id))
    who = Markup('<a href="{}">{}</a>').format(owner["href"], owner["email"]) if owner else None
    pairs: Pairs = [
        ("Received", links.moment(row.received_at)),
        ("Made at Stripe", links.moment(row.stripe_created)),
        ("Learned from", row.source.replace("_", " ")),
        ("Subscriber", who),
        ("Customer", row.customer_id),
        ("Object", row.object_id),
        ("Asked Stripe for", row.subject if row.subject != row.object_id else None),
        ("Tries", row.attempts),
        ("Next try", links.moment(row.next_attempt_at) if row.state == StripeEvent.PENDING else None),
        ("Applied", links.moment(row.applied_at) if row.state == StripeEvent.APPLIED else None),
        ("Together with", _links(together)),
        ("Waited", _seconds(_waited_ms(row))),
        ("Took" if row.state in DONE else "Last try took", _seconds(row.took_ms)),
        ("Why nothing was done", reason),
        ("API version", row.api_version),
        ("Mode", "live" if row.livemode else "test"),
    ]
    return [(label, value) for label, value in pairs if value not in (None, "")]


def _links(ids: list[str]) -> Markup:
    ways = [Markup('<a href="{}">{}</a>').format(url_for("admin.event", event_id=one), one) for one in ids]
    return Markup(", ").join(ways)


def _waited_ms(row: StripeEvent) -> int | None:
    """From its arrival to the beginning of the try that ended it; earlier tries and pauses count as waiting."""
    if row.state not in DONE or row.applied_at is None or row.took_ms is None:
        return None
    return max(0, round((row.applied_at - row.received_at).total_seconds() * 1000) - row.took_ms)


def _seconds(ms: int | None) -> str | None:
    """“0.214 seconds”; None stays None."""
    return None if ms is None else f"{ms / 1000:,.3f} seconds"


def _changes(row: StripeEvent, together: list[str]) -> list[dict[str, str]]:
    """What was written because of this event and those applied with it, in whose name the entry may be.

    The audit is indexed by person and time, so both are named.
    """
    if row.user_id is None:
        return []
    found = (
        select(AuditEntry)
        .where(
            AuditEntry.user_id == row.user_id,
            AuditEntry.at >= row.received_at,
            AuditEntry.cause_event_id.in_([row.event_id, *together]),
        )
        .order_by(AuditEntry.at, AuditEntry.id)
        .limit(CHANGES)
    )
    entries = db.session.execute(found).scalars().all()
    currencies = currencies_of(entries)
    lines = (line for entry in entries for line in story.changes(entry, currencies))
    return [{"what": what, "before": before, "after": after} for what, before, after in lines]


def currencies_of(entries: Sequence[AuditEntry]) -> dict[str, str]:
    """Of what money the objects are that the entries speak of, by Stripe's id."""
    subjects = {entry.subject for entry in entries}
    found = union_all(
        *(
            select(key, row.currency).where(key.in_(subjects))
            for key, row in (
                (Subscription.stripe_id, Subscription),
                (Invoice.stripe_id, Invoice),
                (Payment.payment_intent, Payment),
                (Dispute.stripe_id, Dispute),
                (Refund.stripe_id, Refund),
                (FraudWarning.stripe_id, FraudWarning),
            )
        )
    )
    return dict(db.session.execute(found).all())


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

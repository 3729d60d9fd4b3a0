"""All that concerns one subscription: what Stripe told, what changed, what was asked, which mails left."""

from __future__ import annotations

from flask import abort, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Select, func, or_, select, union

from billing import tags
from billing.admin import bp, details, timeline
from billing.extensions import db
from billing.models import (
    AuditEntry,
    CheckoutSession,
    Dispute,
    FraudWarning,
    Invoice,
    Notice,
    Refund,
    StripeEvent,
    StripeWrite,
    Subscription,
    User,
)


@bp.get("/subscriptions/<subscription_id>")
def subscription(subscription_id: str) -> ResponseReturnValue:
    """What Stripe holds of it, and its story, newest first, with every field that changed."""
    if not subscription_id.isprintable():
        abort(404)
    session = db.session()
    found = select(Subscription).where(Subscription.stripe_id == subscription_id)
    row = session.execute(found).scalar() or abort(404)
    user = session.get_one(User, row.user_id)
    return render_template(
        "admin/subscription.html",
        subscription_id=row.stripe_id,
        person={"email": user.email, "href": url_for("admin.subscriber", user_id=user.id)},
        facts=details.subscription([row]),
        timeline=_story(user, row, _ids(row)),
    )


def _ids(row: Subscription) -> Select[str]:
    """Stripe's names of all that belongs to it: itself, its invoices, their payments, refunds, disputes and warnings,
    its Sessions."""
    billed = Invoice.subscription == row.stripe_id
    paid = select(Invoice.payment_intent).where(billed, Invoice.payment_intent.is_not(None))
    disputes = select(Dispute.stripe_id).where(
        Dispute.user_id == row.user_id, Dispute.payment_intent.in_(paid)
    )
    back = select(Refund.stripe_id).where(Refund.payment_intent.in_(paid))
    warned = select(FraudWarning.stripe_id).where(FraudWarning.payment_intent.in_(paid))
    sessions = select(CheckoutSession.stripe_id).where(
        CheckoutSession.user_id == row.user_id, CheckoutSession.subscription == row.stripe_id
    )
    itself = select(Subscription.stripe_id).where(Subscription.id == row.id)
    invoices = select(Invoice.stripe_id).where(billed)
    return select(union(itself, invoices, paid, disputes, back, warned, sessions).subquery().c[0])


def _story(user: User, row: Subscription, ids: Select[str]) -> list[timeline.Entry]:
    session = db.session()
    events = StripeEvent.subject.in_(ids)
    told = select(StripeEvent.event_id).where(events)
    about = or_(AuditEntry.subject.in_(ids), AuditEntry.subject.in_(told))
    money = details.money(session, user, [row])
    letters = timeline.mails_where(
        session, user, (Notice.user_id == user.id) & Notice.cause_event_id.in_(told)
    )
    return timeline.newest(
        [
            *timeline.events_where(session, events),
            *timeline.changes_where(session, (AuditEntry.user_id == user.id) & about, money, in_full=True),
            *timeline.as_moments(letters),
            *_writes(user, ids),
        ]
    )


def _writes(user: User, ids: Select[str]) -> list[timeline.Entry]:
    """What was asked of Stripe about it, with what came of that."""
    concerned = or_(
        StripeWrite.target.in_(ids),
        StripeWrite.stripe_object_id.in_(ids),
        func.split_part(StripeWrite.name, ":", 2).in_(ids),
    )
    found = select(StripeWrite).where(StripeWrite.user_id == user.id, concerned)
    rows = db.session.execute(
        found.order_by(StripeWrite.created_at.desc()).limit(timeline.LENGTH + 1)
    ).scalars()
    return [
        {
            "at": row.created_at,
            "kind": "write",
            "text": f"Asked of Stripe: {row.operation}",
            "detail": ", ".join(part for part in (row.target or row.stripe_object_id, row.error) if part),
            "href": None,
            **timeline.as_tag(tags.write(row)),
        }
        for row in rows
    ]

"""What somebody was charged: every invoice and one-off payment, newest first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, render_template
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import running, tags
from billing.access import person
from billing.clock import now
from billing.extensions import db
from billing.language import _, later
from billing.models import Invoice, Payment, Subscription

bp = Blueprint("ledger", __name__)

LENGTH = 100
# Stripe tries an invoice about an hour after it made it; until then nobody owes anything
# (docs.stripe.com/billing/invoices/subscription).
YOUNG = timedelta(hours=2)
COMING: tags.Tag = (later("Processing"), "wait", "◌")


@bp.get("/invoices")
def invoices() -> str:
    """Every invoice and one-off payment, newest first."""
    rows = _rows(db.session(), person().id, LENGTH)
    return render_template("billing/invoices.html", invoices=rows, newer=None, older=None)


def entries(session: Session, user_id: int, limit: int) -> list[dict[str, Any]]:
    """The newest of them, as the billing page lists them."""
    rows = _rows(session, user_id, limit)
    return [{**row, "text": row["what"]} for row in rows]


def tag(one: Invoice, subscription: Subscription | None) -> tags.Tag:
    """The state of an invoice. What Stripe has not tried yet, and will, is not called unpaid."""
    present = (subscription.clock_time if subscription else None) or now()
    automatic = subscription is None or subscription.collection_method == "charge_automatically"
    young = one.status == "open" and not one.attempted and automatic and present - one.created < YOUNG
    word, tone, glyph = COMING if young else tags.invoice(one)
    return _(word), tone, glyph


def _rows(session: Session, user_id: int, limit: int) -> list[dict[str, Any]]:
    """Invoices that people may see (no drafts) and one-off payments that succeeded."""
    shown = (
        select(Invoice, Subscription)
        .outerjoin(Subscription, Subscription.stripe_id == Invoice.subscription)
        .where(Invoice.user_id == user_id, Invoice.status != "draft")
    )
    bought = select(Payment).where(Payment.user_id == user_id, Payment.fulfilled_at.is_not(None))
    billed = session.execute(shown.order_by(Invoice.created.desc()).limit(limit))
    paid = session.execute(bought.order_by(Payment.created.desc()).limit(limit)).scalars()
    purchases = [entry for one in paid for entry in _payment(one)]
    rows = [_invoice(one, plan) for one, plan in billed] + purchases
    return sorted(rows, key=lambda row: row["date"], reverse=True)[:limit]


def _invoice(one: Invoice, plan: Subscription | None) -> dict[str, Any]:
    start, end = one.period_start, one.period_end
    kept = {"id": one.stripe_id, "number": one.number or "", "what": one.description, "amount": one.total}
    kept["href"] = f"/invoices/{one.stripe_id}"
    period = {"start": start, "end": end} if _is_a_period(start, end) else {"start": None, "end": None}
    return _row(one, tag(one, plan), **kept, **period)


def _is_a_period(start: datetime | None, end: datetime | None) -> bool:
    return start is not None and end is not None and end > start


def _payment(one: Payment) -> list[dict[str, Any]]:
    """The purchase, and where money went back an entry of its own."""
    title, (word, tone, glyph) = running.catalogue().title(one.product), tags.payment(one)
    own: dict[str, Any] = {"id": None, "number": "", "start": None, "end": None}
    own["href"] = f"/orders/{one.payment_intent}"
    bought = _row(one, (_(word), tone, glyph), **own, what=title, amount=one.amount)
    if not one.amount_refunded:
        return [bought]
    refund = _row(
        one,
        (_("Refund"), "rest", "↺"),
        **own,
        what=_("Refund: {item}", item=title),
        amount=-one.amount_refunded,
    )
    return [{**refund, "date": one.refunded_at or one.created}, bought]


def _row(one: Invoice | Payment, tag_: tags.Tag, **own: Any) -> dict[str, Any]:
    word, tone, glyph = tag_
    return {"date": one.created, "currency": one.currency, "tag": word, "tone": tone, "glyph": glyph, **own}

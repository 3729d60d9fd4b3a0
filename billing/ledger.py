"""What somebody was charged: every invoice and one-off payment, newest first, each opened on Stripe's page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, redirect, render_template
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import running, stripe_client, tags
from billing.access import person
from billing.errors import StripeError
from billing.extensions import db
from billing.models import Invoice, Payment

bp = Blueprint("ledger", __name__)

LENGTH = 100


@bp.get("/invoices")
def invoices() -> ResponseReturnValue:
    """Every invoice and one-off payment, newest first."""
    rows = _rows(db.session(), person().id, LENGTH)
    return render_template("billing/invoices.html", invoices=rows, newer=None, older=None)


@bp.post("/invoices/<stripe_id>/open")
def open_invoice(stripe_id: str) -> ResponseReturnValue:
    """To Stripe's page of the person's own invoice. Its address is asked for at each click and never kept."""
    found = select(Invoice).where(Invoice.stripe_id == stripe_id, Invoice.user_id == person().id)
    if db.session.execute(found).scalar() is None:
        abort(404)
    db.session.rollback()
    try:
        url = stripe_client.get_invoice(stripe_id).get("hosted_invoice_url")
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again="/invoices"), 503
    return redirect(url or "/invoices", 303)


def entries(session: Session, user_id: int, limit: int) -> list[dict[str, Any]]:
    """The newest of them, as the billing page lists them."""
    return [{**row, "text": row["what"], "href": "/invoices"} for row in _rows(session, user_id, limit)]


def _rows(session: Session, user_id: int, limit: int) -> list[dict[str, Any]]:
    """Invoices that people may see (no drafts) and one-off payments that succeeded."""
    shown = select(Invoice).where(Invoice.user_id == user_id, Invoice.status != "draft")
    bought = select(Payment).where(Payment.user_id == user_id, Payment.fulfilled_at.is_not(None))
    billed = session.execute(shown.order_by(Invoice.created.desc()).limit(limit)).scalars()
    paid = session.execute(bought.order_by(Payment.created.desc()).limit(limit)).scalars()
    rows = [_invoice(one) for one in billed] + [_payment(one) for one in paid]
    return sorted(rows, key=lambda row: row["date"], reverse=True)[:limit]


def _invoice(one: Invoice) -> dict[str, Any]:
    kept = {"id": one.stripe_id, "number": one.number or "", "what": one.description, "amount": one.total}
    return _row(one, tags.invoice(one), **kept)


def _payment(one: Payment) -> dict[str, Any]:
    title = running.catalogue().title(one.product)
    return _row(one, tags.payment(one), id=None, number="", what=title, amount=one.amount)


def _row(one: Invoice | Payment, tag: tags.Tag, **own: Any) -> dict[str, Any]:
    word, tone, glyph = tag
    return {"date": one.created, "currency": one.currency, "tag": word, "tone": tone, "glyph": glyph, **own}

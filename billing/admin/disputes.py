"""Disputes with their deadlines, one in full, and the banks' early warnings of fraud."""

from __future__ import annotations

from typing import Any

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import literal, select, tuple_
from sqlalchemy.orm import aliased

from billing import refunding, tags
from billing.admin import bp, details, links, paging, timeline
from billing.extensions import db
from billing.models import AuditEntry, Dispute, FraudWarning, User
from billing.money import format_money
from billing.payment_news import ANSWERS

STATES = [("answer", "must be answered"), ("open", "open or lost"), ("over", "won or closed")]
WARNINGS = 50
FUNDS = {"withdrawn": "with the bank", "reinstated": "given back to you"}


@bp.get("/disputes")
def disputes() -> ResponseReturnValue:
    """Every dispute, the newest first, and the newest fraud warnings."""
    state = paging.text_of(request.args, "state")
    conditions = {
        "answer": [Dispute.status.in_(ANSWERS)],
        "open": [Dispute.status.not_in(refunding.HARMLESS)],
        "over": [Dispute.status.in_(refunding.HARMLESS)],
    }.get(state, [])
    query = select(Dispute, User).join(User, User.id == Dispute.user_id).where(*conditions)
    page = paging.take(db.session(), query, _order(), request.args)
    filters = {"state": state}
    if page.beyond:
        return redirect(paging.address("admin.disputes", filters, {}) or "", 303)
    found = paging.count(db.session(), page, select(Dispute.id).where(*conditions))
    return render_template(
        "admin/disputes.html",
        rows=[_row(row, user) for row, user in page.rows],
        count_text=paging.count_text(len(page.rows), found, "dispute"),
        states=paging.choices(STATES, state),
        state=state,
        warnings=_warnings(),
        newer=paging.address("admin.disputes", filters, page.newer),
        older=paging.address("admin.disputes", filters, page.older),
    )


def _order() -> paging.Order:
    """By the moment that it was opened; the key in an address is the row's number, its moment is looked up."""
    other = aliased(Dispute)

    def place(key: str) -> Any:
        number = paging.number(key)
        moment = select(other.created).where(other.id == number).scalar_subquery()
        return tuple_(moment, literal(number))

    return paging.Order((Dispute.created, Dispute.id), place, lambda row: row[0].id)


def _row(row: Dispute, user: User) -> dict[str, Any]:
    return {
        "href": url_for("admin.dispute", dispute_id=row.stripe_id),
        "amount": row.amount,
        "currency": row.currency,
        "reason": row.reason.replace("_", " "),
        "due_by": row.due_by if row.status in ANSWERS else None,
        "opened": row.created,
        **_person(user),
        **timeline.as_tag(tags.dispute(row.status)),
    }


def _person(user: User) -> dict[str, str]:
    return {"email": user.email, "person": url_for("admin.subscriber", user_id=user.id)}


def _warnings() -> list[dict[str, Any]]:
    found = select(FraudWarning, User).join(User, User.id == FraudWarning.user_id)
    newest = found.order_by(FraudWarning.created.desc(), FraudWarning.id.desc()).limit(WARNINGS)
    rows = db.session.execute(newest).all()
    payments = _payments(*(row.payment_intent for row, _ in rows))
    return [
        {
            "amount": row.amount,
            "currency": row.currency,
            "kind": row.fraud_type.replace("_", " "),
            "warned": row.created,
            "href": payments.get(row.payment_intent),
            **_person(user),
            **timeline.as_tag(tags.fraud_warning(row)),
        }
        for row, user in rows
    ]


def _payments(*intents: str | None) -> dict[str | None, str]:
    """For each payment that we know, the page of what was paid and what went back of it."""
    named = {one for one in intents if one}
    known = refunding.known(db.session(), named) if named else set()
    return {one: url_for("admin.refund", payment_intent=one) for one in known}


@bp.get("/disputes/<dispute_id>")
def dispute(dispute_id: str) -> ResponseReturnValue:
    """One dispute: until when it can be answered, where the money is, and what happened so far."""
    if not dispute_id.isprintable():
        abort(404)
    session = db.session()
    row = session.execute(select(Dispute).where(Dispute.stripe_id == dispute_id)).scalar() or abort(404)
    user = session.get_one(User, row.user_id)
    money = details.Money((), (), (), disputes=(row,))
    changes = timeline.changes_where(session, AuditEntry.subject == row.stripe_id, money, in_full=True)
    return render_template(
        "admin/dispute.html",
        dispute_id=row.stripe_id,
        tag=tags.dispute(row.status),
        facts=[(label, value) for label, value in _facts(row) if value],
        answer=row.due_by if row.status in ANSWERS else None,
        dashboard=links.in_dashboard(f"disputes/{row.stripe_id}"),
        payment=_payments(row.payment_intent).get(row.payment_intent),
        timeline=changes,
        **_person(user),
    )


def _facts(row: Dispute) -> details.Pairs:
    return [
        ("Amount", format_money(row.amount, row.currency)),
        ("Reason", row.reason.replace("_", " ")),
        ("Stripe’s status", row.status),
        ("The money is", FUNDS.get(row.funds or "", "where it was: the bank has taken none")),
        ("Opened", links.moment(row.created)),
        ("Answer by", links.moment(row.due_by)),
        ("Payment", links.stripe_object("payments", row.payment_intent) if row.payment_intent else None),
    ]

"""The page behind the link of a mail: what one invoice is for and how much, and the way to Stripe's page of it.

Anybody who has the link may pay, and sees no more than amount and product. Stripe's own address is asked for at
each press; it is a key in itself, so none is kept or mailed.
"""

from __future__ import annotations

from flask import Blueprint, Response, current_app, flash, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import labels, ladder, pay_links, refresh, running, stripe_reads, throttle
from billing.access import public
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _
from billing.models import Invoice, Subscription, User
from billing.receipts import NOT_TO_PAY

bp = Blueprint("paying", __name__)

TRIES, TRIES_OF_A_MACHINE = 20, 60  # presses for one invoice and of one machine, in a quarter of an hour


@bp.get("/pay/<token>")
@public
def page(token: str) -> ResponseReturnValue:
    """What is owed, from our rows; a page in words where there is nothing to pay by this link."""
    invoice, plan, over = _found(token)
    return _page(token, invoice, plan, over)


@bp.post("/pay/<token>")
@public
def pay(token: str) -> ResponseReturnValue:
    """To Stripe's page of the invoice; where Stripe has nothing to be paid, our row is looked at and that is said."""
    invoice, plan, over = _found(token)
    if invoice is None or over or invoice.status != "open":
        return _page(token, invoice, plan, over)
    stripe_id, customer = invoice.stripe_id, db.session.get_one(User, invoice.user_id).stripe_customer_id
    subscription = plan.stripe_id if plan else None
    minutes = _tried(stripe_id)
    if minutes:
        waits = render_template("errors/429.html", minutes=minutes, back=f"/pay/{token}")
        return waits, 429, {"Retry-After": str(minutes * 60)}
    db.session.rollback()
    try:
        found = stripe_reads.get_invoice(stripe_id)
        if found["status"] == "open" and found.get("hosted_invoice_url"):
            return redirect(found["hosted_invoice_url"], 303)
        if subscription is not None:
            refresh.subscription(db.session(), subscription, customer, running.config(), "customer")
    except StripeError as problem:
        current_app.logger.warning("invoice not opened by a link", extra={"reason": str(problem)})
        return render_template("errors/stripe_unreachable.html", again=f"/pay/{token}"), 503
    flash(_(NOT_TO_PAY.get(found["status"], NOT_TO_PAY["draft"])))
    return redirect(f"/pay/{token}", 303)


def _page(token: str, invoice: Invoice | None, plan: Subscription | None, over: bool) -> Response:
    """Nobody may index it; that it was asked for with a good link is what its status says."""
    state = "broken" if invoice is None else invoice.status
    if state == "open" and over:
        state = "expired"
    words = render_template(
        "billing/pay.html",
        token=token,
        state=state,
        invoice=invoice,
        confirm=invoice is not None and invoice.needs_action,
        plan=labels.title(plan.plan) if plan else invoice.description if invoice else "",
        ended=plan is not None and plan.final,
        comes_back=plan is not None and ladder.on_hold(plan),
    )
    answer = make_response(words, {"broken": 404, "expired": 410}.get(state, 200))
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    answer.headers["Referrer-Policy"] = "same-origin"  # the address is a key; our own forms need a referrer
    return answer


def _found(token: str) -> tuple[Invoice | None, Subscription | None, bool]:
    stripe_id, over = pay_links.opened(db.session(), token)
    found = (
        select(Invoice, Subscription)
        .outerjoin(Subscription, Subscription.stripe_id == Invoice.subscription)
        .where(Invoice.stripe_id == stripe_id)
    )
    pair = db.session.execute(found).first() if stripe_id else None
    return (pair[0], pair[1], over) if pair else (None, None, over)


def _tried(stripe_id: str) -> int:
    session, machine = db.session(), request.remote_addr or ""
    of_one = throttle.hit(session, throttle.bucket("pay", stripe_id), TRIES)
    return max(of_one, throttle.hit(session, throttle.bucket("pay", machine), TRIES_OF_A_MACHINE))

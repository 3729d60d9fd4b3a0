"""One order of something that is bought once: its page, which reports and can be printed, and the way to the bank.

It is named by its PaymentIntent, or by the token of its form as long as nobody knows that one. Nothing is granted here.
"""

from __future__ import annotations

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import (
    grants,
    labels,
    one_click,
    purchase_words,
    queues,
    refresh,
    running,
    stripe_reads,
    throttle,
)
from billing.access import person
from billing.errors import StripeError
from billing.extensions import db
from billing.leaving import HOUR, LOOKS
from billing.models import Grant, Payment, StripeWrite

bp = Blueprint("purchases", __name__)
WAITS_FOR_NOBODY = ("succeeded", "canceled")


@bp.get("/orders/return")
def returned() -> ResponseReturnValue:
    """Back from the bank. Stripe adds the payment's secret to the address, which goes no further."""
    intent = request.args.get("payment_intent", "")
    payment, write = _own(intent)
    return redirect(f"/orders/{intent}", 303) if payment or write else abort(404)


@bp.get("/orders/<reference>")
def page(reference: str) -> ResponseReturnValue:
    """What became of the person's own order; somebody else's and none are the same 404. Stripe is looked at first,
    unless nothing more is to come."""
    payment, write = _own(reference)
    intent = _intent(payment, write)
    if intent is None and write is not None and write.state in one_click.NOT_DONE:
        return redirect(f"/buy/{one_click.promised(write).item}?declined={write.id}", 303)
    if intent is not None and (payment is None or payment.status not in WAITS_FOR_NOBODY):
        _look(intent)
        payment, write = _own(reference)
    if payment is not None:
        return _show(payment)
    if write is None:
        abort(404)
    state = purchase_words.of_write(write, f"/orders/{reference}")
    return render_template("billing/order.html", state=state, payment=None, item=None)


@bp.post("/orders/<reference>/confirm")
def confirm(reference: str) -> ResponseReturnValue:
    """To the page where the person's bank is asked; back to the order where it needn't be."""
    intent = _intent(*_own(reference)) or abort(404)
    db.session.rollback()  # no transaction is open while Stripe is asked
    try:
        found = stripe_reads.get_payment_intent(intent)
    except StripeError as problem:
        current_app.logger.warning("payment not confirmed", extra={"reason": str(problem)})
        return render_template("errors/stripe_unreachable.html", again=f"/orders/{intent}"), 503
    bank = (found.get("next_action") or {}).get("redirect_to_url") or {}
    return redirect(bank.get("url") or f"/orders/{intent}", 303)


def _show(payment: Payment) -> str:
    config, session = running.config(), db.session()
    lost = grants.is_lost(session, payment)
    entries = select(Grant).where(Grant.payment_intent == payment.payment_intent).order_by(Grant.id)
    return render_template(
        "billing/order.html",
        state=purchase_words.of_payment(payment, labels.title(payment.product), lost=lost),
        payment=payment,
        item=labels.title(payment.product),
        credits=[one for one in session.execute(entries).scalars() if one.feature == grants.CREDITS],
        seller=[config.seller_name, *config.seller_address, config.seller_tax_id, config.support_email],
        email=person().email,
    )


def _own(reference: str) -> tuple[Payment | None, StripeWrite | None]:
    """The person's own payment of this order, and the write that asked for it with the saved card."""
    if not (0 < len(reference) < 256 and reference.isascii() and reference.isprintable()):
        return None, None
    session, user_id = db.session(), person().id
    write = one_click.of_intent(session, user_id, reference) or one_click.of_form(session, user_id, reference)
    intent = write.stripe_object_id if write is not None else reference
    found = select(Payment).where(Payment.payment_intent == intent, Payment.user_id == user_id)
    return session.execute(found.execution_options(populate_existing=True)).scalar(), write


def _intent(payment: Payment | None, write: StripeWrite | None) -> str | None:
    return payment.payment_intent if payment else write.stripe_object_id if write else None


def _look(intent: str) -> None:
    """Ask Stripe now, through the inbox; what takes too long, or is asked for too often, the worker does."""
    session, user = db.session(), person()
    customer, often = user.stripe_customer_id, throttle.bucket("arrival", str(user.id))
    if throttle.hit(session, often, LOOKS, window=HOUR):
        queues.ring()
        return
    refresh.purchase(session, intent, customer, running.config())
    session.rollback()

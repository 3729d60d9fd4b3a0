"""The page people come back to from Stripe's Checkout. It has Stripe looked at, and says what our rows say."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import became, checkout, leaving, running
from billing.access import my_standing, person
from billing.became import Known, State
from billing.clock import database_now
from billing.extensions import db
from billing.language import _
from billing.models import CheckoutSession, Invoice, Payment, Subscription
from billing.voice import Action

bp = Blueprint("arrival", __name__)
NOT_BEGUN = ("incomplete", "incomplete_expired")


@bp.get("/checkout/return")
def returned() -> ResponseReturnValue:
    """What we know of the person's own Session; somebody else's id and none are the same 404.

    Before it is told, Stripe is looked at as for any event, unless nothing more is to come. Nothing is granted here.
    """
    row = _own()
    found = _state(row)
    if not found.final:
        leaving.look(person(), row)
        found = _state(row)
    return render_template("checkout/return.html", session_id=row.stripe_id, state=found)


@bp.get("/checkout/state")
def state() -> ResponseReturnValue:
    """The same as JSON, for the page that waits: by our rows as they are, and Stripe is not asked."""
    return jsonify(asdict(_state(_own())))


def _own() -> CheckoutSession:
    return checkout.own(db.session(), person().id, request.args.get("session_id", "")) or abort(404)


def _state(row: CheckoutSession) -> State:
    config, subscribed = running.config(), _has_subscription(row)
    known = Known(
        now=database_now(db.session()),
        email=person().email,
        asked_since=leaving.asked_since(row),
        standing=my_standing() if subscribed else None,
        bill=_first_bill(row) if subscribed else None,
        payment=_payment(row),
    )
    return became.state(
        row,
        known,
        product=Action(_("Go to {product}", product=config.brand_name), "/app"),
        contact=f"mailto:{config.support_email}",
        item=running.catalogue().title(row.item),
    )


def _has_subscription(row: CheckoutSession) -> bool:
    """Whether our row of the subscription that this Session made is there, and it has begun."""
    found = select(Subscription.status).where(
        Subscription.stripe_id == row.subscription, Subscription.user_id == row.user_id
    )
    status = db.session.execute(found).scalar() if row.subscription else None
    return status is not None and status not in NOT_BEGUN


def _first_bill(row: CheckoutSession) -> Invoice | None:
    """The first invoice of the subscription: what was paid on Stripe's page."""
    found = select(Invoice).where(Invoice.subscription == row.subscription, Invoice.user_id == row.user_id)
    return db.session.execute(found.order_by(Invoice.created, Invoice.id).limit(1)).scalar()


def _payment(row: CheckoutSession) -> Payment | None:
    found = select(Payment).where(
        Payment.payment_intent == row.payment_intent, Payment.user_id == row.user_id
    )
    return db.session.execute(found).scalar() if row.payment_intent else None

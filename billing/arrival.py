"""The page people come back to from Stripe's Checkout. It reports what our rows say; it never grants."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import timedelta

from flask import Blueprint, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import checkout, queues, running, voice
from billing.access import my_standing, person
from billing.clock import now
from billing.extensions import db
from billing.models import CheckoutSession, Payment, Subscription
from billing.money import format_money
from billing.voice import Action
from billing.words import day

bp = Blueprint("arrival", __name__)

WAITING_LONG = timedelta(minutes=10)


@dataclass(frozen=True)
class State:
    """What the return page says. ``final``: nothing more is to come."""

    code: str
    h1: str
    body: str
    tag: str
    glyph: str
    tone: str
    action: Action | None = None
    reference: str | None = None
    final: bool = False
    details: list[tuple[str, str]] = field(default_factory=list)


@bp.get("/checkout/return")
def returned() -> ResponseReturnValue:
    """What we know of the person's own Session; somebody else's id and none are the same 404."""
    row = checkout.own(db.session(), person().id, request.args.get("session_id", "")) or abort(404)
    state = _state(row)
    if not state.final:
        queues.ring()
    return render_template("checkout/return.html", session_id=row.stripe_id, state=state)


@bp.get("/checkout/state")
def state() -> ResponseReturnValue:
    row = checkout.own(db.session(), person().id, request.args.get("session_id", "")) or abort(404)
    return jsonify(asdict(_state(row)))


def _state(row: CheckoutSession) -> State:
    """The words come from our rows alone: never from the redirect, never from an answer of the API."""
    reference = (row.stripe_id or "")[-8:].upper()
    if row.async_failed:
        return State(
            "failed", "Your bank payment didn’t go through.", "Nothing was taken. Choose another way to pay.",
            "Not paid", "▲", "look", voice.CHOOSE, reference, True,
        )  # fmt: skip
    if row.status == "expired":
        return State(
            "expired", "This payment page has expired.", "You have not been charged.",
            "Expired", "○", "rest", voice.CHOOSE, reference, True,
        )  # fmt: skip
    applied = _applied_subscription(row) if row.mode == "subscription" else _applied_payment(row)
    if applied:
        return applied
    if row.status == "complete" and row.payment_status == "unpaid":
        return State(
            "processing", "Your bank payment is on its way.",
            "Bank payments can take several working days.",
            "Processing", "◌", "wait", Action("Go to billing", "/billing"), reference,
        )  # fmt: skip
    return _confirming(row, reference)


def _confirming(row: CheckoutSession, reference: str) -> State:
    again = Action("Check again", f"/checkout/return?session_id={row.stripe_id}")
    if now() - row.created_at > WAITING_LONG and row.status == "complete":
        return State(
            "waiting", "We’re still waiting for confirmation.",
            f"Stripe has your order {reference}; our records haven’t caught up. Billing shows it as soon as they have. "
            "You don’t need to pay again.",
            "Confirming", "◌", "wait", Action("Go to billing", "/billing"), reference,
        )  # fmt: skip
    return State(
        "confirming", "We’re confirming your payment.",
        "This usually takes a few seconds. You don’t need to pay again.",
        "Confirming", "◌", "wait", again, reference,
    )  # fmt: skip


def _applied_subscription(row: CheckoutSession) -> State | None:
    found = select(Subscription).where(
        Subscription.stripe_id == row.subscription, Subscription.user_id == row.user_id
    )
    subscription = db.session.execute(found).scalar() if row.subscription else None
    if subscription is None or subscription.status in ("incomplete", "incomplete_expired"):
        return None
    standing = my_standing()
    said = voice.speak(
        standing,
        product=Action("Go to billing", "/billing"),
        contact=f"mailto:{running.config().support_email}",
    )
    return State(
        said.code, said.sentence, said.body, said.tag, said.glyph, said.tone,
        Action("Go to billing", "/billing"), row.stripe_id[-8:].upper() if row.stripe_id else None, True,
        _receipt() if standing.facts.last_paid else [],
    )  # fmt: skip


def _applied_payment(row: CheckoutSession) -> State | None:
    found = select(Payment).where(
        Payment.payment_intent == row.payment_intent, Payment.user_id == row.user_id
    )
    payment = db.session.execute(found).scalar() if row.payment_intent else None
    if payment is None or payment.fulfilled_at is None:
        return None
    amount = format_money(payment.amount, payment.currency)
    return State(
        "bought", f"You bought {running.catalogue().title(row.item)}.", f"{amount}, paid on {day(payment.created)}.",
        "Paid", "●", "good", Action("See your invoices", "/invoices"), None, True, _receipt(),
    )  # fmt: skip


def _receipt() -> list[tuple[str, str]]:
    """Where the receipt goes; whether it has arrived is not ours to say."""
    return [("Receipt", f"by email to {person().email}")]

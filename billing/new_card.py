"""Another card: to Stripe's page for it, and back to a page that says which card will be charged.

What follows from it (``cards``) does not wait for anybody to come back. The page only rings the bell, and reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, session
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import facts, labels, portal, queues, running, voice
from billing.access import my_standing, person
from billing.extensions import db
from billing.language import _
from billing.looking import look
from billing.models import Invoice, StripeWrite, Subscription
from billing.money import format_money
from billing.voice import Action

bp = Blueprint("new_card", __name__)

BEFORE = "card_before"


@dataclass(frozen=True)
class News:
    """What the page says of the card. ``final``: nothing more is to come of it."""

    h1: str
    body: str
    final: bool


@bp.post("/billing/card")
def change() -> ResponseReturnValue:
    """To Stripe's form for a card, by a session made for this click."""
    user, row = person(), facts.subscription_of(db.session(), person().id)
    if user.stripe_customer_id is None:
        return redirect("/billing", 303)
    if row is not None and not row.final and row.payment_methods is None:
        row = look(row)  # a card can only be seen to be another one where the one before is known
        if row.payment_methods is None:
            return render_template("errors/stripe_unreachable.html", again="/billing"), 503
    session[BEFORE] = _charged(row)
    return portal.lead(
        row, portal.session_request(user, "payment_method_update", path="/billing/card/return")
    )


@bp.get("/billing/card/return")
def returned() -> ResponseReturnValue:
    """Which card will be charged, and what became of what was due: from our rows alone."""
    row = facts.subscription_of(db.session(), person().id)
    news = _news(row)
    if not news.final:
        queues.ring()
    contact = f"mailto:{running.config().support_email}"
    said = voice.speak(my_standing(), product=Action(_("Go to billing"), "/billing"), contact=contact)
    return render_template("billing/card.html", news=news, s=said, has_plan=row is not None)


def _charged(row: Subscription | None) -> str | None:
    """The id of the payment method that is charged, as far as our row knows."""
    known = (row.payment_methods if row else None) or {}
    return known.get("own") or known.get("customer")


def _news(row: Subscription | None) -> News:
    waits = News(
        _("We’re checking your card with Stripe."),
        _(
            "This usually takes a few seconds. If you left Stripe’s page without saving a card, nothing has changed."
        ),
        final=False,
    )
    if row is None or row.final:
        return News(
            _("Your card is kept at Stripe."),
            _("You have no running plan, so nothing is charged to it."),
            final=True,
        )
    if _charged(row) == session.get(BEFORE) or row.card_last4 is None:
        return waits
    body, final = _what_was_due(row)
    return News(_("Your card is now {card}.", card=labels.card(row)), body, final)


def _what_was_due(row: Subscription) -> tuple[str, bool]:
    """What became of the invoice that was to be paid with this card."""
    paying = select(StripeWrite).where(
        StripeWrite.user_id == row.user_id,
        StripeWrite.operation == "invoice.pay",
        StripeWrite.name.endswith(f":{_charged(row)}", autoescape=True),
    )
    write = db.session.execute(paying.order_by(StripeWrite.id.desc()).limit(1)).scalar()
    bill = select(Invoice).where(Invoice.stripe_id == (write.target if write else None))
    owed = db.session.execute(bill).scalar()
    if write is None or owed is None or owed.subscription != row.stripe_id:
        return _("It’s used for every payment from now on."), True
    if owed.status == "paid":
        return _(
            "The {amount} that was due is paid.", amount=format_money(owed.amount_paid, owed.currency)
        ), True
    amount = format_money(owed.amount_remaining, owed.currency)
    if owed.needs_action:
        return _("Your bank wants you to confirm the {amount} that was due.", amount=amount), True
    if write.state in ("declined", "failed"):
        return _("We couldn’t take the {amount} that was due from it.", amount=amount), True
    return _("We’re taking the {amount} that was due.", amount=amount), False

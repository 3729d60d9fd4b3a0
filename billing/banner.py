"""The one line above every signed-in page while a payment is missing: what is owed, and the way to mend it.

The billing page needs none, since its own first sentence says it; nor do the admin pages. One query, and none for
strangers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import Flask
from flask_login import current_user
from sqlalchemy import bindparam, select

from billing import actions, dunning, ladder, reminders
from billing.access import person
from billing.actions import Action
from billing.extensions import db
from billing.labels import title
from billing.language import _
from billing.models import Invoice, Subscription
from billing.money import format_money
from billing.standing import LIVE

# Made once (``people.OF_CUSTOMER``): every page of theirs asks it.
OWED = reminders.of_plans(
    select(Invoice, Subscription, reminders.PRESENT).where(Invoice.user_id == bindparam("user_id")),
    (*LIVE, "past_due", "unpaid", "paused"),
).order_by(Invoice.created, Invoice.id)


@dataclass(frozen=True)
class Line:
    """``tone``: look while there is access, stop where there is none."""

    words: str
    action: Action
    tone: str


def init_app(app: Flask) -> None:
    """Let the layout ask for it."""
    app.add_template_global(owed, "owed_line")


def owed() -> Line | None:
    """The line for whoever is signed in; None where nothing is owed, or nobody is there."""
    if not current_user.is_authenticated:
        return None
    for invoice, plan, present in db.session.execute(OWED, {"user_id": person().id}).all():
        if invoice.needs_action or not dunning.of_a_change(invoice, plan):
            return _line(invoice, plan, present)
    return None


def _line(invoice: Invoice, plan: Subscription, present: datetime) -> Line:
    amount, way = format_money(invoice.amount_remaining, invoice.currency), ladder.way(invoice)
    end = ladder.grace_end(invoice, plan)
    held = ladder.on_hold(plan) or ladder.is_first(invoice) or (end is not None and present >= end)
    tone = "stop" if held else "look"
    at_the_invoice = f"/invoices/{invoice.stripe_id}/open"
    pay = Action(_("Pay {amount} now", amount=amount), at_the_invoice, "post")
    if way == "confirm":
        words = _("Your bank wants you to confirm your {amount} payment.", amount=amount)
        return Line(words, Action(_("Confirm payment"), at_the_invoice, "post"), tone)
    if held:
        return Line(_("Your access is on hold until {amount} is paid.", amount=amount), pay, tone)
    if way == "invoice":
        return Line(_("Your last invoice hasn’t been paid."), pay, tone)
    words = _("We couldn’t take {amount} for {plan}.", amount=amount, plan=title(plan.plan))
    return Line(words, actions.said(actions.UPDATE_CARD), tone)

"""What became of a change, as our row says after a look at Stripe: never from the answer to our own call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import flash, redirect
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import plan_change, running, writes
from billing.extensions import db
from billing.language import _
from billing.looking import look
from billing.models import Invoice, PlanPrice, Subscription
from billing.quote_words import Names
from billing.words import day


@dataclass(frozen=True)
class Wish:
    """What somebody wants: this price, and of it as many as ``fit`` makes of what they have.

    ``became`` and ``will``: the words once it is so, and where it will be on a day. ``more``: for the template.
    """

    price: PlanPrice
    fit: Callable[[int], int]
    names: Names
    heading: str
    template: str
    became: Callable[[int], str]
    will: Callable[[int, str], str]
    more: dict[str, Any] = field(default_factory=dict)


def tell(row: Subscription, wish: Wish, *, again: bool = False) -> ResponseReturnValue:
    """What our row says after the look at Stripe. A payment that was declined is given up, and nothing changed."""
    before, coming = running.catalogue().title(row.plan), row.coming or {}
    quantity = wish.fit(row.quantity)
    wanted = (wish.price.price_id, quantity)
    if (row.price_id, row.quantity) == wanted:
        flash(wish.became(quantity))
    elif coming.get("kind") == "scheduled" and (coming["price"], coming.get("quantity", quantity)) == wanted:
        flash(wish.will(quantity, day(plan_change.at(row)) or ""))
    elif coming.get("kind") == "pending":
        _pending(row, before)
    elif again:
        flash(_("This page shows what became of that change."))
    else:
        flash(_("We’ve asked Stripe to change your plan. This page shows it as soon as Stripe confirms."))
    return redirect("/billing", 303)


def _pending(row: Subscription, before: str) -> None:
    owed = invoice_of_the_change(row)
    if owed is not None and owed.needs_action:
        flash(
            _(
                "Your bank wants you to confirm the payment. Until you do, you’re still on {plan}.",
                plan=before,
            )
        )
    elif owed is not None and owed.first_failed_at is not None:
        writes.perform(db.session(), plan_change.void_request(owed.stripe_id, row.user_id))
        look(row)
        flash(declined(before))
    else:
        flash(_("We’ve asked Stripe to change your plan. This page shows it as soon as it is paid."))


def declined(before: str) -> str:
    return _("Your card was declined, so you’re still on {plan}. Nothing changed.", plan=before)


def invoice_of_the_change(row: Subscription) -> Invoice | None:
    """What the pending update waits for, and nothing else that is owed: Stripe makes it the latest invoice."""
    waits = select(Invoice).where(Invoice.stripe_id == row.latest_invoice, Invoice.status == "open")
    return db.session.execute(waits).scalar()

"""After a write: look at Stripe again, through the same door as every event, and say what our row says then."""

from __future__ import annotations

from flask import flash, redirect
from flask.typing import ResponseReturnValue

from billing import refresh, running
from billing.access import person
from billing.extensions import db
from billing.language import _
from billing.models import Subscription


def look(row: Subscription) -> Subscription:
    """The row as it is after a look at Stripe; as it was where Stripe can't be asked."""
    row_id, customer = row.id, person().stripe_customer_id
    refresh.subscription(db.session(), row.stripe_id, customer, running.config(), "customer")
    return db.session.get_one(Subscription, row_id, populate_existing=True)


def refused(row: Subscription | None) -> ResponseReturnValue:
    """Stripe knows something that we don’t: look at it, and show where the person stands."""
    if row is not None:
        look(row)
    flash(_("Stripe didn’t take that. This page shows where your plan stands."))
    return redirect("/billing", 303)

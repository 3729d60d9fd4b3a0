"""Asking Stripe for somebody who waits: what it holds, what it makes of a wish, and how our row stands after that."""

from __future__ import annotations

from collections.abc import Callable

from flask import flash, redirect, render_template
from flask.typing import ResponseReturnValue

from billing import refresh, running, stripe_reads
from billing.access import person
from billing.errors import StripeError, StripeRefused, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.language import _, later
from billing.models import Subscription
from billing.payloads import Object

REFUSED = later("Stripe didn’t take that. This page shows where your plan stands.")


def at_stripe(row: Subscription) -> Object:
    """Stripe's own object, with no transaction open while it is asked. Raises StripeError."""
    stripe_id = row.stripe_id
    db.session.rollback()
    return stripe_reads.get_subscription(stripe_id)


def look(row: Subscription) -> Subscription:
    """The row as it is after a look at Stripe, by the door of every event; as it was where Stripe can't be asked."""
    row_id, customer = row.id, person().stripe_customer_id
    refresh.subscription(db.session(), row.stripe_id, customer, running.config(), "customer")
    return db.session.get_one(Subscription, row_id, populate_existing=True)


def wished(row: Subscription, wish: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
    """What ``wish`` answers, which asks Stripe for something; the page that says that it was refused, or that nobody
    knows yet."""
    try:
        return wish()
    except StripeRefused:
        return refused(row)
    except (StripeError, WriteUnknown, WriteConflict):
        return unknown()


def refused(row: Subscription | None) -> ResponseReturnValue:
    """Stripe knows something that we don’t: look at it, and show where the person stands."""
    if row is not None:
        look(row)
    flash(_(REFUSED))
    return redirect("/billing", 303)


def unknown() -> ResponseReturnValue:
    """It may have happened, and nobody knows yet; the completer finds out, and goes on with it."""
    return render_template("errors/stripe_unknown.html"), 503

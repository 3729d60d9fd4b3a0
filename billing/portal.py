"""The page people live with, billing home, and the ways into Stripe's billing portal."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template
from flask.typing import ResponseReturnValue

from billing import facts, ledger, refresh, running, throttle, voice, withdrawals, writes
from billing.access import access_required, my_standing, person
from billing.errors import StripeError, StripeRefused, WriteUnknown
from billing.extensions import db
from billing.models import StripeEvent, Subscription, User
from billing.voice import Action
from billing.write_request import WriteRequest

bp = Blueprint("portal", __name__)

RECENT = 5
CHECKS = 10
HOUR = timedelta(hours=1)
# Deep links of Stripe's billing portal that the billing page offers; ``home`` is the portal's own front page.
FLOWS = ("home", "payment_method_update", "subscription_cancel")


@bp.get("/billing")
def billing() -> ResponseReturnValue:
    """One sentence that says where the person stands, what comes next, and the one thing to do."""
    config = running.config()
    standing = my_standing()
    product = Action(f"Go to {config.brand_name}", "/app")
    said = voice.speak(standing, product=product, contact=f"mailto:{config.support_email}")
    return render_template(
        "billing/home.html",
        s=said,
        checked_at=standing.facts.fetched_at,
        details=_details(standing.facts),
        email=person().email,
        mail_refused=person().mail_refused_at,
        withdraw_until=_withdraw_until(),
        entries=ledger.entries(db.session(), person().id, RECENT),
    )


def _withdraw_until() -> datetime | None:
    """Until when the person may withdraw from the contract, where that is offered and still open."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or not running.config().eu_withdrawal or not withdrawals.is_open(db.session(), row):
        return None
    return withdrawals.ends(db.session(), row)


def _details(known: Any) -> list[tuple[str, str]]:
    lines = [
        ("Plan", known.plan_title if known.status else None),
        ("Seats", str(known.quantity) if known.seats else None),
        ("Price", f"{known.price} a {known.interval}" if known.price and known.interval else None),
        ("Card", known.card),
        ("Stripe’s status", known.status),
        ("Owed", known.owed),
    ]
    return [(label, value) for label, value in lines if value]


@bp.post("/billing/portal/<flow>")
def open_portal(flow: str) -> ResponseReturnValue:
    """To Stripe's billing portal, by a session made for this click."""
    user = person()
    if flow not in FLOWS or user.stripe_customer_id is None:
        abort(404)
    row = facts.subscription_of(db.session(), user.id)
    if flow == "subscription_cancel" and (row is None or row.final):
        abort(404)
    try:
        answer = writes.perform(db.session(), _portal_request(user, flow, row.stripe_id if row else None))
    except StripeRefused:
        return _refused(user, row)
    except (StripeError, WriteUnknown):
        return render_template("errors/stripe_unreachable.html", again="/billing"), 503
    return redirect(answer["url"], 303)


def _portal_request(user: User, flow: str, subscription: str | None) -> WriteRequest:
    back = f"{running.config().public_url}/billing"
    params: dict[str, Any] = {"customer": user.stripe_customer_id, "return_url": back}
    if flow != "home":
        data: dict[str, Any] = {
            "type": flow,
            "after_completion": {"type": "redirect", "redirect": {"return_url": back}},
        }
        if flow == "subscription_cancel":
            data["subscription_cancel"] = {"subscription": subscription}
        params["flow_data"] = data
    name = f"portal:{user.id}:{secrets.token_hex(8)}"
    return WriteRequest("billing_portal.session.create", name, params, user_id=user.id)


@bp.post("/billing/check")
def check_again() -> ResponseReturnValue:
    """Ask Stripe about the person's subscription now, as the reconciler would; at most ten times in an hour."""
    user, config = person(), running.config()
    row = facts.subscription_of(db.session(), user.id)
    if row is not None and not throttle.hit(
        db.session(), throttle.bucket("check", str(user.id)), CHECKS, window=HOUR
    ):
        event = refresh.subscription(db.session(), row.stripe_id, user.stripe_customer_id, config, "customer")
        if event.state == StripeEvent.PENDING:
            return render_template("errors/stripe_unreachable.html", again="/billing"), 503
    return redirect("/billing", 303)


@bp.post("/billing/resume")
def resume() -> ResponseReturnValue:
    """Keep the plan: take back whichever of the two ways of ending was set."""
    user = person()
    row = facts.subscription_of(db.session(), user.id)
    if row is None or row.final or row.ends_at is None:
        return redirect("/billing", 303)
    params: dict[str, Any] = (
        {"cancel_at_period_end": False} if row.cancel_at_period_end else {"cancel_at": ""}
    )
    name = f"keep:{row.stripe_id}:{row.fetch_no}"
    request_ = WriteRequest("subscription.update", name, params, target=row.stripe_id, user_id=user.id)
    try:
        writes.perform(db.session(), request_)
    except StripeRefused:
        return _refused(user, row)
    except (StripeError, WriteUnknown):  # it may have happened, and the completer goes on with it
        return render_template("errors/stripe_unknown.html"), 503
    flash("We’ve asked Stripe to keep your plan. This page shows it as soon as Stripe confirms.")
    return redirect("/billing", 303)


def _refused(user: User, row: Subscription | None) -> ResponseReturnValue:
    """Stripe knows something that we don’t: look at it, and show where the person stands."""
    if row is not None:
        refresh.subscription(
            db.session(), row.stripe_id, user.stripe_customer_id, running.config(), "customer"
        )
    flash("Stripe didn’t take that. This page shows where your plan stands.")
    return redirect("/billing", 303)


@bp.get("/app")
@access_required
def product() -> ResponseReturnValue:
    """Stands for the product that is sold: only people with access get here."""
    standing = my_standing()
    config = running.config()
    said = voice.speak(
        standing, product=Action("Billing", "/billing"), contact=f"mailto:{config.support_email}"
    )
    return render_template("billing/app.html", s=said)

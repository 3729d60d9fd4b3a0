"""The page people live with, billing home, and the ways into Stripe's billing portal."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue

from billing import facts, grants, ledger, particulars, refresh, running, throttle, voice, withdrawals, writes
from billing.access import access_required, my_standing, person
from billing.errors import StripeError, StripeRefused, WriteUnknown
from billing.extensions import db
from billing.language import _
from billing.looking import look, refused
from billing.models import StripeEvent, Subscription, User
from billing.voice import Action
from billing.write_request import WriteRequest

bp = Blueprint("portal", __name__)

RECENT = 5
CHECKS = 10
HOUR = timedelta(hours=1)
# The pages beside billing home that offer to check again.
BACK = {"card": "/billing/card/return"}
# Deep links of Stripe's billing portal that the billing page offers; ``home`` is the portal's own front page.
FLOWS = ("home", "payment_method_update", "subscription_cancel")


@bp.get("/billing")
def billing() -> ResponseReturnValue:
    """One sentence that says where the person stands, what comes next, and the one thing to do."""
    config = running.config()
    standing = my_standing()
    product = Action(_("Go to {product}", product=config.brand_name), "/app")
    said = voice.speak(standing, product=product, contact=f"mailto:{config.support_email}")
    return render_template(
        "billing/home.html",
        s=said,
        checked_at=standing.facts.fetched_at,
        details=[*particulars.details(standing), *grants.lines(grants.held(db.session(), person().id))],
        email=person().email,
        mail_refused=person().mail_refused_at,
        withdraw_until=_withdraw_until(),
        entries=ledger.entries(db.session(), person().id, RECENT),
    )


def _withdraw_until() -> datetime | None:
    """Until when the person may withdraw from the contract, where that is offered and still open."""
    if not running.config().eu_withdrawal:
        return None
    row = facts.subscription_of(db.session(), person().id)
    if row is None or not withdrawals.is_open(db.session(), row):
        return None
    return withdrawals.ends(db.session(), row)


@bp.post("/billing/portal/<flow>")
def open_portal(flow: str) -> ResponseReturnValue:
    """To Stripe's billing portal, by a session made for this click."""
    user = person()
    if flow not in FLOWS or user.stripe_customer_id is None:
        abort(404)
    row = facts.subscription_of(db.session(), user.id)
    if flow == "subscription_cancel" and (row is None or row.final):
        abort(404)
    return lead(row, session_request(user, flow, row.stripe_id if row else None))


def lead(row: Subscription | None, request_: WriteRequest) -> ResponseReturnValue:
    """To the page of Stripe's that this write opens, which charges nothing by itself."""
    try:
        answer = writes.perform(db.session(), request_)
    except StripeRefused:
        return refused(row)
    except (StripeError, WriteUnknown):
        return render_template("errors/stripe_unreachable.html", again="/billing"), 503
    return redirect(answer["url"], 303)


def session_request(
    user: User, flow: str, subscription: str | None = None, path: str = "/billing"
) -> WriteRequest:
    """The write that opens a session of Stripe's portal for this click. ``path``: where the flow leads when it is done;
    whoever leaves it comes back to the billing page."""
    back = f"{running.config().public_url}/billing"
    params: dict[str, Any] = {"customer": user.stripe_customer_id, "return_url": back}
    if flow != "home":
        data: dict[str, Any] = {
            "type": flow,
            "after_completion": {
                "type": "redirect",
                "redirect": {"return_url": running.config().public_url + path},
            },
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
        if writes.send_new(db.session(), user.id):  # what followed from it, such as a payment with a new card
            look(row)
    return redirect(BACK.get(request.form.get("back", ""), "/billing"), 303)


@bp.get("/app")
@access_required
def product() -> ResponseReturnValue:
    """Stands for the product that is sold: only people with access get here."""
    standing = my_standing()
    config = running.config()
    said = voice.speak(
        standing, product=Action(_("Billing"), "/billing"), contact=f"mailto:{config.support_email}"
    )
    return render_template("billing/app.html", s=said)

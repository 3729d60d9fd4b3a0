"""The plans and what they cost, for everybody."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from billing import checkout, facts, running
from billing.access import person, public
from billing.extensions import db
from billing.models import Subscription
from billing.models.subscriptions import FINAL
from billing.money import format_money
from billing.plans import Plan, Price

bp = Blueprint("pricing", __name__)


@bp.get("/")
@public
def home() -> ResponseReturnValue:
    return _plans(landing=True)


@bp.get("/plans")
@public
def plans() -> ResponseReturnValue:
    return _plans(landing=False)


def _plans(*, landing: bool) -> ResponseReturnValue:
    """Plans with the amount that is charged, for everybody."""
    catalogue = running.catalogue()
    interval = "year" if request.args.get("interval") == "year" else "month"
    mine, may_try = None, True
    if current_user.is_authenticated:
        may_try = checkout.may_try(db.session(), person().id)
        row = facts.subscription_of(db.session(), person().id)
        mine = row if row is not None and row.status not in FINAL else None
    priced = [(plan, price) for plan in catalogue.plans if (price := plan.price(interval))]
    cards = [_card(plan, price, mine, plan.trial_days if may_try else 0) for plan, price in priced]
    return render_template(
        "plans/index.html",
        plans=cards,
        interval=interval,
        intervals=["month", "year"],
        signed_in=current_user.is_authenticated,
        landing=landing,
    )


def _card(plan: Plan, price: Price, mine: Subscription | None, trial_days: int) -> dict[str, Any]:
    action, href = "choose", f"/subscribe/{plan.name}?interval={price.interval}"
    if mine is not None:
        action, href = "change", f"/billing/change/{plan.name}?interval={price.interval}"
        if (mine.plan, mine.interval) == (plan.name, price.interval):
            action, href = "current", "/billing"
    note = None
    if price.interval == "year":
        note = f"works out at {format_money((price.amount + 6) // 12, price.currency)} a month"
    return {
        "name": plan.name,
        "title": plan.title,
        "sentence": plan.sentence,
        "features": plan.features,
        "price": {
            "amount": price.amount,
            "currency": price.currency,
            "interval": price.interval,
            "per_month_note": note,
        },
        "trial_days": trial_days,
        "action": action,
        "mine": mine is not None and mine.plan == plan.name,
        "href": href,
    }

"""Changing the plan: one page says what it costs, and the button charges exactly that. What became of it is read
from our row after a look at Stripe, never from the answer to our own call."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from billing import agreements, facts, plan_change, prices, running, writes
from billing.access import person
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _, later
from billing.looking import look, wished
from billing.models import PlanPrice, Subscription
from billing.outcomes import Wish
from billing.plans import Plan
from billing.quote_words import Names

bp = Blueprint("switching", __name__)

PAID_EACH = {"month": later("{plan}, monthly"), "year": later("{plan}, yearly")}


@bp.get("/billing/change/<name>")
def check(name: str) -> ResponseReturnValue:
    """What the change costs today and later, to the unit."""
    plan, row = _plan(name), facts.subscription_of(db.session(), person().id)
    price = _price(plan, row)
    if row is None or row.final:
        return redirect(f"/subscribe/{name}?interval={price.interval}", 303)
    try:
        return agreements.quote_page(row, _wish(row, plan, price))
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again=request.full_path), 503


@bp.post("/billing/change/<name>")
def change(name: str) -> ResponseReturnValue:
    """Ask Stripe for the change that was agreed to; where it would cost something else by now, ask the person again."""
    plan, row = _plan(name), facts.subscription_of(db.session(), person().id)
    price = _price(plan, row)
    if row is None or row.final:
        return redirect("/billing", 303)
    return agreements.agree(row, _wish(row, plan, price))


@bp.post("/billing/stay")
def undo() -> ResponseReturnValue:
    """Stay on the present plan: the change at the period's end is taken back."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or row.final or row.schedule is None or (row.coming or {}).get("kind") != "scheduled":
        return redirect("/billing", 303)
    return wished(row, lambda: _stay(row))


def _stay(row: Subscription) -> ResponseReturnValue:
    title = running.catalogue().title(row.plan)
    writes.perform(db.session(), plan_change.leave_request({"id": row.schedule}, row.user_id))
    if look(row).coming is None:
        flash(_("You stay on {plan}.", plan=title))
    return redirect("/billing", 303)


def _plan(name: str) -> Plan:
    return running.catalogue().plan(name) or abort(404)


def _price(plan: Plan, row: Subscription | None) -> PlanPrice:
    """The price that the address names, in the subscription's currency; the amount is what was pushed to Stripe."""
    interval = request.values.get("interval") or "month"
    price = plan.price(interval, row.currency if row else None) or plan.price(interval)
    return prices.sold(db.session(), price) or abort(404)


def _wish(row: Subscription, plan: Plan, price: PlanPrice) -> Wish:
    now_on = running.catalogue().plan(row.plan or "")
    before, wanted = running.catalogue().title(row.plan), plan.title
    titles = {row.price_id: before, price.price_id: wanted}
    if row.interval != price.interval:
        before, wanted = _paid_each(before, row.interval), _paid_each(wanted, price.interval)
    return Wish(
        price=price,
        fit=lambda present: seats_to_keep(present, now_on, plan),
        names=Names(wanted, before, titles),
        heading=_("Change to {plan}", plan=wanted),
        template="billing/change.html",
        became=lambda seats: _("You’re on {plan}.", plan=wanted),
        will=lambda seats, day: _("You’ll move to {plan} on {day}.", plan=wanted, day=day),
    )


def _paid_each(title: str, interval: str | None) -> str:
    """The plan with how often it is paid, where that is what changes."""
    return _(PAID_EACH[interval], plan=title) if interval in PAID_EACH else title


def seats_to_keep(present: int, now_on: Plan | None, wanted: Plan) -> int:
    """How many seats somebody has after a change of the plan: as many as before, as far as the new plan has them.

    From a plan with seats to one without, it is one. What support set on a plan without seats stays as it is.
    """
    if wanted.seats is not None:
        return min(max(present, wanted.seats.least), wanted.seats.most)
    return 1 if now_on is not None and now_on.seats is not None else present

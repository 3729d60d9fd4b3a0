"""Changing the number of seats. A number is set, never added to: two tabs that set 5 and 7 end in one of them."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from billing import agreements, facts, prices, running, seat_form
from billing.access import person
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _, _n
from billing.models import PlanPrice, Subscription
from billing.obstacles import Obstacle
from billing.outcomes import Wish
from billing.plans import Plan
from billing.quote_words import Names
from billing.seat_form import SeatForm

bp = Blueprint("seats", __name__)


@bp.get("/billing/seats")
def check() -> ResponseReturnValue:
    """Ask for the number; with ``?seats=``, what it costs today and later, to the unit."""
    try:
        return _answer(agreements.quote_page)
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again=request.full_path), 503


@bp.post("/billing/seats")
def change() -> ResponseReturnValue:
    """Ask Stripe for the number that was agreed to; where it would cost something else by now, ask the person again."""
    return _answer(agreements.agree)


def _answer(go_on: agreements.Answer) -> ResponseReturnValue:
    row = facts.subscription_of(db.session(), person().id)
    plan = running.catalogue().plan(row.plan or "") if row is not None else None
    if row is None or row.final:
        return redirect("/plans", 303)
    price = _price_of(row)
    if plan is None or plan.seats is None or price is None:
        sentence = _("{plan} isn’t sold by the seat.", plan=running.catalogue().title(row.plan))
        return agreements.refuse(row, _("Change seats"), Obstacle("no_seats", sentence))
    text = request.values.get("seats")
    form, number = seat_form.read(plan.seats, text, row.quantity)
    if number == row.quantity and request.method == "GET" and text is not None:
        form.refuse(_n("You have {count} seat already.", "You have {count} seats already.", row.quantity))
    if number is None or form.errors or text is None:
        page = render_template("billing/seats_ask.html", form=form, plan=plan, seats=row.quantity)
        return page, 422 if form.errors else 200
    return go_on(row, _wish(row, plan, price, form, number))


def _price_of(row: Subscription) -> PlanPrice | None:
    """The price that they have, which may be sold no more: whoever has it keeps it, for each further seat as well."""
    known = prices.known(db.session(), row.price_id)
    if isinstance(known, PlanPrice):
        return known
    if row.amount is None:
        return None
    return PlanPrice(
        price_id=row.price_id,
        product_id="",
        item=row.plan or "",
        amount=row.amount,
        currency=row.currency,
        interval=row.interval,
    )


def _wish(row: Subscription, plan: Plan, price: PlanPrice, form: SeatForm, number: int) -> Wish:
    return Wish(
        price=price,
        fit=lambda present: number,
        names=Names(plan.title, plan.title, {price.price_id: plan.title}, seats=True),
        heading=_n("Change to {count} seat", "Change to {count} seats", number),
        template="billing/seats.html",
        became=lambda seats: _n("You have {count} seat.", "You have {count} seats.", seats),
        will=lambda seats, day: _n(
            "You’ll have {count} seat from {day}.", "You’ll have {count} seats from {day}.", seats, day=day
        ),
        more={"form": form, "plan": plan, "had": row.quantity},
    )

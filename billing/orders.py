"""Choosing, checking, and going to pay on Stripe's page."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import checkout, people, refresh, running, seat_form, voice, writes
from billing.access import my_standing, person
from billing.clock import now
from billing.errors import StripeError, StripeRefused, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.installation import public_id
from billing.models import CheckoutSession, PlanPrice, User
from billing.money import format_money
from billing.plans import Plan, Price, Product
from billing.voice import Action
from billing.words import day

bp = Blueprint("orders", __name__)
ONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


@bp.get("/subscribe/<name>")
def check(name: str) -> ResponseReturnValue:
    """The check page of a plan: what is charged today and later, in one sentence beside the button."""
    plan = running.catalogue().plan(name) or abort(404)
    if checkout.has_live(db.session(), person().id):
        return _has_one_already()
    interval = request.args.get("interval") or _left_interval() or "month"
    price = plan.price(interval) or plan.prices[0]
    trial = plan.trial_days if checkout.may_try(db.session(), person().id) else 0
    form, quantity = None, 1
    if plan.seats:
        form, number = seat_form.read(
            plan.seats, request.args.get("seats"), _left_seats() or plan.seats.least
        )
        quantity = number or plan.seats.least
    price = replace(price, amount=price.amount * quantity)
    page = render_template(
        "subscribe/check.html",
        plan=plan,
        form=form,
        quantity=quantity,
        price=price,
        terms=_terms(price, trial),
        email=person().email,
        once=once_token(),
        today=0 if trial else price.amount,
        first_charge=now() + timedelta(days=trial) if trial else None,
        notice=_came_back(),
    )
    return page, 422 if form and form.errors else 200


@bp.get("/buy/<name>")
def check_product(name: str) -> ResponseReturnValue:
    """The check page of a one-off product."""
    product = running.catalogue().product(name) or abort(404)
    amount = format_money(product.price.amount, product.price.currency)
    return render_template(
        "billing/buy.html",
        product=product,
        price=product.price,
        terms=f"{amount} today, once. Nothing renews.",
        email=person().email,
        once=once_token(),
        notice=_came_back(),
    )


@bp.get("/shop")
def shop() -> ResponseReturnValue:
    products = [
        {
            "name": one.name,
            "title": one.title,
            "sentence": one.sentence,
            "price": one.price,
            "href": f"/buy/{one.name}",
        }
        for one in running.catalogue().products
    ]
    return render_template("billing/shop.html", products=products)


@bp.post("/checkout")
def start_subscription() -> ResponseReturnValue:
    """To Stripe's page for a plan. Only the names come from the form; the price is the catalogue's."""
    plan = running.catalogue().plan(request.form.get("plan", "")) or abort(404)
    price = plan.price(request.form.get("interval", "")) or abort(404)
    trial = plan.trial_days if checkout.may_try(db.session(), person().id) else 0
    quantity: int | None = 1
    if plan.seats:
        text = request.form.get("seats")
        _, quantity = seat_form.read(plan.seats, text, plan.seats.least)
        if quantity is None:  # the check page says what is wrong with it
            return redirect(
                f"/subscribe/{plan.name}?{urlencode({'interval': price.interval, 'seats': text})}", 303
            )
    return _go_to_stripe("subscription", plan, price, trial, quantity or 1)


@bp.post("/buy/<name>")
def start_payment(name: str) -> ResponseReturnValue:
    """To Stripe's page for a one-off product."""
    product = running.catalogue().product(name) or abort(404)
    return _go_to_stripe("payment", product, product.price, 0)


def _go_to_stripe(
    mode: checkout.Mode, item: Plan | Product, price: Price, trial: int, quantity: int = 1
) -> ResponseReturnValue:
    known = db.session.get(PlanPrice, price.lookup_key)
    if known is None:
        return _guard(
            "This price is not on sale yet.", "Choose another one, or come back later.", voice.CHOOSE
        )
    order = checkout.Order(mode, item.name, item.title, known.price_id, trial, once(request.form), quantity)
    back = f"/buy/{item.name}" if mode == "payment" else f"/subscribe/{item.name}?interval={price.interval}"
    if isinstance(item, Plan) and item.seats:
        back += f"&seats={quantity}"
    try:
        return _open(person(), order, back)
    except (WriteConflict, WriteUnknown) as problem:
        current_app.logger.warning("checkout not opened", extra={"reason": str(problem)})
        return render_template("errors/stripe_unreachable.html", again=back), 503
    except StripeRefused:
        return _guard("This can’t be bought right now.", "Nothing was charged.", voice.CHOOSE)
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again=back), 503


def _open(user: User, order: checkout.Order, back: str) -> ResponseReturnValue:
    """To the person's one open Session of this kind: made first, or replaced where it is for another item.

    ``back``: the check page that they came from.
    """
    session, user_id = db.session(), user.id
    if order.mode == "subscription" and refresh.person(
        session, user, running.config(), "checkout", running_only=True
    ):
        return _has_one_already()  # at Stripe, be it that its event is late or lost
    for _ in range(3):
        row = checkout.begin(session, session.get_one(User, user_id), order)
        session.commit()
        if isinstance(row, checkout.Guard):
            return _guarded(row)
        if isinstance(row, checkout.TooMany):
            page = render_template("errors/429.html", minutes=row.minutes, back=back)
            return page, 429, {"Retry-After": str(row.minutes * 60)}
        if row.status == CheckoutSession.CREATING:
            _create(row.id, user_id)
        session.refresh(row)
        if row.superseded_at is not None:  # freed while we waited: it is being closed, and must not be paid
            continue
        same = (row.price_id, row.trial_days, row.quantity)
        if same == (order.price_id, order.trial_days, order.quantity):
            return redirect(row.url or "/billing", 303)
        if not _make_room(row):
            return _guarded(checkout.Guard("confirming", row.stripe_id))
    raise WriteUnknown("the person's other browser keeps choosing something else")


def _create(row_id: int, user_id: int) -> None:
    """Make the customer, once, and the Session that the row stands for, whatever is asked for now."""
    session, config, installation = db.session(), running.config(), public_id(db.session())
    user = session.get_one(User, user_id)
    if user.stripe_customer_id is None:
        writes.perform(session, people.create_customer(user, installation))
    row, user = session.get_one(CheckoutSession, row_id), session.get_one(User, user_id)
    title = running.catalogue().title(row.item)
    writes.perform(session, checkout.create_request(row, user, title, config, installation))


def _make_room(row: CheckoutSession) -> bool:
    """Close the Session that is open for something else; False where it was paid meanwhile."""
    try:
        writes.perform(db.session(), checkout.expire_request(row))
    except StripeRefused:
        return False
    return True


def _guarded(guard: checkout.Guard) -> ResponseReturnValue:
    if guard.code == "subscribed":
        return _has_one_already()
    if guard.code == "sent":
        return redirect(f"/checkout/return?session_id={guard.session_id}", 303)
    return _guard(
        "Your last payment is still being confirmed.",
        "You don’t need to pay again.",
        Action("See the payment", f"/checkout/return?session_id={guard.session_id}"),
    )


def _has_one_already() -> ResponseReturnValue:
    """To the billing page, where the plan that they have can be changed or canceled."""
    flash(
        f"You already have {my_standing().facts.plan_title}. Change or cancel it here; nothing was charged now."
    )
    return redirect("/billing", 303)


def _guard(h1: str, body: str, action: Action) -> ResponseReturnValue:
    return render_template("subscribe/guard.html", h1=h1, body=body, action=action), 409


def _terms(price: Price, trial: int) -> str:
    amount = format_money(price.amount, price.currency)
    if trial:
        first = day(now() + timedelta(days=trial))
        return f"Nothing to pay today. {amount} on {first}, then every {price.interval} until you cancel."
    return (
        f"{amount} today, then {amount} every {price.interval} until you cancel. Cancel any time in Billing; you "
        "keep access until the end of the period you paid for."
    )


def once_token() -> str:
    """A token for one opening of a check page: its form buys once, however often it is sent."""
    return secrets.token_urlsafe(16)


def once(form: Mapping[str, str]) -> str | None:
    """The token that came back with a form; None for anything that is none."""
    token = form.get("once", "")
    return token if ONCE.fullmatch(token) else None


def _came_back() -> str | None:
    """The words for somebody who left Stripe's page: chosen here, not taken from the address."""
    return "You left the payment page. Your choice is saved." if "canceled" in request.args else None


def _left_seats() -> int | None:
    """The number of seats of the Session that they left on Stripe's page."""
    number = request.args.get("canceled", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    chosen = select(CheckoutSession.quantity).where(
        CheckoutSession.id == int(number), CheckoutSession.user_id == person().id
    )
    return db.session.execute(chosen).scalar()


def _left_interval() -> str | None:
    """The interval of the person's own Session that they left on Stripe's page, so that it is really kept."""
    number = request.args.get("canceled", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    chosen = (
        select(PlanPrice.interval)
        .join(CheckoutSession, CheckoutSession.price_id == PlanPrice.price_id)
        .where(CheckoutSession.id == int(number), CheckoutSession.user_id == person().id)
    )
    return db.session.execute(chosen).scalar()

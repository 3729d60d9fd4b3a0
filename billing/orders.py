"""Choosing and checking: what somebody reads before they go to pay on Stripe's page, and the way there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from flask import Blueprint, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import checkout, currencies, guards, leaving, offers, running, seat_form
from billing.access import person
from billing.clock import database_now
from billing.extensions import db
from billing.language import _, locale
from billing.models import CheckoutSession, PlanPrice
from billing.offers import Offer
from billing.plans import Plan, Price
from billing.seat_form import SeatForm

bp = Blueprint("orders", __name__)
ONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


@bp.get("/subscribe/<name>")
def check(name: str) -> ResponseReturnValue:
    """The check page of a plan: what is charged today and later, in one sentence beside the button."""
    plan = running.catalogue().plan(name)
    if plan is None:
        return gone(name)
    left = session_left()  # it may look at Stripe, so it comes before what is read here
    stop = checkout.stopped(db.session(), person().id)
    if stop is not None:
        return guards.stopped(stop)
    chosen = chosen_price(left, name)
    interval = request.args.get("interval") or (chosen.interval if chosen else None) or "month"
    locked = currencies.locked(db.session(), person().id)
    usual = currencies.chosen(running.catalogue(), locked, None, request.accept_languages.values())
    currency = _currency(request.args) or (chosen.currency if chosen else None) or usual
    price = _price(plan, interval, currency, locked)
    if price is None:  # no price at such an interval: the page of the one that there is
        price = _price(plan, plan.prices[0].interval or "", None, locked)
    if not isinstance(price, Price):
        return price or abort(404)
    form, number = _seats(plan, request.args.get("seats"), left.quantity if left else None)
    offer = offers.of(db.session(), person().id, plan, price, number or 1)
    return _check_page(offer, kept(left), 422 if number is None else 200, form)


@bp.post("/checkout")
def start_subscription() -> ResponseReturnValue:
    """To Stripe's page for a plan. Only the names come from the form; the price is the catalogue's."""
    name, interval = request.form.get("plan", ""), request.form.get("interval", "")
    plan = running.catalogue().plan(name)
    if plan is None:
        return gone(name)
    locked = currencies.locked(db.session(), person().id)
    price = _price(plan, interval, _currency(request.form), locked)
    if not isinstance(price, Price):
        return price or abort(404)
    form, number = _seats(plan, request.form.get("seats"), None)
    asked = {"interval": interval, "currency": price.currency}
    if number is None:  # the check page says what is wrong with it
        text = request.form.get("seats", "")
        return redirect(f"/subscribe/{plan.name}?{urlencode(asked | {'seats': text})}", 303)
    offer = offers.of(db.session(), person().id, plan, price, number)
    back = f"/subscribe/{plan.name}?{urlencode(asked | ({'seats': number} if plan.seats else {}))}"
    if request.form.get("offer") not in (None, offer.seal):
        stop = checkout.stopped(db.session(), person().id)
        changed = _("The offer has changed since you opened this page. Check it again.")
        return guards.stopped(stop) if stop else _check_page(offer, changed, 409, form)
    if offer.price_id is None:
        return guards.not_on_sale_yet()
    order = checkout.Order(
        "subscription", plan.name, plan.title, offer.price_id, offer.trial_days, once(request.form),
        offer.trial_end_behavior, running.config().promotion_codes, locale(), offer.quantity,
    )  # fmt: skip
    answer = leaving.to_stripe(person(), order, price, back)
    if answer is None:  # a trial that our rows did not know of yet
        return _check_page(replace(offer, trial_days=0, tried=True), None, 409, form)
    return answer


def _seats(plan: Plan, given: str | None, left: int | None) -> tuple[SeatForm | None, int | None]:
    """The form and the number of seats, by default what they left with, else the least; None for a number that can't
    be had. A plan that is not sold by the seat has no form, and one of itself."""
    if plan.seats is None:
        return None, 1
    return seat_form.read(plan.seats, given, left or plan.seats.least)


def _check_page(offer: Offer, notice: str | None, status: int, form: SeatForm | None) -> ResponseReturnValue:
    moment = database_now(db.session())
    page = render_template(
        "subscribe/check.html",
        offer=offer,
        form=form,
        terms=offers.terms(offer, moment),
        every=offers.every(offer),
        first_charge=offers.first_charge(offer, moment),
        terms_url=running.config().terms_url,
        promotion_codes=running.config().promotion_codes,
        email=person().email,
        once=once_token(),
        notice=notice,
    )
    return page, status


def _price(
    plan: Plan, interval: str, currency: str | None, locked: str | None
) -> Price | ResponseReturnValue | None:
    """The price that is asked for, in the currency that the person is billed in (``locked``); the page that says why
    not; or None where there never was one."""
    price = plan.price(interval, currency or locked) or (plan.price(interval) if currency is None else None)
    if price is None:
        sold = interval.isprintable() and offers.was_sold(db.session(), plan.name, interval, currency)
        return guards.not_sold() if sold else None
    if locked not in (None, price.currency):
        return guards.other_currency(locked or "", plan, interval)
    return price


def gone(name: str) -> ResponseReturnValue:
    """What was sold once and is not any more has its page; what never was, or is something else, is not found."""
    still_there = running.catalogue().plan(name) or running.catalogue().product(name)
    gone = not still_there and name.isprintable() and offers.was_sold(db.session(), name)
    return guards.not_sold() if gone else abort(404)


def _currency(given: Mapping[str, str]) -> str | None:
    """The currency that is asked for; what can be none is asked of nobody."""
    named = given.get("currency", "").lower()
    return (named if named.isascii() and named.isalpha() else "none") if named else None


def once_token() -> str:
    """A token for one opening of a check page: its form buys once, however often it is sent."""
    return secrets.token_urlsafe(16)


def once(form: Mapping[str, str]) -> str | None:
    """The token that came back with a form; None for anything that is none."""
    token = form.get("once", "")
    return token if ONCE.fullmatch(token) else None


def session_left() -> CheckoutSession | None:
    """The person's own Session that they left on Stripe's page (its ``cancel_url``), so that their choice is kept."""
    number = request.args.get("canceled", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    return leaving.left(person(), int(number))


def chosen_price(left: CheckoutSession | None, item: str) -> PlanPrice | None:
    """The price of this plan that they had chosen."""
    if left is None:
        return None
    found = select(PlanPrice).where(PlanPrice.price_id == left.price_id, PlanPrice.item == item)
    return db.session.execute(found).scalar()


def kept(left: CheckoutSession | None) -> str | None:
    """What may be said to somebody who left: that nothing was charged only where Stripe has just said so."""
    if left is None or left.status == "complete":
        return None
    if leaving.is_unpaid(left):
        return _("You haven’t been charged. Your choice is saved.")
    return _("You left the payment page. Your choice is saved.")

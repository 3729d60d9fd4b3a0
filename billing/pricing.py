"""The plans and what they cost, for everybody: as often and in the currency that they choose."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy.exc import OperationalError

from billing import checkout, currencies, facts, plan_cards, prices, running
from billing.access import person, public
from billing.extensions import db
from billing.money import currency_name
from billing.plan_cards import INTERVALS, Reader
from billing.plans import Catalogue

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
    """Plans with the amount that is charged. Interval and currency are in the address, so it may be shared."""
    reader, catalogue = _reader(), _on_sale()
    asked, languages = request.args.get("currency"), request.accept_languages.values()
    currency = currencies.chosen(catalogue, reader.lock, asked, languages) or ""
    sold = {one: [plan for plan in catalogue.plans if plan.price(one, currency)] for one in INTERVALS}
    intervals = [one for one in INTERVALS if sold[one]]
    wanted = request.args.get("interval")
    interval = wanted if wanted in intervals else next(iter(intervals), INTERVALS[0])
    return render_template(
        "plans/index.html",
        plans=[plan_cards.card(plan, interval, currency, reader) for plan in sold[interval]],
        others=[plan.title for plan in catalogue.plans if plan not in sold[interval]],
        intervals=[_choice(one, currency, now=one == interval) for one in intervals],
        currencies=[] if reader.lock else [
            _choice(interval, one, now=one == currency) for one in currencies.of(catalogue)
        ],
        interval=interval,
        currency=currency_name(currency) if currency else None,
        locked=reader.lock is not None,
        signed_in=current_user.is_authenticated,
        landing=landing,
    )  # fmt: skip


def _on_sale() -> Catalogue:
    """What Stripe charges; what the file says where the database is away, since then nothing can be bought."""
    try:
        return prices.on_sale(db.session(), running.catalogue())
    except OperationalError as problem:
        current_app.logger.warning("plans shown as the file says", extra={"reason": type(problem).__name__})
        return running.catalogue()


def _choice(interval: str, currency: str, *, now: bool) -> dict[str, Any]:
    """A link to this page with both chosen: neither is forgotten when the other one is changed."""
    address = f"{request.path}?{urlencode({'interval': interval, 'currency': currency})}"
    return {"interval": interval, "currency": currency.upper(), "href": address, "now": now}


def _reader() -> Reader:
    if not current_user.is_authenticated:
        return Reader()
    session, user_id = db.session(), person().id
    row = facts.subscription_of(session, user_id)
    mine = row if row is not None and not row.final else None
    lock = mine.currency if mine else currencies.locked(session, user_id)
    return Reader(mine, lock, may_try=checkout.may_try(session, user_id))

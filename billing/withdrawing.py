"""Withdrawing from the contract, signed in or by the number of an order: declare it, then confirm it.

Strangers get the same answer whatever they enter; where it names an order, a link to confirm goes to its address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, abort, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from billing import facts, notices, queues, readers, refresh, registry, running, throttle, withdrawals, writes
from billing.access import person, public
from billing.errors import StripeError, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.models import Subscription, User
from billing.withdraw_forms import Confirm, Find

bp = Blueprint("withdrawing", __name__)

LINK_SECONDS = 3 * 24 * 3600  # to confirm what was asked for in time
TRIES, TRIES_OF_A_MACHINE = 5, 20  # of one address and of one machine, in a quarter of an hour


@dataclass(frozen=True)
class Claim:
    """Whose contract it is about, and when it was asked for, where that was by mail."""

    row: Subscription | None
    user: User | None
    link: str | None = None
    asked: datetime | None = None


@bp.get("/billing/withdraw")
@public
def page() -> ResponseReturnValue:
    """The form that fits who is there: to confirm, or to name an order."""
    claim = _claim()
    if claim is None:
        sent = "sent" in request.args
        return render_template("billing/withdraw_find.html", form=Find(), sent=sent)
    form = Confirm(data={"email": claim.user.email if claim.user else ""})
    return _confirm_page(claim, form)


@bp.post("/billing/withdraw")
@public
def withdraw() -> ResponseReturnValue:
    """Confirm it; or, for a stranger, ask for the link by which it can be confirmed."""
    claim = _claim()
    if claim is None:
        return _find()
    form = Confirm(request.form)
    done = withdrawals.of(db.session(), claim.row) is not None
    if claim.row is None or claim.user is None or done or not _open(claim):
        return _confirm_page(claim, form)
    if not form.validate():
        return _confirm_page(claim, form, 422)
    _carry_out(claim.row, claim.user, form)
    return redirect(f"/billing/withdraw?link={claim.link}" if claim.link else "/billing/withdraw", 303)


def _confirm_page(claim: Claim, form: Confirm, status: int = 200) -> ResponseReturnValue:
    session, row = db.session(), claim.row
    paid = withdrawals.first_paid(session, row) if row is not None else None
    page_ = render_template(
        "billing/withdraw.html",
        form=form,
        link=claim.link,
        done=withdrawals.of(session, row),
        open=_open(claim),
        plan=running.catalogue().title(row.plan) if row is not None else None,
        reference=paid.number if paid else None,
        until=withdrawals.ends(session, row) if row is not None else None,
    )
    return page_, status


def _open(claim: Claim) -> bool:
    return withdrawals.is_open(db.session(), claim.row, asked=claim.asked)


def _carry_out(row: Subscription, user: User, form: Confirm) -> None:
    """The record and everything that follows from it in one commit; then Stripe, which may answer later."""
    session, stripe_id, customer = db.session(), row.stripe_id, user.stripe_customer_id
    end = withdrawals.make(session, row, user, form.name.data, form.email.data)
    registry.record(session, end)
    session.commit()
    queues.ring()
    try:
        writes.perform(session, end)
        refresh.subscription(session, stripe_id, customer, running.config(), "customer")
    except (StripeError, WriteUnknown, WriteConflict) as problem:  # it is withdrawn; the completer goes on
        current_app.logger.warning("withdrawn, not yet ended", extra={"reason": type(problem).__name__})


def _find() -> ResponseReturnValue:
    form = Find(request.form)
    if not form.validate():
        return render_template("billing/withdraw_find.html", form=form, sent=False), 422
    session = db.session()
    for whose, tries in ((form.email.data, TRIES), (request.remote_addr or "", TRIES_OF_A_MACHINE)):
        minutes = throttle.hit(session, throttle.bucket("withdraw", whose), tries)
        if minutes:
            page_ = render_template("errors/429.html", minutes=minutes, back="/billing/withdraw")
            return page_, 429, {"Retry-After": str(minutes * 60)}
    row = withdrawals.of_order(session, form.reference.data, form.email.data)
    if withdrawals.is_open(session, row) and row is not None:
        asked = withdrawals.moment(session, row)
        secret = _seal().dumps([row.stripe_id, int(asked.timestamp())])
        key = f"withdraw_link:{row.stripe_id}:{int(asked.timestamp())}"
        with readers.speaking_to(session.get_one(User, row.user_id)):
            notices.owe(
                session, "withdraw_link", key, form.email.data, {}, user_id=row.user_id, secret=secret
            )
    session.commit()
    queues.ring()
    return redirect("/billing/withdraw?sent=1", 303)


def _claim() -> Claim | None:
    """By the link of our mail, or by being signed in; None for a stranger. 404 where nobody can withdraw here."""
    if not running.config().eu_withdrawal:
        abort(404)
    link = request.values.get("link")
    if link is not None:
        return _by_link(link)
    if not current_user.is_authenticated:
        return None
    return Claim(facts.subscription_of(db.session(), person().id), person())


def _by_link(link: str) -> Claim:
    try:
        stripe_id, seconds = _seal().loads(link)
    except (BadSignature, ValueError) as problem:
        current_app.logger.info("link not taken", extra={"reason": type(problem).__name__})
        abort(410)
    asked = datetime.fromtimestamp(seconds, UTC)
    row = db.session.execute(select(Subscription).where(Subscription.stripe_id == stripe_id)).scalar()
    user = db.session.get(User, row.user_id) if row is not None else None
    if row is None or user is None or not _fresh(row, asked):
        abort(410)
    return Claim(row, user, link, asked)


def _fresh(row: Subscription, asked: datetime) -> bool:
    """One that was used shows what became of it, for as long as somebody keeps it."""
    used = withdrawals.of(db.session(), row) is not None
    return used or (withdrawals.moment(db.session(), row) - asked).total_seconds() < LINK_SECONDS


def _seal() -> URLSafeSerializer:
    config = running.config()
    return URLSafeSerializer(
        [*config.secret_key_fallbacks, config.secret_key], salt="withdraw from a contract"
    )

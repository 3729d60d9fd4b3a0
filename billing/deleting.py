"""Deleting one's account: one page that says what goes, what stays and what becomes of the plan; and taking it back.

While it waits, everything else is closed to the person but their invoices: nothing is bought for an account that ends,
and whoever signs in again first sees that it does, with one button that keeps it. Signing in alone keeps nothing.
"""

from __future__ import annotations

from flask import Blueprint, current_app, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import select

from billing import (
    accounts,
    deletions,
    forms,
    invoices,
    labels,
    passwords,
    queues,
    refresh,
    running,
    throttle,
    writes,
)
from billing.access import person
from billing.auth import too_many
from billing.clock import database_now
from billing.deletions import AtStripe
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _
from billing.models import Invoice, Subscription, User
from billing.models.subscriptions import FINAL
from billing.money import format_money
from billing.words import day

bp = Blueprint("deleting", __name__)

WAITING = "/account/keep"
# Open to somebody whose account waits to be deleted, beside what is open to strangers.
STILL_OPEN = frozenset(
    {
        "deleting.waiting",
        "deleting.keep",
        "ledger.invoices",
        "receipts.page",
        "receipts.open_invoice",
        "receipts.pdf",
    }
)


@bp.before_app_request
def lead_to_the_choice() -> ResponseReturnValue | None:
    """Whoever asked for their account to be deleted is shown the way back, whatever page they open."""
    if request.endpoint in STILL_OPEN or not _closed(request.endpoint):
        return None
    waits = current_user.is_authenticated and person().deletion_due_at is not None
    return redirect(WAITING, 303) if waits else None


def _closed(endpoint: str | None) -> bool:
    view = current_app.view_functions.get(endpoint or "")
    return view is not None and endpoint != "static" and not getattr(view, "is_public", False)


@bp.get("/account/delete")
def check() -> ResponseReturnValue:
    """What deleting means, before anything is done."""
    return _page(forms.DeleteAccount(formdata=None))


@bp.post("/account/delete")
def delete() -> ResponseReturnValue:
    """Ask for it: Stripe first, so that nothing is charged any more. Where Stripe is away, nothing is done at all."""
    user, session, form = person(), db.session(), forms.DeleteAccount()
    if user.is_admin or not form.validate():
        return _page(form), 409 if user.is_admin else 422
    wait = throttle.hit(session, throttle.bucket("delete", str(user.id)), 5)
    if wait:
        return too_many(wait)
    if not passwords.matches(user.password_hash, form.current_password.data):
        form.current_password.errors = [_("This is not your current password.")]
        return _page(form), 422
    user_id, customer, browser = user.id, user.stripe_customer_id, current_user.row.id
    session.rollback()
    try:
        found = deletions.at_stripe(customer) if customer else AtStripe(gone=True, living=[], open=[])
    except StripeError:
        return render_template("account/delete_unreachable.html"), 503
    for one in deletions.ask(session, user_id, found):
        writes.record(session, one)
    accounts.close_sessions(session, user_id, but=browser)
    session.commit()
    queues.ring()
    writes.send_new(session, user_id)  # what Stripe doesn't take now, the completer brings
    return redirect(WAITING, 303)


@bp.get(WAITING)
def waiting() -> ResponseReturnValue:
    """Until when the account can be kept, and the button for it."""
    row = deletions.of(db.session(), person().id)
    if row is None:
        return redirect("/account", 303)
    return _waiting_page(row.begun_at is not None)


@bp.post(WAITING)
def keep() -> ResponseReturnValue:
    """Take it back. What asking had Stripe do is taken back with it, now or as soon as Stripe answers."""
    session, user_id = db.session(), person().id
    requests = deletions.undo(session, user_id)
    if requests is None:
        session.rollback()
        if person().deletion_due_at is None:
            return redirect("/account", 303)
        return _waiting_page(begun=True), 409
    for one in requests:
        writes.record(session, one)
    session.commit()
    queues.ring()
    writes.send_new(session, user_id)
    _look(user_id)
    flash(_("Your account stays. We’ve sent you a mail that says so."))
    return redirect("/billing", 303)


def _look(user_id: int) -> None:
    """So that the billing page says what is so; where Stripe can't be asked, its events bring it."""
    try:
        refresh.person(
            db.session(),
            db.session.get_one(User, user_id),
            running.config(),
            "customer",
            running_only=True,
        )
    except StripeError:
        db.session.rollback()


def _waiting_page(begun: bool) -> str:
    user = person()
    return render_template("account/keep.html", due=day(user.deletion_due_at), begun=begun)


def _page(form: forms.DeleteAccount) -> str:
    session, user = db.session(), person()
    due, rows = database_now(session) + deletions.WAIT, _living(user.id)
    return render_template(
        "account/delete.html",
        form=form,
        admin=user.is_admin,
        due=due,
        word=_("DELETE"),
        plans=[_becomes_of(row) for row in rows],
        owed=[_owed(one) for row in rows if (one := invoices.open_failed(session, row.stripe_id))],
        email=user.email,
    )


def _living(user_id: int) -> list[Subscription]:
    found = select(Subscription).where(Subscription.user_id == user_id, Subscription.status.not_in(FINAL))
    return list(db.session.execute(found.order_by(Subscription.created)).scalars())


def _becomes_of(row: Subscription) -> str:
    """What becomes of one plan, in a sentence or two."""
    plan = labels.title(row.plan) if row.plan else _("Your plan")
    if row.status == "incomplete":
        return _("Your order for {plan} was never paid. It is dropped.", plan=plan)
    said = _(
        "{plan} isn’t renewed any more from now on, and ends on the day of the deletion at the latest. What is left of "
        "the time you paid for isn’t paid back.",
        plan=plan,
    )
    if row.schedule and row.coming is not None:
        said += " " + _(
            "The change that was coming is dropped, and doesn’t come back if you keep your account."
        )
    return said


def _owed(found: Invoice) -> str:
    return _(
        "Invoice {number} for {amount} stays owed. Until the day of the deletion your card may be tried for it.",
        number=found.number or "",
        amount=format_money(found.amount_remaining, found.currency),
    )

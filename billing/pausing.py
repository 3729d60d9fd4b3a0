"""Taking a break: how long, what it costs when it is over, and going on earlier."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, abort, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from billing import facts, invoices, labels, pauses, plan_change, running, writes
from billing.access import person
from billing.clock import database_now, months_later
from billing.errors import StripeError
from billing.extensions import db
from billing.language import _, _n, later
from billing.looking import at_stripe, look, wished
from billing.models import Subscription
from billing.orders import once, once_token
from billing.words import day

bp = Blueprint("pausing", __name__)

WHY_NOT = {
    "trial": later("You’re in your trial, and nothing is charged yet. You can pause once it is a paid plan."),
    "paused": later("Your plan is paused already."),
    "unpaid": later("A plan can be paused once its payments are in order."),
    "ending": later("Your plan is set to end. Keep it first, then pause it."),
    "changing": later("A change of your plan is coming. Keep your present plan first, then pause it."),
    "collection": later("Payments are paused already."),
    "measure": later("Your plan was made to measure. Write to us, and we pause it together."),
}
END_OTHER = later("Something changed while this page was open. This is what it costs now.")
OTHER = later("Something changed while this page was open. This is what a pause comes to now.")


@bp.get("/billing/pause")
def check() -> ResponseReturnValue:
    """Choose how long, with the day and the sum that follow, before anything is done."""
    row = _row()
    if row is None or row.final:
        return redirect("/billing", 303)
    return _page(
        row, pauses.obstacle_of_row(row), int((row.clock_time or database_now(db.session())).timestamp())
    )


@bp.post("/billing/pause")
def pause() -> ResponseReturnValue:
    """Pause until the day that the page said."""
    row = _row()
    if row is None or row.final:
        return redirect("/billing", 303)
    return wished(row, lambda: _pause(row))


def _pause(row: Subscription) -> ResponseReturnValue:
    months, token, user_id = _months(), once(request.form), row.user_id
    try:
        found = at_stripe(row)
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again="/billing/pause"), 503
    asked, why_not = plan_change.moment_of(found), pauses.obstacle(found)
    until = int(_later(asked, months).timestamp()) if months else 0
    said = _day(until) if until else ""
    if why_not or token is None or said != request.form.get(f"until_{months}"):
        return _page(row, why_not, asked, note=_(OTHER) if months else None)
    writes.perform(db.session(), pauses.note_request(found["id"], asked, until, token, user_id))
    writes.perform(db.session(), pauses.pause_request(found["id"], token, user_id))
    row = look(row)
    if row.status != "paused":
        flash(_("We’ve asked Stripe to pause your plan. This page shows it as soon as Stripe confirms."))
    return redirect("/billing", 303)


@bp.get("/billing/unpause")
def check_end() -> ResponseReturnValue:
    """What going on costs today, before anything is charged."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or not _rests(row):
        return redirect("/billing", 303)
    return _end_page(row)


@bp.post("/billing/unpause")
def unpause() -> ResponseReturnValue:
    """Go on now. Payments that were paused go on at once; what costs something today is said and agreed to first."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or not (_rests(row) or row.pause_collection):
        return redirect("/billing", 303)
    owed = invoices.open_failed(db.session(), row.stripe_id)
    if _rests(row) and owed is not None:  # it was let go on, and that payment failed
        return redirect(f"/invoices/{owed.stripe_id}", 303)
    if _rests(row) and "once" not in request.form:
        return redirect("/billing/unpause", 303)
    if _rests(row) and (once(request.form) is None or request.form.get("amount") != _due(row)):
        return _end_page(row, note=_(END_OTHER))
    return wished(row, lambda: _go_on(row))


def _go_on(row: Subscription) -> ResponseReturnValue:
    writes.perform(db.session(), pauses.end_request(row))
    row = look(row)
    if row.status == "paused":
        flash(_("Your plan goes on as soon as its payment is made. This page shows it then."))
    return redirect("/billing", 303)


def _rests(row: Subscription) -> bool:
    """Whether the person's own wish is what keeps the plan paused, and nothing else."""
    return row.status == "paused" and row.status_reason == "pause_requested"


def _due(row: Subscription) -> str:
    """What a period costs, as the form carries it back."""
    return f"{(row.amount or 0) * row.quantity} {row.currency}"


def _end_page(row: Subscription, *, note: str | None = None) -> ResponseReturnValue:
    page = render_template(
        "billing/unpause.html",
        title=running.catalogue().title(row.plan),
        price=labels.price(row),
        interval=row.interval,
        card=labels.card(row),
        amount=_due(row),
        once=once_token(),
        note=note,
    )
    return page, 422 if note else 200


def _row() -> Subscription | None:
    if not running.config().pause_months:
        abort(404)
    return facts.subscription_of(db.session(), person().id)


def _months() -> int:
    """The length that was chosen; 0 for none that we offer."""
    text = request.form.get("months", "")
    most = running.config().pause_months
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 3 and 0 < int(text) <= most else 0


def _later(moment: int, months: int) -> datetime:
    return months_later(datetime.fromtimestamp(moment, UTC), months)


def _day(moment: int) -> str:
    """The day as the form carries it back: what the person read is what happens, or they are asked again."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def _page(
    row: Subscription, why_not: str | None, moment: int, *, note: str | None = None
) -> ResponseReturnValue:
    """``moment``: Stripe's present second, from which the lengths are counted."""
    title, config = running.catalogue().title(row.plan), running.config()
    if why_not:
        heading = _("Pause {plan}", plan=title)
        return render_template("billing/change_not.html", h1=heading, body=_(WHY_NOT[why_not])), 409
    amount = labels.price(row) or ""
    lengths = []
    for months in range(1, config.pause_months + 1):
        until = _later(moment, months)
        text = _n(
            "{count} month, until {day}. Then {amount}.",
            "{count} months, until {day}. Then {amount}.",
            months, day=day(until), amount=amount,
        )  # fmt: skip
        lengths.append((months, text, f"{until:%Y-%m-%d}"))
    missing = request.method == "POST" and not _months()
    access = _("You keep access while it’s paused.")
    if not config.access_while_paused:
        access = _("Your access stops today, and comes back on the day you choose.")
    page = render_template(
        "billing/pause.html",
        title=title,
        access=access,
        lengths=lengths,
        chosen=_months(),
        card=labels.card(row),
        once=once_token(),
        note=note,
        problem=_("Choose how long you want to pause.") if missing else None,
    )
    return page, 422 if note or missing else 200

"""Leaving and staying: one page that says what happens, one button, and one more to take it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from billing import ending, facts, invoices, running, writes
from billing.access import person
from billing.clock import database_now
from billing.errors import StripeError, StripeRefused
from billing.extensions import db
from billing.language import _
from billing.looking import at_stripe, look, wished
from billing.models import Subscription
from billing.money import format_money
from billing.orders import once, once_token
from billing.words import day
from billing.write_request import WriteRequest

bp = Blueprint("canceling", __name__)


@bp.get("/billing/cancel")
def check() -> ResponseReturnValue:
    """What leaving means for this person's plan, before anything is done."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or ending.of_row(row) is None:
        return redirect("/billing", 303)
    return _page(row)


@bp.post("/billing/cancel")
def cancel() -> ResponseReturnValue:
    """End the plan as the page said; where that would be another end by now, ask the person again."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or ending.of_row(row) is None:
        return redirect("/billing", 303)
    problem = _too_long()
    if problem:
        return _page(row, problem=problem)
    return wished(row, lambda: _cancel(row))


def _cancel(row: Subscription) -> ResponseReturnValue:
    token, agreed, user_id = once(request.form), request.form.get("how"), row.user_id
    try:
        found = at_stripe(row)
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again="/billing/cancel"), 503
    if token is None or ending.at_stripe(found) != agreed:
        row = look(row)
        note = _("Something changed while this page was open. This is what happens now.")
        return _page(row, note=note) if ending.of_row(row) else redirect("/billing", 303)
    requests = ending.requests(found, token, _details(), user_id)
    for one in requests:  # all of them are kept before the first is sent, so that none is forgotten
        writes.record(db.session(), one)
    db.session.commit()
    for one in requests:
        _send(one)
    row = look(row)
    void = ending.void_request(found, user_id)
    if void is not None:
        writes.perform(db.session(), void)
        row = look(row)
    return _told(row)


def _send(request_: WriteRequest) -> None:
    """A schedule that is gone already is in nobody's way: then only the end itself matters."""
    try:
        writes.perform(db.session(), request_)
    except StripeRefused:
        if request_.operation != "subscription_schedule.release":
            raise


def _told(row: Subscription) -> ResponseReturnValue:
    """What our row says after the look at Stripe."""
    title = running.catalogue().title(row.plan)
    if row.final:
        flash(_("{plan} has ended. You won’t be charged again.", plan=title))
    elif row.ends_at is None:
        flash(_("We’ve asked Stripe to cancel your plan. This page shows it as soon as Stripe confirms."))
    return redirect("/billing", 303)


@bp.post("/billing/resume")
def resume() -> ResponseReturnValue:
    """Keep the plan: take back whatever way of ending is set, both where both are."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or row.final or row.ends_at is None:
        return redirect("/billing", 303)
    return wished(row, lambda: _resume(row))


def _resume(row: Subscription) -> ResponseReturnValue:
    row = _keep(row)
    if row.ends_at is None and not row.final:
        flash(_("You’re keeping {plan}.", plan=running.catalogue().title(row.plan)))
    elif not row.final:
        flash(_("We’ve asked Stripe to keep your plan. This page shows it as soon as Stripe confirms."))
    return redirect("/billing", 303)


def _keep(row: Subscription) -> Subscription:
    """Take back one way of ending after the other, with a look after each: its schedule's, and either of its own."""
    if row.schedule and row.coming is None:
        _send(ending.release_request(row.schedule, row.user_id))
        row = look(row)
    for _way in ("cancel_at_period_end", "cancel_at"):
        if row.ends_at is not None and not row.final:
            writes.perform(db.session(), ending.keep_request(row))
            row = look(row)
    return row


def _page(row: Subscription, *, note: str | None = None, problem: str | None = None) -> ResponseReturnValue:
    title, how = running.catalogue().title(row.plan), ending.of_row(row)
    page = render_template(
        "billing/cancel.html",
        title=title,
        what_happens=_what_happens(row, title),
        owed=_owed(row),
        reasons=[(word, _(text)) for word, text in ending.FEEDBACK.items()],
        chosen=request.form.get("reason"),
        comment=request.form.get("comment", ""),
        length=ending.COMMENT_LENGTH,
        how=how,
        once=once_token(),
        note=note,
        problem=problem,
        may_pause=running.config().pause_months if row.status == "active" else 0,
    )
    return page, 422 if note or problem else 200


def _what_happens(row: Subscription, title: str) -> list[str]:
    """The three facts: until when there is access, what is charged, how long the data are kept."""
    trial, keep = row.status == "trialing", timedelta(days=running.config().keep_data_days)
    end = row.trial_end if trial else row.current_period_end
    if ending.of_row(row) == "period_end":
        access = _("You keep access until {day}.", day=day(end))
    else:
        end = row.clock_time or database_now(db.session())
        access = _("{plan} ends at once, and with it your access.", plan=title)
    charged = _("You won’t be charged.") if trial else _("You won’t be charged again.")
    kept = _("Your account and your invoices stay here.")
    if keep and end:
        kept = _("We keep your data until {day}.", day=day(end + keep))
    return [access, charged, kept]


def _owed(row: Subscription) -> str | None:
    """What becomes of what is open, in a sentence."""
    if row.status == "incomplete":
        return _("Your order was never paid, so nothing is owed: we drop its invoice.")
    owed = invoices.open_failed(db.session(), row.stripe_id)
    if owed is None:
        if row.status == "paused" and row.status_reason == "pause_requested":
            return _("What is left of the time you paid for before the pause isn’t paid back.")
        return None
    if ending.of_row(row) == "period_end":
        return None
    return _(
        "Invoice {number} for {amount} stays open. We don’t try your card for it again; you can pay it under Invoices.",
        number=owed.number or "",
        amount=format_money(owed.amount_remaining, owed.currency),
    )


def _details() -> dict[str, str]:
    """What was said of the reasons, as Stripe takes it; what is not in our list was not said."""
    reason, comment = request.form.get("reason", ""), request.form.get("comment", "").strip()
    given: dict[str, Any] = {"feedback": reason if reason in ending.FEEDBACK else "", "comment": comment}
    return {name: value for name, value in given.items() if value}


def _too_long() -> str | None:
    length = len(request.form.get("comment", "").strip())
    if length <= ending.COMMENT_LENGTH:
        return None
    return _(
        "Your comment has {length} characters. Shorten it to {most}.",
        length=length,
        most=ending.COMMENT_LENGTH,
    )

"""Changing the plan: one page says what it costs, and the button charges exactly that. What became of it is read
from our row after a look at Stripe, never from the answer to our own call."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select

from billing import facts, plan_change, prices, refresh, running, stripe_client, writes
from billing.access import person
from billing.clock import from_stripe
from billing.errors import StripeDeclined, StripeError, StripeRefused, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.models import Invoice, PlanPrice, Subscription
from billing.money import format_money
from billing.orders import once, once_token
from billing.plan_change import Quote
from billing.words import day

bp = Blueprint("switching", __name__)

FRESH_SECONDS = 30 * 60
OLD = "This page was open for a while, so we asked Stripe again. This is what the change costs now."
OTHER = "Something changed while this page was open. This is what the change costs now."
UNCHANGED = "Your card was declined, so you’re still on {}. Nothing changed."


@bp.get("/billing/change/<name>")
def check(name: str) -> ResponseReturnValue:
    """What the change costs today and later, to the unit."""
    row = facts.subscription_of(db.session(), person().id)
    price = _wanted(name, row)
    if row is None or row.final:
        return redirect(f"/subscribe/{name}?interval={price.interval}", 303)
    try:
        return _quote_page(row, price)
    except StripeError:
        return render_template("errors/stripe_unreachable.html", again=request.full_path), 503


@bp.post("/billing/change/<name>")
def change(name: str) -> ResponseReturnValue:
    """Ask Stripe for the change that was agreed to; where it would cost something else by now, ask the person again."""
    row = facts.subscription_of(db.session(), person().id)
    price = _wanted(name, row)
    if row is None or row.final:
        return redirect("/billing", 303)
    try:
        return _change(row, price)
    except StripeDeclined:
        flash(UNCHANGED.format(running.catalogue().title(row.plan)))
    except StripeRefused:
        flash("Stripe didn’t take that. This page shows where your plan stands.")
    except (
        StripeError,
        WriteUnknown,
        WriteConflict,
    ):  # it may have happened, and the completer goes on with it
        return render_template("errors/stripe_unknown.html"), 503
    _look(row)
    return redirect("/billing", 303)


@bp.post("/billing/stay")
def undo() -> ResponseReturnValue:
    """Stay on the present plan: the change at the period's end is taken back."""
    row = facts.subscription_of(db.session(), person().id)
    if row is None or row.final or row.schedule is None or (row.coming or {}).get("kind") != "scheduled":
        return redirect("/billing", 303)
    title = running.catalogue().title(row.plan)
    leave = plan_change.leave_request({"id": row.schedule}, row.user_id)
    try:
        writes.perform(db.session(), leave)
    except StripeRefused:
        flash("Stripe didn’t take that. This page shows where your plan stands.")
    except (StripeError, WriteUnknown):
        return render_template("errors/stripe_unknown.html"), 503
    if _look(row).coming is None:
        flash(f"You stay on {title}.")
    return redirect("/billing", 303)


def _wanted(name: str, row: Subscription | None) -> PlanPrice:
    """The price that the address names, in the subscription's currency; the amount is what was pushed to Stripe."""
    plan = running.catalogue().plan(name) or abort(404)
    interval = request.values.get("interval") or "month"
    price = plan.price(interval, row.currency if row else None) or plan.price(interval)
    return prices.sold(db.session(), price) or abort(404)


def _quote_page(row: Subscription, price: PlanPrice, note: str | None = None) -> ResponseReturnValue:
    title, now_on = running.catalogue().title(price.item), running.catalogue().title(row.plan)
    stripe_id = row.stripe_id
    db.session.rollback()  # no transaction is open while Stripe is asked
    found = stripe_client.get_subscription(stripe_id)
    why_not = plan_change.obstacle(found, price)
    if why_not:
        return render_template("billing/change_not.html", h1=f"Change to {title}", body=why_not), 409
    quoted = plan_change.quote(found, price, plan_change.moment_of(found))
    page = render_template(
        "billing/change.html",
        title=title,
        now_on=now_on,
        quote=quoted,
        sealed=_seal().dumps(quoted.terms),
        once=once_token(),
        note=note,
        **_terms(quoted, title, now_on),
    )
    return page, 422 if note else 200


def _terms(quoted: Quote, title: str, now_on: str) -> dict[str, Any]:
    """The one sentence beside the button, and the button's words."""
    later = f"{format_money(quoted.then, quoted.currency)} on {day(from_stripe(quoted.then_on))}"
    later = f"{later} and every {quoted.interval}"
    begins = day(from_stripe(quoted.then_on))
    if quoted.timing == "period_end":
        return {
            "terms": f"You keep {now_on} until {begins}. Then {later}. Nothing to pay today.",
            "button": f"Change to {title} on {begins}",
        }
    if quoted.timing == "trial":
        return {
            "terms": f"Your trial goes on. Nothing to pay today, then {later}.",
            "button": f"Change to {title}",
        }
    paid = format_money(quoted.due, quoted.currency)
    words = f"{title} begins at once. {paid} today, then {later}."
    if quoted.credit:
        words += f" {format_money(quoted.credit, quoted.currency)} stays as credit and pays for what comes."
    return {
        "terms": words,
        "button": f"Change to {title} and pay {paid}" if quoted.due else f"Change to {title}",
    }


def _change(row: Subscription, price: PlanPrice) -> ResponseReturnValue:
    user, stripe_id, token = person(), row.stripe_id, once(request.form)
    agreed, note = _agreed()
    if (
        agreed is None
        or token is None
        or (agreed["subscription"], agreed["price"]) != (stripe_id, price.price_id)
    ):
        return _quote_page(row, price, note or OTHER)
    db.session.rollback()
    found = stripe_client.get_subscription(stripe_id)
    why_not = plan_change.obstacle(found, price)
    if why_not:
        title = running.catalogue().title(price.item)
        return render_template("billing/change_not.html", h1=f"Change to {title}", body=why_not), 409
    quoted = plan_change.quote(found, price, agreed["moment"])
    if quoted.terms != agreed:
        return _quote_page(row, price, OTHER)
    _ask(found, quoted, token, user.id)
    return _tell(_look(row), price)


def _ask(found: dict[str, Any], quoted: Quote, token: str, user_id: int) -> None:
    """The writes of a change, each once for this form."""
    schedule = found.get("schedule")
    if quoted.timing != "period_end":
        if isinstance(schedule, dict):  # of a change that broke off half-way; it would forbid this one
            writes.perform(db.session(), plan_change.leave_request(schedule, user_id))
        writes.perform(db.session(), plan_change.change_request(quoted, token, user_id))
        return
    if not isinstance(schedule, dict):
        schedule = writes.perform(db.session(), plan_change.schedule_request(quoted, token, user_id))
    writes.perform(db.session(), plan_change.phases_request(schedule, quoted, token, user_id))


def _tell(row: Subscription, price: PlanPrice) -> ResponseReturnValue:
    """What our row says after the look at Stripe. A payment that was declined is given up, and nothing changed."""
    before, wanted = running.catalogue().title(row.plan), running.catalogue().title(price.item)
    kind = (row.coming or {}).get("kind")
    if row.price_id == price.price_id:
        flash(f"You’re on {wanted}.")
    elif kind == "scheduled":
        flash(f"You’ll move to {wanted} on {day(plan_change.at(row))}.")
    elif kind == "pending":
        _pending(row, before)
    else:
        flash("We’ve asked Stripe to change your plan. This page shows it as soon as Stripe confirms.")
    return redirect("/billing", 303)


def _pending(row: Subscription, before: str) -> None:
    owed = invoice_of_the_change(row)
    if owed is not None and owed.needs_action:
        flash(f"Your bank wants you to confirm the payment. Until you do, you’re still on {before}.")
    elif owed is not None and owed.first_failed_at is not None:
        writes.perform(db.session(), plan_change.void_request(owed.stripe_id, row.user_id))
        _look(row)
        flash(UNCHANGED.format(before))
    else:
        flash("We’ve asked Stripe to change your plan. This page shows it as soon as it is paid.")


def invoice_of_the_change(row: Subscription) -> Invoice | None:
    """What the pending update waits for, and nothing else that is owed: Stripe makes it the latest invoice."""
    waits = select(Invoice).where(Invoice.stripe_id == row.latest_invoice, Invoice.status == "open")
    return db.session.execute(waits).scalar()


def _look(row: Subscription) -> Subscription:
    """Bring our row to what Stripe says now, by the door of every event."""
    user, stripe_id = person(), row.stripe_id
    refresh.subscription(db.session(), stripe_id, user.stripe_customer_id, running.config(), "customer")
    found = facts.subscription_of(db.session(), user.id)
    return found if found is not None and found.stripe_id == stripe_id else row


def _agreed() -> tuple[dict[str, Any] | None, str | None]:
    """What the person agreed to, as we sealed it; or None and the words that say why we ask again."""
    try:
        return _seal().loads(request.form.get("quote", ""), max_age=FRESH_SECONDS), None
    except BadSignature as problem:  # another one's, changed, or too old
        current_app.logger.info("quote not taken", extra={"reason": type(problem).__name__})
        return None, OLD


def _seal() -> URLSafeTimedSerializer:
    config = running.config()
    return URLSafeTimedSerializer([*config.secret_key_fallbacks, config.secret_key], salt="plan change")

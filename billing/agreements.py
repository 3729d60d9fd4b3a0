"""What plan changes and seats share: the quote that is agreed to, the writes that follow, and what became of them.

A quote is sealed into its form; when it comes back, Stripe is asked once more what the same would cost, and only
where nothing differs is it asked for. One change of a subscription is made at a time, and each form makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import current_app, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import select

from billing import (
    deadline,
    facts,
    leases,
    next_steps,
    obstacles,
    plan_change,
    quote_words,
    quoting,
    refresh,
    running,
    stripe_client,
    writes,
)
from billing.access import my_standing, person
from billing.clock import database_now
from billing.errors import StripeDeclined, StripeError, StripeRefused, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.language import _, later
from billing.models import Invoice, PlanPrice, StripeWrite, Subscription
from billing.obstacles import Obstacle
from billing.orders import once, once_token
from billing.payloads import first_item
from billing.quote_words import Names
from billing.quoting import Quote
from billing.words import day

FRESH_SECONDS = 30 * 60
# How long a press waits for another one that changes the same subscription, and for how long it may be at it.
WAIT_SECONDS, CHANGE_SECONDS = 10.0, 60
OLD = later("This page was open for a while, so we asked Stripe again. This is what the change costs now.")
OTHER = later("Something changed while this page was open. This is what the change costs now.")
REFUSED = later("Stripe didn’t take that. This page shows where your plan stands.")
Answer = Callable[[Subscription, "Wish"], ResponseReturnValue]
# Writes that change what a subscription is or will be: while one is without an end, no other is begun.
CHANGES = (
    "subscription.update",
    "subscription.cancel",
    "subscription_schedule.create",
    "subscription_schedule.update",
    "subscription_schedule.release",
)


@dataclass(frozen=True)
class Wish:
    """What somebody wants: this price, and of it as many as ``fit`` makes of what they have.

    ``became`` and ``will``: the words once it is so, and where it will be on a day. ``more``: for the template.
    """

    price: PlanPrice
    fit: Callable[[int], int]
    names: Names
    heading: str
    template: str
    became: Callable[[int], str]
    will: Callable[[int, str], str]
    more: dict[str, Any] = field(default_factory=dict)


def quote_page(row: Subscription, wish: Wish, note: str | None = None) -> ResponseReturnValue:
    """The page that says what it costs, with the sealed quote in its form; or why it can't be had.

    Raises StripeError where Stripe can't say: then there is no button.
    """
    found = _at_stripe(row)
    why_not = _obstacle(found, wish)
    if why_not:
        return refuse(row, wish.heading, why_not)
    quantity = wish.fit(first_item(found).get("quantity") or 1)
    quoted = quoting.quote(found, wish.price, quantity, quoting.moment_of(found))
    page = render_template(
        wish.template,
        heading=wish.heading,
        names=wish.names,
        quote=quoted,
        rows=quote_words.rows(quoted, wish.names),
        after=quote_words.after(quoted),
        sentences=quote_words.sentences(quoted, wish.names),
        button=quote_words.button(quoted, wish.names),
        sealed=_seal().dumps({"terms": quoted.terms, "at": _database_seconds()}),
        once=once_token(),
        note=_(note) if note else None,
        **wish.more,
    )
    return page, 422 if note else 200


def refuse(row: Subscription, heading: str, why: Obstacle) -> ResponseReturnValue:
    """The page that says why not, with the one next step; who sent a form has their row looked at first."""
    if request.method == "POST":
        look(row)
    step = next_steps.after(why, my_standing(), running.config())
    return render_template("billing/change_not.html", heading=heading, body=why.sentence, step=step), 409


def agree(row: Subscription, wish: Wish) -> ResponseReturnValue:
    """Ask Stripe for what was agreed to; where it would cost something else by now, ask the person again."""
    try:
        with _one_at_a_time(row.stripe_id) as mine:
            return _agree(row, wish) if mine else refuse(row, wish.heading, obstacles.busy())
    except StripeDeclined:
        flash(_declined(running.catalogue().title(row.plan)))
    except StripeRefused:
        flash(_(REFUSED))
    except (StripeError, WriteUnknown, WriteConflict):
        return unknown()  # it may have happened, and the completer goes on with it
    look(row)
    return redirect("/billing", 303)


def unknown() -> ResponseReturnValue:
    """Nobody knows yet what became of it; the completer finds out."""
    return render_template("errors/stripe_unknown.html"), 503


def _agree(row: Subscription, wish: Wish) -> ResponseReturnValue:
    token, (agreed, note) = once(request.form), _agreed()
    state = _state_of(row.stripe_id, token) if token else None
    if state == "done":
        return _tell(look(row), wish, again=True)
    if state in (*StripeWrite.OPEN, "unknown"):
        return unknown()
    if agreed is None or token is None or state or agreed["subscription"] != row.stripe_id:
        return quote_page(row, wish, note or OTHER)
    found = _at_stripe(row)
    why_not = _obstacle(found, wish) or (obstacles.busy() if _unfinished(row.user_id) else None)
    if why_not:
        return refuse(row, wish.heading, why_not)
    quoted = _again(found, wish, agreed["moment"])
    if quoted is None or quoted.terms != agreed:
        return quote_page(row, wish, OTHER)
    _ask(found, quoted, token, row.user_id)
    return _tell(look(row), wish)


def _again(found: dict[str, Any], wish: Wish, moment: int) -> Quote | None:
    """The same quote once more; None where its moment lies in a period that is over."""
    item = first_item(found)
    if not item["current_period_start"] <= moment <= item["current_period_end"]:
        return None
    return quoting.quote(found, wish.price, wish.fit(item.get("quantity") or 1), moment)


def _obstacle(found: dict[str, Any], wish: Wish) -> Obstacle | None:
    why_not = obstacles.of_state(found) or obstacles.of_price(found, wish.price.currency)
    item = first_item(found)
    present = ((item.get("price") or {}).get("id"), item.get("quantity") or 1)
    if why_not is None and present == (wish.price.price_id, wish.fit(present[1])):
        return obstacles.same()
    return why_not


def _ask(found: dict[str, Any], quoted: Quote, token: str, user_id: int) -> None:
    """The writes of a change, each once for this form."""
    schedule = found.get("schedule")
    if quoted.timing != "period_end":
        if isinstance(schedule, dict):  # one that changes nothing any more; it would forbid this
            writes.perform(db.session(), plan_change.leave_request(schedule, user_id))
        writes.perform(db.session(), plan_change.change_request(quoted, token, user_id))
        return
    if not isinstance(schedule, dict):
        schedule = writes.perform(db.session(), plan_change.schedule_request(quoted, token, user_id))
    writes.perform(db.session(), plan_change.phases_request(schedule, quoted, token, user_id))


def _tell(row: Subscription, wish: Wish, *, again: bool = False) -> ResponseReturnValue:
    """What our row says after the look at Stripe. A payment that was declined is given up, and nothing changed."""
    before, coming = running.catalogue().title(row.plan), row.coming or {}
    quantity = wish.fit(row.quantity)
    wanted = (wish.price.price_id, quantity)
    if (row.price_id, row.quantity) == wanted:
        flash(wish.became(quantity))
    elif coming.get("kind") == "scheduled" and (coming["price"], coming.get("quantity", quantity)) == wanted:
        flash(wish.will(quantity, day(plan_change.at(row)) or ""))
    elif coming.get("kind") == "pending":
        _pending(row, before)
    elif again:
        flash(_("This page shows what became of that change."))
    else:
        flash(_("We’ve asked Stripe to change your plan. This page shows it as soon as Stripe confirms."))
    return redirect("/billing", 303)


def _pending(row: Subscription, before: str) -> None:
    owed = invoice_of_the_change(row)
    if owed is not None and owed.needs_action:
        flash(
            _(
                "Your bank wants you to confirm the payment. Until you do, you’re still on {plan}.",
                plan=before,
            )
        )
    elif owed is not None and owed.first_failed_at is not None:
        writes.perform(db.session(), plan_change.void_request(owed.stripe_id, row.user_id))
        look(row)
        flash(_declined(before))
    else:
        flash(_("We’ve asked Stripe to change your plan. This page shows it as soon as it is paid."))


def _declined(before: str) -> str:
    return _("Your card was declined, so you’re still on {plan}. Nothing changed.", plan=before)


def invoice_of_the_change(row: Subscription) -> Invoice | None:
    """What the pending update waits for, and nothing else that is owed: Stripe makes it the latest invoice."""
    waits = select(Invoice).where(Invoice.stripe_id == row.latest_invoice, Invoice.status == "open")
    return db.session.execute(waits).scalar()


def look(row: Subscription) -> Subscription:
    """Bring our row to what Stripe says now, by the door of every event."""
    user, stripe_id = person(), row.stripe_id
    refresh.subscription(db.session(), stripe_id, user.stripe_customer_id, running.config(), "customer")
    found = facts.subscription_of(db.session(), user.id)
    return found if found is not None and found.stripe_id == stripe_id else row


def _at_stripe(row: Subscription) -> dict[str, Any]:
    stripe_id = row.stripe_id
    db.session.rollback()  # no transaction is open while Stripe is asked
    return stripe_client.get_subscription(stripe_id)


@contextmanager
def _one_at_a_time(stripe_id: str) -> Iterator[bool]:
    """Keep every other change of this subscription waiting, so that what was quoted is still so when it is asked for.

    False where somebody else was at it for too long.
    """
    session = db.session()
    wait = min(WAIT_SECONDS, deadline.left())
    lease = leases.take(session, f"change:{stripe_id}", wait=wait, seconds=CHANGE_SECONDS)
    try:
        yield lease is not None
    finally:
        if lease is not None:
            session.rollback()
            leases.free(session, lease)


def _state_of(stripe_id: str, token: str) -> str | None:
    """What became of the write that this form asked for, where it was sent before."""
    names = [f"{kind}:{stripe_id}:{token}" for kind in ("change", "change-phases")]
    return db.session.execute(select(StripeWrite.state).where(StripeWrite.name.in_(names))).scalar()


def _unfinished(user_id: int) -> bool:
    """Whether an earlier change of the person's is still without an end: it would come on top of this one."""
    left = select(StripeWrite.id).where(
        StripeWrite.user_id == user_id,
        StripeWrite.operation.in_(CHANGES),
        StripeWrite.state.in_((*StripeWrite.OPEN, "unknown")),
    )
    return db.session.execute(left.limit(1)).first() is not None


def _agreed() -> tuple[dict[str, Any] | None, str | None]:
    """What the person agreed to, as we sealed it; or None and the words that say why we ask again."""
    try:
        sealed = _seal().loads(request.form.get("quote", ""))
    except BadSignature as problem:  # another one's, or changed
        current_app.logger.info("quote not taken", extra={"reason": type(problem).__name__})
        return None, OTHER
    if _database_seconds() - sealed["at"] > FRESH_SECONDS:
        return None, OLD
    terms: dict[str, Any] = sealed["terms"]
    return terms, None


def _database_seconds() -> int:
    return int(database_now(db.session()).timestamp())


def _seal() -> URLSafeSerializer:
    config = running.config()
    return URLSafeSerializer([*config.secret_key_fallbacks, config.secret_key], salt="what a change costs")

"""What plan changes and seats share: the quote that is agreed to, and the writes that follow.

A quote is sealed into its form; when it comes back, Stripe is asked once more what the same would cost, and only
where nothing differs is it asked for. One change of a subscription is made at a time, and each form makes one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from billing import (
    next_steps,
    obstacles,
    outcomes,
    plan_change,
    quote_words,
    quoting,
    running,
    seals,
    turns,
    writes,
)
from billing.access import my_standing
from billing.errors import StripeDeclined
from billing.extensions import db
from billing.language import _
from billing.looking import at_stripe, look, unknown, wished
from billing.models import StripeWrite, Subscription
from billing.obstacles import Obstacle
from billing.orders import once, once_token
from billing.outcomes import Wish
from billing.payloads import first_item
from billing.quoting import Quote

Answer = Callable[[Subscription, Wish], ResponseReturnValue]


def quote_page(row: Subscription, wish: Wish, note: str | None = None) -> ResponseReturnValue:
    """The page that says what it costs, with the sealed quote in its form; or why it can't be had.

    Raises StripeError where Stripe can't say: then there is no button.
    """
    found = at_stripe(row)
    why_not = _obstacle(found, wish)
    if why_not:
        return refuse(row, wish.heading, why_not)
    quantity = wish.fit(first_item(found).get("quantity") or 1)
    quoted = quoting.quote(found, wish.price, quantity, plan_change.moment_of(found))
    page = render_template(
        wish.template,
        h1=wish.heading,
        names=wish.names,
        quote=quoted,
        rows=quote_words.rows(quoted, wish.names),
        after=quote_words.after(quoted),
        sentences=quote_words.sentences(quoted, wish.names),
        button=quote_words.button(quoted, wish.names),
        sealed=seals.sealed(db.session(), quoted.terms),
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
    return render_template("billing/change_not.html", h1=heading, body=why.sentence, step=step), 409


def agree(row: Subscription, wish: Wish) -> ResponseReturnValue:
    """Ask Stripe for what was agreed to; where it would cost something else by now, ask the person again."""
    return wished(row, lambda: _in_turn(row, wish))


def _in_turn(row: Subscription, wish: Wish) -> ResponseReturnValue:
    try:
        with turns.one_at_a_time(db.session(), row.stripe_id) as mine:
            return _agree(row, wish) if mine else refuse(row, wish.heading, obstacles.busy())
    except StripeDeclined:
        flash(outcomes.declined(running.catalogue().title(row.plan)))
        look(row)
        return redirect("/billing", 303)


def _agree(row: Subscription, wish: Wish) -> ResponseReturnValue:
    session, token = db.session(), once(request.form)
    agreed, note = seals.opened(session, request.form.get("quote", ""))
    state = turns.state_of(session, row.stripe_id, token)
    if state == "done":
        return outcomes.tell(look(row), wish, again=True)
    if state in (*StripeWrite.OPEN, "unknown"):
        return unknown()
    if agreed is None or token is None or state or agreed["subscription"] != row.stripe_id:
        return quote_page(row, wish, note or seals.OTHER)
    found = at_stripe(row)
    why_not = _obstacle(found, wish) or (obstacles.busy() if turns.unfinished(session, row.user_id) else None)
    if why_not:
        return refuse(row, wish.heading, why_not)
    quoted = _again(found, wish, agreed["moment"])
    if quoted is None or quoted.terms != agreed:
        return quote_page(row, wish, seals.OTHER)
    _ask(found, quoted, token, row.user_id)
    return outcomes.tell(look(row), wish)


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

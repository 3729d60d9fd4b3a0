"""The control panel: people at ``/``, then ``/clock``, ``/deliveries`` and ``/trouble``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, abort, render_template, request, url_for

from sandbox import actions
from sandbox.pages.cards import TEST_CARDS
from sandbox.pages.guards import go

SHOWN_DELIVERIES = 100
SHOWN_OUTCOMES = 20
CARDS = (("4000000000000341", "Make the card fail"), ("4242424242424242", "Make the card good"))
STEPS = (("hour", "1 hour"), ("day", "1 day"), ("month", "1 month"))
DELIVERY = (
    ("normal", "Normally: signed, at once, tried again on failure"),
    ("hold", "Hold: keep everything back until “Deliver now” or normal"),
    ("twice", "Twice: every event is delivered two times"),
    ("reverse", "Reverse: the newest event first"),
    ("drop", "Drop: nothing is ever delivered"),
    ("wrong_secret", "Wrong secret: signed with a secret the shop does not know"),
)
API = (
    ("normal", "Normally"),
    ("error_500", "Every call is answered with 500 and does nothing"),
    ("error_429", "Every call is answered with 429, too many requests"),
    ("hang", "Calls hang without an answer"),
    ("applied_then_500", "Changes are made, then answered with 500"),
    ("lost_answer", "Changes are made, then the connection breaks without an answer"),
)
RETRY_END = (
    ("cancel", "Cancel the subscription"),
    ("unpaid", "Mark the subscription unpaid"),
    ("past_due", "Leave the subscription past due"),
)


def hub() -> str:
    """Links, the people that the sandbox knows, and the test cards."""
    return _page("hub.html", "Sandbox control panel", people=actions.people(), test_cards=TEST_CARDS)


def clock() -> str:
    """One person's time and what is due next, or the choice of a person."""
    people = actions.people()
    person = _person(people, request.args.get("customer", ""))
    if person is None:
        return _page("clock_people.html", "Choose whose time to move", people=people)
    now, coming = actions.moments(person["customer"])
    return _page(
        "clock.html",
        f"The time of {_called(person)}",
        person=person,
        now=now,
        moments=[(at, words) for at, words in coming if at > now],
        steps=STEPS,
        cards=CARDS,
        events=_events_of(person["customer"]),
        problem=actions.last_message("clock", person["customer"]),
    )


def advance() -> Response:
    """Move one person's time to a moment (``to``) or by a step (``step``)."""
    customer = _known_customer()
    to = request.form.get("to", type=int)
    if to is None:
        now, _ = actions.moments(customer)
        to = _after(now, request.form.get("step", ""))
    actions.advance(customer, to)
    return go(url_for("pages.clock", customer=customer))


def use_card() -> Response:
    """Replace the card that one person's renewals are charged to."""
    customer, number = _known_customer(), request.form.get("number", "")
    if number not in dict(CARDS):
        abort(400, "number is one of the two cards of this page")
    actions.use_card(customer, number)
    return go(url_for("pages.clock", customer=customer))


def deliveries() -> str:
    """What was sent to the shop, newest first."""
    rows = actions.deliveries(SHOWN_DELIVERIES)
    mode = actions.trouble().get("delivery", "normal")
    return _page("deliveries.html", "Webhook deliveries", rows=rows, mode=mode)


def flush() -> Response:
    """Deliver everything that waits."""
    actions.flush()
    return go(url_for("pages.deliveries"))


def trouble() -> str:
    """The faults that can be switched on, and what ends the retries."""
    return _page(
        "trouble.html",
        "Make trouble",
        delivery=DELIVERY,
        api=API,
        retry_end=RETRY_END,
        now=actions.trouble(),
        settings=actions.settings(),
    )


def set_trouble() -> Response:
    """Switch faults on or off."""
    chosen = {"delivery": request.form.get("delivery", ""), "api": request.form.get("api", "")}
    if chosen["delivery"] not in dict(DELIVERY) or chosen["api"] not in dict(API):
        abort(400, "choose one of the listed ways")
    actions.set_trouble(**chosen)
    return go(url_for("pages.trouble"))


def set_settings() -> Response:
    """Choose what happens to a subscription after its last failed attempt."""
    end = request.form.get("retry_end", "")
    if end not in dict(RETRY_END):
        abort(400, "choose one of the listed ends")
    actions.set_settings(retry_end=end)
    return go(url_for("pages.trouble"))


def _page(template: str, title: str, **values: Any) -> str:
    return render_template(template, title=title, panel=True, **values)


def _person(people: list[dict[str, Any]], customer: str) -> dict[str, Any] | None:
    return next((each for each in people if each["customer"] == customer), None)


def _called(person: dict[str, Any]) -> str:
    return str(person.get("email") or person.get("name") or person["customer"])


def _known_customer() -> str:
    customer = request.form.get("customer", "")
    if _person(actions.people(), customer) is None:
        raise actions.NotFound(customer)
    return customer


def _events_of(customer: str) -> list[dict[str, Any]]:
    found = [row for row in actions.deliveries(SHOWN_DELIVERIES) if row.get("customer") == customer]
    return found[:SHOWN_OUTCOMES]


def _after(now: int, step: str) -> int:
    if step not in dict(STEPS):
        abort(400, "step is hour, day or month")
    if step == "month":
        return int(_next_month(datetime.fromtimestamp(now, UTC)).timestamp())
    return now + (3600 if step == "hour" else 86400)


def _next_month(at: datetime) -> datetime:
    """The same day of the next month, or its last day where that month is shorter."""
    first = (at.replace(day=1) + timedelta(days=32)).replace(day=1)
    last_day = ((first + timedelta(days=32)).replace(day=1) - timedelta(days=1)).day
    return first.replace(day=min(at.day, last_day))

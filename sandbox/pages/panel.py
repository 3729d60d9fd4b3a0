"""The control panel about people: all of them at ``/``, one of them at ``/clock``. The rest: `panel_wire`."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, render_template, request, url_for

from sandbox import actions
from sandbox.pages.cards import TEST_CARDS
from sandbox.pages.guards import go
from sandbox.pages.panel_wire import SHOWN_DELIVERIES, everybody
from sandbox.pages.steps import STEPS, after

SHOWN_OUTCOMES = 20
CARDS = (("4000000000000341", "Make the card fail"), ("4242424242424242", "Make the card good"))


def hub() -> str:
    """Links, the people that the sandbox knows, and the test cards."""
    return _page("hub.html", "Sandbox control panel", people=actions.people(), test_cards=TEST_CARDS)


def clock() -> str:
    """One person's time and what is due next, or the choice of a person."""
    people = actions.people()
    person = _person(people, request.args.get("customer", ""))
    if person is None:
        return _page("clock_people.html", "Move time", people=people, **everybody())
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
        to = after(now, request.form.get("step", ""))
    actions.advance(customer, to)
    return go(url_for("pages.clock", customer=customer))


def use_card() -> Response:
    """Replace the card that one person's renewals are charged to."""
    customer, number = _known_customer(), request.form.get("number", "")
    if number not in dict(CARDS):
        abort(400, "number is one of the two cards of this page")
    actions.use_card(customer, number)
    return go(url_for("pages.clock", customer=customer))


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

"""The control panel's forms about the sandbox as a whole: everybody's time, deliveries, trouble, the memory."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, render_template, request, url_for

from sandbox import actions, wire
from sandbox.house import API_VERSIONS
from sandbox.pages.guards import go
from sandbox.pages.steps import STEPS, after

SHOWN_DELIVERIES = 100
KEEP_OLD_SECONDS = 86400  # how long a rolled secret goes on signing: the most that Stripe offers
GOALS = (
    ("next", "Whatever comes next"),
    ("renewal", "The next renewal"),
    ("trial_end", "The next end of a trial"),
    ("retry", "The next retry of a payment"),
    ("grace_end", "The end of a payment’s retries"),
    ("end", "The next scheduled end of a subscription"),
)
DELIVERY = (
    ("normal", "Normally: signed, at once, tried again on failure"),
    ("hold", "Hold: keep everything back until “Deliver now” or normal"),
    ("late", "Late: each event so many seconds later"),
    ("twice", "Twice: every event is delivered two times"),
    ("reverse", "Reverse: the newest event first"),
    ("shuffle", "Shuffle: in a random order"),
    ("drop", "Drop: nothing is ever delivered"),
    ("wrong_secret", "Wrong secret: signed with a secret the shop does not know"),
    ("wrong_mode", "Wrong mode: says that it is live, and is signed rightly"),
    ("forged", "Forged: the body is changed after it was signed"),
    ("stale", "Stale: signed an hour ago"),
)
API = (
    ("normal", "Normally"),
    ("error_500", "Every call is answered with 500 and does nothing"),
    ("error_429", "Every call is answered with 429, too many requests"),
    ("hang", "Calls hang without an answer"),
    ("slow", "Calls are answered late"),
    ("applied_then_500", "Changes are made, then answered with 500"),
    ("lost_answer", "Changes are made, then the connection breaks without an answer"),
    ("cut_before", "The connection breaks before anything is done"),
    ("truncated_body", "Half of the answer arrives, then the connection breaks"),
)
METHODS = (("", "All methods"), ("GET", "GET only"), ("POST", "POST only"), ("DELETE", "DELETE only"))
RETRY_END = (
    ("cancel", "Cancel the subscription"),
    ("unpaid", "Mark the subscription unpaid"),
    ("past_due", "Leave the subscription past due"),
)
SCHEDULES = (
    ("fast", "Fast: five times within about an hour"),
    ("test", "As in test mode: three times within hours"),
    ("live", "As in live mode: for three days"),
)


def everybody() -> dict[str, Any]:
    """now, problem, and the goals that there is something to go to."""
    now, coming = wire.moments()
    kinds = {kind for _, kind, _ in coming}
    there = {
        name for name, wanted in wire.GOALS.items() if kinds and (not wanted or kinds.intersection(wanted))
    }
    if "retry" in kinds:
        there.add("grace_end")
    goals = [(name, words) for name, words in GOALS if name in there]
    return {"now": now, "goals": goals, "steps": STEPS, "problem": actions.last_message("clock", "wall")}


def advance() -> Response:
    """Move everybody's time to a goal (``to``) or by a step (``step``)."""
    goal = request.form.get("to", "")
    if goal not in dict(GOALS):
        to: int | str = after(wire.moments()[0], request.form.get("step", ""))
    else:
        to = goal
    try:
        wire.advance(to)
    except ValueError as problem:
        actions.remember("clock", "wall", str(problem))
    return go(url_for("pages.clock"))


def deliveries() -> str:
    """What was sent to the shop, newest first, and to whom."""
    endpoints = wire.endpoints()
    return _page(
        "deliveries.html",
        "Webhook deliveries",
        rows=actions.deliveries(SHOWN_DELIVERIES),
        mode=actions.trouble()["delivery"],
        endpoints=endpoints,
        said={each["id"]: actions.last_message("endpoint", each["id"]) for each in endpoints},
    )


def flush() -> Response:
    """Deliver everything that waits."""
    actions.flush()
    return go(url_for("pages.deliveries"))


def resend() -> Response:
    """Deliver one event to one endpoint again."""
    event, endpoint = request.form.get("event", ""), request.form.get("endpoint", "")
    answer = wire.resend(event, endpoint)
    words = answer["error"] or f"HTTP {answer['http_status']}"
    actions.remember("endpoint", endpoint, f"{event} was sent again: {words}")
    return go(url_for("pages.deliveries"))


def roll() -> Response:
    """Give an endpoint another secret, which is shown once."""
    endpoint = request.form.get("endpoint", "")
    secret = wire.roll(endpoint, KEEP_OLD_SECONDS)
    actions.remember("endpoint", endpoint, f"The new secret, shown only now: {secret}")
    return go(url_for("pages.deliveries"))


def trouble() -> str:
    """The faults that can be switched on, and the account's settings."""
    return _page(
        "trouble.html",
        "Make trouble",
        delivery=DELIVERY,
        api=API,
        methods=METHODS,
        retry_end=RETRY_END,
        schedules=SCHEDULES,
        versions=API_VERSIONS,
        now=actions.trouble(),
        settings=actions.settings(),
        problem=actions.last_message("trouble", "form"),
    )


def set_trouble() -> Response:
    """Switch faults on or off. An empty field keeps what is; an empty number of calls means all of them."""
    form = request.form
    chosen: dict[str, Any] = {"delivery": form.get("delivery", ""), "api": form.get("api", "")}
    if chosen["delivery"] not in dict(DELIVERY) or chosen["api"] not in dict(API):
        abort(400, "choose one of the listed ways")
    if form.get("api_path"):
        chosen["api_path"] = form["api_path"]
    if form.get("api_method"):
        chosen["api_method"] = form["api_method"]
    try:
        chosen |= {
            name: int(form[name]) for name in ("times", "delay_seconds", "slow_seconds") if form.get(name)
        }
        actions.set_trouble(**chosen)
    except ValueError as problem:
        actions.remember("trouble", "form", str(problem))
    return go(url_for("pages.trouble"))


def set_settings() -> Response:
    """Choose what the account does. What the form does not name stays."""
    form = request.form
    chosen: dict[str, Any] = {
        name: form[name] for name in ("retry_end", "delivery_schedule", "api_version") if name in form
    }
    if chosen.get("retry_end") not in dict(RETRY_END):
        abort(400, "choose one of the listed ends")
    try:
        if form.get("rate_limit"):
            chosen["rate_limit"] = int(form["rate_limit"])
        actions.set_settings(**chosen)
    except ValueError as problem:
        actions.remember("trouble", "form", str(problem))
    return go(url_for("pages.trouble"))


def state() -> str:
    """What the sandbox remembers, as a whole."""
    said = actions.last_message("state", "form")
    return _page("state.html", "Save, load, begin anew", saved=wire.saved(), said=said)


def change_state() -> Response:
    """Save under a name, load a saved state, or forget everything."""
    act, name = request.form.get("act", ""), request.form.get("name", "")
    done = {"save": f"Saved as {name}.", "load": f"This is {name} now.", "reset": "Everything is forgotten."}
    if act not in done:
        abort(400, "act is save, load or reset")
    try:
        _do(act, name)
        said = done[act]
    except ValueError as problem:
        said = str(problem)
    actions.remember("state", "form", said)
    return go(url_for("pages.state"))


def _do(act: str, name: str) -> None:
    if act == "save":
        wire.save(name)
    elif act == "load":
        wire.load(name)
    else:
        wire.reset()


def _page(template: str, title: str, **values: Any) -> str:
    return render_template(template, title=title, panel=True, **values)

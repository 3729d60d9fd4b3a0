"""What a script or the control panel does to the sandbox as a whole: its time, its memory, its deliveries."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids, running, sending
from sandbox.api import webhook_endpoints
from sandbox.engine import time
from sandbox.events import emit
from sandbox.house import db, house
from sandbox.outcomes import NotFound
from sandbox.store import Cause, public

Json = dict[str, Any]

# What the clock can be moved to, and the kinds of moment that are meant (`agenda`); no kind: any.
GOALS: dict[str, tuple[str, ...]] = {
    "next": (),
    "renewal": ("renew",),
    "trial_end": ("trial_end",),
    "retry": ("retry",),
    "end": ("end",),
}
GRACE_END = "grace_end"


def moments() -> tuple[int, list[tuple[int, str, str]]]:
    """The wall's time and what comes next for those who live by it: (UTC seconds, kind, object)."""
    now = clock.wall()
    return now, [(max(at, now + 1), kind, subject) for at, kind, subject in time.wall_moments()]


def advance(to: int | str) -> int:
    """Move everybody without a test clock to a time (UTC seconds) or a goal; the time that it is then.

    `grace_end` is when the retries of the invoice that is tried next are over, by success or by the last one.
    ValueError when there is nothing ahead to move to.
    """
    if to == GRACE_END:
        return _to_grace_end()
    target = _moment(to) if isinstance(to, str) else to
    time.advance_wall(target, running.deliverer())
    return clock.wall()


def _moment(goal: str) -> int:
    if goal not in GOALS:
        raise ValueError(f"`to` is a time or one of {', '.join([*GOALS, GRACE_END])}.")
    _, coming = moments()
    times = [at for at, kind, _ in coming if not GOALS[goal] or kind in GOALS[goal]]
    if not times:
        raise ValueError("Nothing of that kind is due.")
    return times[0]


def _to_grace_end() -> int:
    _, coming = moments()
    invoices = [subject for _, kind, subject in coming if kind == "retry"]
    if not invoices:
        raise ValueError("No payment is being retried.")
    while True:
        _, coming = moments()
        times = [at for at, kind, subject in coming if (kind, subject) == ("retry", invoices[0])]
        if not times:
            return clock.wall()
        time.advance_wall(times[0], running.deliverer())


def resend(event_id: str, endpoint_id: str) -> Json:
    """Deliver an event once more, now; what is owed automatically stays owed (facts 2.2)."""
    endpoint = db().find("webhook_endpoint", endpoint_id)
    if endpoint is None:
        raise NotFound(endpoint_id)
    if db().find("event", event_id) is None:
        raise NotFound(event_id)
    answer = sending.send(event_id, endpoint)
    return {"http_status": answer.status, "error": answer.error}


def endpoints() -> list[Json]:
    """The webhook endpoints, oldest first, without their secrets."""
    return [public(each) for each in db().all("webhook_endpoint")]


def roll(endpoint_id: str, keep_old_seconds: float) -> str:
    """Give an endpoint another secret; the old one signs too for so long. The new one."""
    if db().find("webhook_endpoint", endpoint_id) is None:
        raise NotFound(endpoint_id)
    with db().transaction():
        return webhook_endpoints.roll(endpoint_id, keep_old_seconds)


def foreign_event(type_: str, like: str, metadata: Json) -> Json:
    """An event about an object that another installation on this account might have: a copy of `like` with
    another id and that metadata. The copy is not kept. NotFound when there is no such object.
    """
    row = db().one("SELECT type FROM objects WHERE id=?", (like,))
    if row is None or row["type"] == "event":
        raise NotFound(like)
    with db().transaction(Cause()):
        copy = db().get(row["type"], like)
        prefix = like[: like.rfind("_") + 1]
        copy |= {"id": prefix + ids.random_text(len(like) - len(prefix)), "metadata": metadata}
        _rename(copy, metadata)
        return emit(type_, copy)


def _rename(copy: Json, metadata: Json) -> None:
    """An invoice has its subscription's metadata too."""
    details = (copy.get("parent") or {}).get("subscription_details")
    if details:
        details["metadata"] = metadata


def reset() -> None:
    """Forget everything but the saved states."""
    house().reset()


def save(name: str) -> None:
    """Keep the state under a name, in place of what was kept so before."""
    house().store.save(house().saved_as(name))


def load(name: str) -> None:
    """Become what was saved under a name; NotFound when nothing was."""
    try:
        house().store.load(house().saved_as(name))
    except FileNotFoundError as problem:
        raise NotFound(name) from problem


def saved() -> list[str]:
    return house().saved()

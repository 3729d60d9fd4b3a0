"""Events: a snapshot of the object as it is now, and one owed delivery per endpoint that asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import ids, record
from sandbox.clock import exact, wall
from sandbox.house import API_VERSION, db, house
from sandbox.store import public

Json = dict[str, Any]

RETAINED = 30 * 86400  # seconds that an event can be read for (facts 2.2)
BEGAN = {"invoice_payment.paid": "2025-03-31.basil"}  # types that endpoints of an older version are not sent


def emit(type_: str, obj: Json, previous: Json | None = None, late: float = 0) -> Json:
    """Record an event about `obj`. `late` delays its delivery by seconds, as Stripe does with some types."""
    data: Json = {"object": public(obj)}
    if previous is not None:
        data["previous_attributes"] = previous
    cause = db().cause
    event: Json = {
        "id": ids.event(obj.get("id") or ""),
        "object": "event",
        "api_version": house().settings()["api_version"],
        "created": wall(),
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": cause.request, "idempotency_key": cause.idempotency_key},
        "type": type_,
    }
    db().put(event)
    record.line("event", API_VERSION, type_, None, event | {"api_version": API_VERSION})
    _owe(event, late)
    return event


def _owe(event: Json, late: float) -> None:
    trouble = house().trouble()
    if trouble["delivery"] == "late":
        late += trouble["delay_seconds"]
    for endpoint in db().all("webhook_endpoint"):
        if _wants(endpoint, event):
            db().write(
                "INSERT INTO deliveries (event, type, endpoint, state, attempts, next_at)"
                " VALUES (?,?,?,'pending',0,?)",
                (event["id"], event["type"], endpoint["id"], exact() + late),
            )


def _wants(endpoint: Json, event: Json) -> bool:
    wanted = endpoint["enabled_events"]
    version = endpoint["api_version"] or event["api_version"]
    return (
        endpoint["status"] == "enabled"
        and ("*" in wanted or event["type"] in wanted)
        and bool(BEGAN.get(event["type"], "") <= version)
    )


def change(obj: Json, type_: str | None, edit: Callable[[Json], object] | None = None, **fields: Any) -> Json:
    """Write changed fields; emit `type_` with previous_attributes unless nothing changed. Returns `obj`."""
    before = db().get(obj["object"], obj["id"])
    obj.update(fields)
    if edit is not None:
        edit(obj)
    db().put(obj)
    previous = difference(public(before), public(obj))
    if previous and type_ is not None:
        emit(type_, obj, previous)
    return obj


def difference(old: Json, new: Json) -> Json:
    """Old values of what changed: nested objects only with their changed keys, lists whole."""
    changed: Json = {}
    for key in [*old, *(k for k in new if k not in old)]:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            changed[key] = difference(before, after)
        else:
            changed[key] = before
    return changed

"""/v1/account, and /v1/events."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import listing
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, request_error
from sandbox.events import RETAINED
from sandbox.house import db, house
from sandbox.objects import account as shapes

Json = dict[str, Any]

UNDELIVERED = "SELECT event FROM deliveries WHERE state!='delivered'"


def own(_call: Call) -> Json:
    settings = house().settings()
    return shapes.account(
        house().account_id(), db().fact("account_created"), settings["business_name"], settings["country"]
    )


def retrieve_account(call: Call) -> Json:
    if call.id != house().account_id():
        raise missing("account", call.id)
    return own(call)


def retrieve(call: Call) -> Json:
    """An event of the last thirty days."""
    event = call.subject("event")
    if event["created"] < clock.wall() - RETAINED:
        raise missing("event", call.id)
    return event


def list_(call: Call) -> Json:
    params = call.params
    types = params.texts("types") or ([params.need("type")] if params.has("type") else [])
    if params.has("types") and params.has("type"):
        raise request_error("You can give `type` or `types`, not both.", "parameters_exclusive")
    if len(types) > 20:
        raise request_error("You can give up to 20 types.", param="types")
    conditions, args = ["+created>=?"], list[Any]([clock.wall() - RETAINED])
    if types:
        conditions.append(f"json_extract(body, '$.type') IN ({','.join('?' * len(types))})")
        args += types
    success = params.flag("delivery_success")
    if success is not None:
        conditions.append(f"id {'NOT ' if success else ''}IN ({UNDELIVERED})")
    return listing.page(call, "event", "/v1/events", None, (" AND ".join(conditions), args))


OPERATIONS = (
    Operation("GET", "/v1/account", own),
    Operation("GET", "/v1/accounts/<id>", retrieve_account),
    Operation("GET", "/v1/events", list_, f"{LISTED} {CREATED} type types.# delivery_success"),
    Operation("GET", "/v1/events/<id>", retrieve),
)

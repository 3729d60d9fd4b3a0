"""/v1/account, and /v1/events."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, request_error
from sandbox.house import db, house
from sandbox.objects import account as shapes

Json = dict[str, Any]


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
    return call.subject("event")


def list_(call: Call) -> Json:
    params = call.params
    types = params.texts("types") or ([params.need("type")] if params.has("type") else [])
    if params.has("types") and params.has("type"):
        raise request_error("You can give `type` or `types`, not both.", "parameters_exclusive")
    if len(types) > 20:
        raise request_error("You can give up to 20 types.", param="types")
    conditions, args = [], list[Any]()
    if types:
        conditions.append(f"json_extract(body, '$.type') IN ({','.join('?' * len(types))})")
        args += types
    success = params.flag("delivery_success")
    if success is not None:
        owed = "EXISTS (SELECT 1 FROM deliveries d WHERE d.event=objects.id AND d.state!='delivered')"
        conditions.append(f"NOT {owed}" if success else owed)
    return listing.page(call, "event", "/v1/events", None, (" AND ".join(conditions), args))


OPERATIONS = (
    Operation("GET", "/v1/account", own),
    Operation("GET", "/v1/accounts/<id>", retrieve_account),
    Operation("GET", "/v1/events", list_, f"{LISTED} {CREATED} type types.# delivery_success"),
    Operation("GET", "/v1/events/<id>", retrieve),
)

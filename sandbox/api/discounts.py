"""Discounts taken away: /v1/customers/<id>/discount, /v1/subscriptions/<id>/discount."""

from __future__ import annotations

from typing import Any

from sandbox.api.operation import Call, Operation
from sandbox.engine import discounts
from sandbox.errors import request_error
from sandbox.house import db
from sandbox.store import public

Json = dict[str, Any]


def of_customer(call: Call) -> Json:
    customer = call.subject("customer")
    return _end([customer["discount"]["id"]] if customer["discount"] else [], customer)


def of_subscription(call: Call) -> Json:
    """All discounts of a subscription; those of its items stay."""
    sub = call.subject("subscription")
    return _end(sub["discounts"], sub)


def _end(ids: list[str], owner: Json) -> Json:
    found = [db().get("discount", id_) for id_ in ids]
    if not found:
        message = f"No active discount for {owner['object']}: {owner['id']}"
        raise request_error(message, "resource_missing", status=404)
    for discount in found:
        discounts.end(discount)
    gone = public(found[-1])
    del gone["end"]
    return gone | {"deleted": True}


OPERATIONS = (
    Operation("DELETE", "/v1/customers/<id>/discount", of_customer),
    Operation("DELETE", "/v1/subscriptions/<id>/discount", of_subscription),
)

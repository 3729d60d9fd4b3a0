"""/v1/test_helpers/test_clocks."""

from __future__ import annotations

import threading
from typing import Any

from sandbox import periods
from sandbox.api import customers, listing
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import removal, subscriptions, time
from sandbox.errors import request_error, required
from sandbox.house import db

Json = dict[str, Any]

TWO_YEARS = 2 * 365 * 86400


def create(call: Call) -> Json:
    params = call.params
    frozen = params.integer("frozen_time", least=1)
    if frozen is None:
        raise required("frozen_time")
    customer = customers.living(params.need("customer")) if params.text("customer") else None
    if customer and customer["test_clock"]:
        raise request_error("This customer is already attached to a test clock.", param="customer")
    made = time.create_clock(frozen, params.text("name"))
    if customer:
        time.join(customer, made["id"])
    return made


def retrieve(call: Call) -> Json:
    return call.subject("test_helpers.test_clock", "test clock")


def list_(call: Call) -> Json:
    return listing.page(call, "test_helpers.test_clock", "/v1/test_helpers/test_clocks")


def advance(call: Call) -> Json:
    """Answers `advancing` at once; the clock is `ready` when everything due was done."""
    test_clock, params = retrieve(call), call.params
    target = params.integer("frozen_time")
    if target is None:
        raise required("frozen_time")
    if test_clock["status"] != "ready":
        raise request_error(
            "This test clock is advancing: wait until its status is `ready`.", "test_clock_not_ready"
        )
    if target <= test_clock["frozen_time"]:
        raise request_error(
            "The time must be later than the clock's current frozen time.", param="frozen_time"
        )
    if target > _furthest(test_clock):
        raise request_error(
            "Cannot advance the clock further than two intervals of its shortest subscription.",
            param="frozen_time",
        )
    time.announce(test_clock, target)
    threading.Thread(target=time.run, args=(test_clock["id"],), name="advance", daemon=True).start()
    return test_clock


def _furthest(test_clock: Json) -> int:
    now: int = test_clock["frozen_time"]
    ends = []
    for customer in db().all("customer", test_clock=test_clock["id"]):
        for sub in db().all("subscription", customer=customer["id"]):
            if sub["status"] not in subscriptions.ENDED:
                recurring = sub["items"]["data"][0]["price"]["recurring"]
                ends.append(periods.boundary(now, recurring, 2))
    return min(ends, default=now + TWO_YEARS)


def delete(call: Call) -> Json:
    """Its customers go with it, and their subscriptions end."""
    test_clock = retrieve(call)
    removal.remove_clock(test_clock)
    return {"id": test_clock["id"], "object": "test_helpers.test_clock", "deleted": True}


OPERATIONS = (
    Operation("POST", "/v1/test_helpers/test_clocks", create, "frozen_time name customer"),
    Operation("GET", "/v1/test_helpers/test_clocks", list_, LISTED),
    Operation("GET", "/v1/test_helpers/test_clocks/<id>", retrieve),
    Operation("POST", "/v1/test_helpers/test_clocks/<id>/advance", advance, "frozen_time"),
    Operation("DELETE", "/v1/test_helpers/test_clocks/<id>", delete),
)

"""/v1/subscription_items."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api import subscription_params as said
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import changing, subscriptions
from sandbox.errors import missing, request_error, required
from sandbox.house import db

Json = dict[str, Any]

CHANGE = "payment_behavior proration_behavior proration_date"


def _owner(item_id: str) -> tuple[Json, Json]:
    """The subscription that has the item, and the item; 404 when there is none."""
    row = db().one(
        "SELECT objects.id FROM objects, json_each(body, '$.items.data')"
        " WHERE objects.type='subscription' AND json_extract(json_each.value, '$.id')=?",
        (item_id,),
    )
    if row is None:
        raise missing("subscription item", item_id)
    sub = db().get("subscription", row["id"])
    return sub, next(item for item in sub["items"]["data"] if item["id"] == item_id)


def _carry_out(sub: Json, items: list[Json], params: Params) -> Json:
    if sub["status"] in subscriptions.ENDED or sub["status"] in ("incomplete", "paused"):
        raise request_error(f"The items of a subscription that is {sub['status']} cannot change.")
    said.check_prices([each["price"] for each in items], "price")
    payment = params.choice("payment_behavior", *said.PAYMENT, "pending_if_incomplete")
    return changing.change_items(
        sub, items, said.proration(params), params.integer("proration_date"), payment or "allow_incomplete"
    )


def create(call: Call) -> Json:
    params = call.params
    id_ = params.need("subscription")
    sub = db().find("subscription", id_)
    if sub is None:
        raise missing("subscription", id_, "subscription", 400)
    price = said.price(params, sub["currency"])
    quantity = params.integer("quantity", least=0)
    made = changing.item(sub, price, 1 if quantity is None else quantity)
    made["metadata"] = params.metadata()
    _carry_out(sub, [*sub["items"]["data"], made], params)
    return _owner(made["id"])[1] if sub["pending_update"] is None else made


def retrieve(call: Call) -> Json:
    return _owner(call.id)[1]


def update(call: Call) -> Json:
    sub, item = _owner(call.id)
    changed = said.changed_item(sub, item, call.params)
    items = [changed if each["id"] == item["id"] else each for each in sub["items"]["data"]]
    _carry_out(sub, items, call.params)
    return _owner(item["id"])[1]


def delete(call: Call) -> Json:
    sub, item = _owner(call.id)
    items = [each for each in sub["items"]["data"] if each["id"] != item["id"]]
    if not items:
        raise request_error(
            "A subscription must have at least one active item: cancel it instead.", param="id"
        )
    _carry_out(sub, items, call.params)
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


def list_(call: Call) -> Json:
    id_ = call.params.text("subscription")
    if id_ is None:
        raise required("subscription")
    sub = db().find("subscription", id_)
    if sub is None:
        raise missing("subscription", id_, "subscription", 400)
    return listing.of(call, sub["items"]["data"], f"/v1/subscription_items?subscription={id_}")


OPERATIONS = (
    Operation("POST", "/v1/subscription_items", create, f"subscription {said.ITEM} {CHANGE}"),
    Operation("GET", "/v1/subscription_items", list_, f"{LISTED} subscription"),
    Operation("GET", "/v1/subscription_items/<id>", retrieve),
    Operation("POST", "/v1/subscription_items/<id>", update, f"{said.ITEM} {CHANGE}"),
    Operation("DELETE", "/v1/subscription_items/<id>", delete, CHANGE),
)

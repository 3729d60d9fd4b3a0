"""/v1/plans: recurring prices under their old name; each is also a price of the same id."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import listing, prices
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, not_built, request_error
from sandbox.events import emit
from sandbox.house import db
from sandbox.objects import catalogue

Json = dict[str, Any]

COMMON = "active metadata metadata.* nickname product"
PRODUCT = (
    "product.active product.id product.metadata.* product.name product.statement_descriptor product.tax_code"
    " product.unit_label"
)
NEW = (
    "amount amount_decimal billing_scheme currency id interval interval_count meter tiers.* tiers_mode"
    " transform_usage.* usage_type"
)


def create(call: Call) -> Json:
    params = call.params
    prices.refuse(params)
    id_ = params.text("id")
    if id_ and db().find("price", id_):
        raise request_error(f"Plan already exists: {id_}", "resource_already_exists", "id")
    amount = prices.amount(params, "amount")
    given = {
        "id": id_,
        "active": params.flag("active") is not False,
        "currency": prices.currency_of(params),
        "metadata": params.metadata(),
        "nickname": params.text("nickname"),
        "product": _product(params),
        "recurring": prices.recurring(params),
        "unit_amount": amount,
    }
    price = db().put(catalogue.price(clock.wall(), given))
    prices.tell("created", price)
    return catalogue.plan(price)


def _product(params: Params) -> str:
    """The id of a product, or of one made from the fields of `product`."""
    if not isinstance(params.tree.get("product"), dict):
        params.need("product")
        return prices.product_of(params)
    data = params.child("product")
    return prices.make_product(data)


def _price(call: Call) -> Json:
    price = db().find("price", call.id)
    if price is None or price["recurring"] is None or price.get("_deleted"):
        raise missing("plan", call.id)
    return price


def retrieve(call: Call) -> Json:
    return catalogue.plan(_price(call))


def update(call: Call) -> Json:
    price, params = _price(call), call.params
    changed = params.words("nickname")
    if params.has("active"):
        changed["active"] = params.flag("active")
    if params.has("metadata"):
        changed["metadata"] = params.metadata(price["metadata"])
    if params.has("product") and params.text("product") != price["product"]:
        raise not_built("plans that move to another product", "product")
    return catalogue.plan(prices.edit(price, changed))


def delete(call: Call) -> Json:
    """Gone for new subscriptions; those that have it keep it."""
    price = _price(call)
    db().put(price | {"active": False, "_deleted": True})
    emit("plan.deleted", catalogue.plan(price))
    emit("price.deleted", price)
    return {"id": price["id"], "object": "plan", "deleted": True}


def list_(call: Call) -> Json:
    params = call.params
    where = {"active": params.flag("active"), "product": params.text("product"), "type": "recurring"}
    found = listing.page(call, "price", "/v1/plans", where)
    return found | {"data": [catalogue.plan(price) for price in found["data"]]}


OPERATIONS = (
    Operation("POST", "/v1/plans", create, f"{COMMON} {PRODUCT} {NEW}"),
    Operation("GET", "/v1/plans", list_, f"{LISTED} {CREATED} active product"),
    Operation("GET", "/v1/plans/<id>", retrieve),
    Operation("POST", "/v1/plans/<id>", update, COMMON),
    Operation("DELETE", "/v1/plans/<id>", delete),
)

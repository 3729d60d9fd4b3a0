"""/v1/products."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import listing, prices
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, request_error
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import catalogue

Json = dict[str, Any]

COMMON = (
    "active description images images.# marketing_features marketing_features.#.name metadata.* name"
    " shippable statement_descriptor tax_code unit_label url"
)
DEFAULT_PRICE = (
    "default_price_data.currency default_price_data.currency_options.* default_price_data.tax_behavior"
    " default_price_data.unit_amount default_price_data.unit_amount_decimal default_price_data.custom_unit_amount.*"
    " default_price_data.recurring.interval default_price_data.recurring.interval_count"
    " default_price_data.metadata.*"
)
WORDS = ("description", "name", "statement_descriptor", "tax_code", "unit_label", "url")


def _given(params: Params) -> Json:
    given = params.words(*WORDS)
    if params.has("active"):
        given["active"] = params.flag("active")
    if params.has("shippable"):
        given["shippable"] = params.flag("shippable")
    if params.has("images"):
        given["images"] = params.texts("images")
    if params.has("marketing_features"):
        given["marketing_features"] = [
            {"name": row.need("name")} for row in params.rows("marketing_features")
        ]
    return given


def create(call: Call) -> Json:
    params = call.params
    params.need("name")
    id_ = params.text("id")
    if id_ and db().find("product", id_):
        raise request_error(f"Product already exists: {id_}", "resource_already_exists", "id")
    given = _given(params) | {"id": id_, "metadata": params.metadata()}
    product = db().put(catalogue.product(clock.wall(), given))
    if params.has("default_price_data"):
        data = params.child("default_price_data")
        prices.refuse(data)
        price = prices.build(data, product["id"], prices.amount(data), data.metadata())
        product["default_price"] = db().put(price)["id"]
        db().put(product)
        emit("product.created", product)
        prices.tell("created", price)
    else:
        emit("product.created", product)
    return product


def update(call: Call) -> Json:
    product, params = call.subject("product"), call.params
    changed = _given(params)
    if params.has("name"):
        params.need("name")
    if params.has("metadata"):
        changed["metadata"] = params.metadata(product["metadata"])
    if params.has("default_price"):
        changed["default_price"] = _own_price(product, params)
    return change(product, "product.updated", updated=clock.wall(), **changed)


def _own_price(product: Json, params: Params) -> str | None:
    id_ = params.text("default_price")
    price = db().find("price", id_)
    if id_ and (price is None or price["product"] != product["id"]):
        raise missing("price", id_, "default_price", 400)
    return id_


def retrieve(call: Call) -> Json:
    return call.subject("product")


def delete(call: Call) -> Json:
    product = call.subject("product")
    if db().all("price", product=product["id"]):
        raise request_error("This product cannot be deleted because it has one or more user-created prices.")
    db().delete(product["id"])
    emit("product.deleted", product)
    return {"id": product["id"], "object": "product", "deleted": True}


def list_(call: Call) -> Json:
    params = call.params
    extra: tuple[str, list[Any]] = ("", [])
    chosen = params.texts("ids")
    if chosen:
        extra = (f"id IN ({','.join('?' * len(chosen))})", [*chosen])
    return listing.page(call, "product", "/v1/products", {"active": params.flag("active")}, extra)


OPERATIONS = (
    Operation("POST", "/v1/products", create, f"{COMMON} {DEFAULT_PRICE} id"),
    Operation("GET", "/v1/products", list_, f"{LISTED} {CREATED} active ids.#"),
    Operation("GET", "/v1/products/<id>", retrieve),
    Operation("POST", "/v1/products/<id>", update, f"{COMMON} default_price"),
    Operation("DELETE", "/v1/products/<id>", delete),
)

"""/v1/prices."""

from __future__ import annotations

from typing import Any

from sandbox import clock, money
from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, not_built, request_error, required
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import catalogue

Json = dict[str, Any]

OPTIONS = "currency_options.*"
COMMON = f"active {OPTIONS} lookup_key metadata.* nickname tax_behavior transfer_lookup_key"
NEW = (
    "billing_scheme currency product product_data.id product_data.name product_data.active"
    " product_data.metadata.* product_data.statement_descriptor product_data.unit_label product_data.tax_code"
    " recurring.interval recurring.interval_count recurring.usage_type unit_amount unit_amount_decimal"
    " custom_unit_amount.* tiers.* tiers_mode transform_quantity.*"
)
LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}


def create(call: Call) -> Json:
    params = call.params
    for name in ("tiers", "tiers_mode", "transform_quantity", "custom_unit_amount", "unit_amount_decimal"):
        if params.has(name):
            raise not_built(f"prices with {name}", name)
    if params.text("billing_scheme") not in (None, "per_unit"):
        raise not_built("tiered prices", "billing_scheme")
    price = build(params, product_of(params), amount(params), params.metadata())
    _take_lookup_key(price, params)
    db().put(price)
    emit("price.created", price)
    return price


def product_of(params: Params) -> str:
    """The product's id, made from product_data where that is given."""
    id_ = params.text("product")
    if id_ is None and params.has("product_data"):
        data = params.child("product_data")
        given = data.words("statement_descriptor", "unit_label", "tax_code", "id")
        given |= {"name": data.need("name"), "metadata": data.metadata()}
        product = db().put(catalogue.product(clock.wall(), given))
        emit("product.created", product)
        return str(product["id"])
    if id_ is None:
        raise required(params.name("product"))
    if db().find("product", id_) is None:
        raise missing("product", id_, params.name("product"), 400)
    return id_


def amount(params: Params) -> int:
    """`unit_amount`, checked against what its currency allows."""
    currency = (params.need("currency")).lower()
    if currency not in money.KNOWN:
        raise request_error(
            f"Invalid currency: {currency}.", "parameter_invalid_string", params.name("currency")
        )
    value = params.integer("unit_amount", least=0)
    if value is None:
        raise required(params.name("unit_amount"))
    wrong = money.problem(value, currency)
    if wrong:
        code = "amount_too_large" if "large" in wrong else "parameter_invalid_integer"
        raise request_error(f"Invalid amount: {value} {currency} {wrong}.", code, params.name("unit_amount"))
    return value


def build(params: Params, product: str, unit_amount: int, metadata: Json) -> Json:
    """An unsaved price."""
    given: Json = {
        "currency": params.need("currency").lower(),
        "unit_amount": unit_amount,
        "product": product,
        "metadata": metadata,
        "recurring": _recurring(params.child("recurring")) if params.has("recurring") else None,
        "tax_behavior": params.choice("tax_behavior", "inclusive", "exclusive", "unspecified")
        or "unspecified",
        "currency_options": _options(params),
        **params.words("nickname", "lookup_key"),
    }
    if params.has("active"):
        given["active"] = params.flag("active")
    return catalogue.price(clock.wall(), given)


def _recurring(params: Params) -> Json:
    interval = params.choice("interval", *LONGEST)
    if interval is None:
        raise required(params.name("interval"))
    if params.text("usage_type") not in (None, "licensed"):
        raise not_built("metered prices", params.name("usage_type"))
    count = params.integer("interval_count", least=1) or 1
    if count > LONGEST[interval]:
        raise request_error("The interval may be up to 3 years.", param=params.name("interval_count"))
    return {"interval": interval, "interval_count": count}


def _options(params: Params) -> Json:
    options = {}
    for currency in params.child("currency_options").tree:
        one = params.child("currency_options").child(currency)
        named = Params({**one.tree, "currency": currency}, one.path)
        options[currency] = {
            "unit_amount": amount(named),
            "tax_behavior": one.text("tax_behavior") or "unspecified",
        }
    return options


def _take_lookup_key(price: Json, params: Params) -> None:
    key = price["lookup_key"]
    if key is None:
        return
    if len(key) > 200:
        raise request_error("A lookup key may have up to 200 characters.", param="lookup_key")
    for holder in db().all("price", lookup_key=key):
        if holder["id"] == price["id"]:
            continue
        if not params.flag("transfer_lookup_key"):
            raise request_error(
                f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key"
            )
        change(holder, "price.updated", lookup_key=None)


def update(call: Call) -> Json:
    price, params = call.subject("price"), call.params
    changed = params.words("nickname", "lookup_key")
    if params.has("active"):
        changed["active"] = params.flag("active")
    if params.has("metadata"):
        changed["metadata"] = params.metadata(price["metadata"])
    if params.has("tax_behavior"):
        if price["tax_behavior"] != "unspecified":
            raise request_error("You cannot change `tax_behavior` once it is set.", param="tax_behavior")
        changed["tax_behavior"] = params.choice("tax_behavior", "inclusive", "exclusive", "unspecified")
    if params.has("currency_options"):
        changed["_currency_options"] = price["_currency_options"] | _options(params)
    if changed.get("lookup_key"):
        _take_lookup_key(price | {"lookup_key": changed["lookup_key"]}, params)
    return change(price, "price.updated", **changed)


def retrieve(call: Call) -> Json:
    return call.subject("price")


def list_(call: Call) -> Json:
    params = call.params
    keys = params.texts("lookup_keys")
    if len(keys) > 10:
        raise request_error("You can give up to 10 lookup keys.", param="lookup_keys")
    extra: tuple[str, list[Any]] = ("", [])
    if keys:
        extra = (f"json_extract(body, '$.lookup_key') IN ({','.join('?' * len(keys))})", [*keys])
    recurring = params.child("recurring")
    where = {
        "active": params.flag("active"),
        "currency": params.text("currency"),
        "product": params.text("product"),
        "type": params.choice("type", "one_time", "recurring"),
        "recurring.interval": recurring.text("interval"),
    }
    return listing.page(call, "price", "/v1/prices", where, extra)


OPERATIONS = (
    Operation("POST", "/v1/prices", create, f"{COMMON} {NEW}"),
    Operation(
        "GET", "/v1/prices", list_,
        f"{LISTED} {CREATED} active currency lookup_keys.# product type recurring.interval",
    ),
    Operation("GET", "/v1/prices/<id>", retrieve),
    Operation("POST", "/v1/prices/<id>", update, COMMON),
)  # fmt: skip

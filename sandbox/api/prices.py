"""/v1/prices."""

from __future__ import annotations

import re
from typing import Any

from sandbox import clock, money
from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.errors import missing, not_built, request_error, required
from sandbox.events import change, difference, emit
from sandbox.house import db
from sandbox.objects import catalogue
from sandbox.store import public

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
    refuse(params)
    price = build(params, product_of(params), amount(params), params.metadata())
    _take_lookup_key(price, params)
    db().put(price)
    tell("created", price)
    return price


def refuse(params: Params) -> None:
    """400 for kinds of prices that are not built."""
    for name in (
        "tiers",
        "tiers_mode",
        "transform_quantity",
        "transform_usage",
        "custom_unit_amount",
        "meter",
    ):
        if params.has(name):
            raise not_built(f"prices with {name}", params.name(name))
    if params.text("billing_scheme") not in (None, "per_unit"):
        raise not_built("tiered prices", params.name("billing_scheme"))


def tell(what: str, price: Json, previous: Json | None = None) -> None:
    """price.created, price.updated or price.deleted, and the same of the plan that a recurring price is."""
    emit(f"price.{what}", price, previous)
    if price["recurring"] is not None:
        emit(f"plan.{what}", catalogue.plan(price), _plan_part(previous))


def _plan_part(previous: Json | None) -> Json | None:
    if previous is None:
        return None
    return {
        key: value for key, value in previous.items() if key in ("active", "metadata", "nickname", "product")
    }


def product_of(params: Params) -> str:
    """The product's id, made from product_data where that is given."""
    id_ = params.text("product")
    if id_ is None and params.has("product_data"):
        return make_product(params.child("product_data"))
    if id_ is None:
        raise required(params.name("product"))
    if db().find("product", id_) is None:
        raise missing("product", id_, params.name("product"), 400)
    return id_


def make_product(data: Params) -> str:
    """The id of a product made from the fields of `product_data`."""
    given = data.words("statement_descriptor", "unit_label", "tax_code", "id")
    if given.get("id") and db().find("product", given["id"]):
        raise request_error(
            f"Product already exists: {given['id']}", "resource_already_exists", data.name("id")
        )
    given |= {"name": data.need("name"), "metadata": data.metadata()}
    if data.has("active"):
        given["active"] = data.flag("active")
    product = db().put(catalogue.product(clock.wall(), given))
    emit("product.created", product)
    return str(product["id"])


def amount(params: Params, name: str = "unit_amount") -> int:
    """The amount of that name, or its decimal twin where that is whole, checked against its currency."""
    currency = currency_of(params)
    decimal = params.text(f"{name}_decimal")
    if decimal is not None and params.has(name):
        raise request_error(
            f"You may only specify one of these parameters: {name}, {name}_decimal.",
            "parameters_exclusive",
            params.name(name),
        )
    value = params.integer(name, least=0)
    if decimal is not None:
        value = _whole(decimal, params.name(f"{name}_decimal"))
    if value is None:
        raise required(params.name(name))
    wrong = money.problem(value, currency)
    if wrong:
        code = "amount_too_large" if "large" in wrong else "parameter_invalid_integer"
        raise request_error(f"Invalid amount: {value} {currency} {wrong}.", code, params.name(name))
    return value


def currency_of(params: Params) -> str:
    """`currency`, one that Stripe knows, in lower case."""
    currency = params.need("currency").lower()
    if currency not in money.KNOWN:
        raise request_error(
            f"Invalid currency: {currency}.", "parameter_invalid_string", params.name("currency")
        )
    return currency


def _whole(decimal: str, param: str) -> int:
    if not re.fullmatch(r"\d{1,15}(\.\d{1,12})?", decimal):
        raise request_error(f"Invalid decimal: {decimal}", param=param)
    whole, _, fraction = decimal.partition(".")
    if fraction.strip("0"):
        raise not_built("prices of fractions of the smallest unit", param)
    return int(whole)


def build(params: Params, product: str, unit_amount: int, metadata: Json) -> Json:
    """An unsaved price."""
    given: Json = {
        "currency": currency_of(params),
        "unit_amount": unit_amount,
        "product": product,
        "metadata": metadata,
        "recurring": recurring(params.child("recurring")) if params.has("recurring") else None,
        "tax_behavior": params.choice("tax_behavior", "inclusive", "exclusive", "unspecified")
        or "unspecified",
        "currency_options": _options(params),
        **params.words("nickname", "lookup_key"),
    }
    if params.has("active"):
        given["active"] = params.flag("active")
    return catalogue.price(clock.wall(), given)


def recurring(params: Params) -> Json:
    """How often a price is charged: at most every three years."""
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
        refuse(named)
        options[currency.lower()] = {
            "unit_amount": amount(named),
            "tax_behavior": one.choice("tax_behavior", "inclusive", "exclusive", "unspecified")
            or "unspecified",
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
        change(holder, "price.updated", lookup_key=None)  # a plan has no lookup key to tell of


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
    return edit(price, changed)


def edit(price: Json, changed: Json) -> Json:
    """Change a price, and tell of it and of its plan where anything that they show changed."""
    before = db().get("price", price["id"])
    change(price, None, **changed)
    previous = difference(public(before), public(price))
    if previous:
        tell("updated", price, previous)
    return price


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
    where = {
        "active": params.flag("active"),
        "currency": params.text("currency"),
        "product": params.text("product"),
        "type": params.choice("type", "one_time", "recurring"),
        "recurring.interval": params.child("recurring").text("interval"),
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

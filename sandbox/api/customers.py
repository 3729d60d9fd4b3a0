"""/v1/customers."""

from __future__ import annotations

from typing import Any

from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import balance, customers, methods, removal, sources, time
from sandbox.errors import missing, request_error
from sandbox.events import change
from sandbox.house import db

Json = dict[str, Any]

ADDRESS = "address address.city address.country address.line1 address.line2 address.postal_code address.state"
SHIPPING = "shipping shipping.name shipping.phone shipping.address.*"
COMMON = (
    f"{ADDRESS} {SHIPPING} balance business_name description email individual_name invoice_prefix"
    " invoice_settings.default_payment_method invoice_settings.footer metadata.* name phone"
    " preferred_locales.# tax_exempt"
)
WORDS = ("business_name", "description", "email", "individual_name", "name", "phone", "invoice_prefix")


def living(id_: str, param: str = "customer") -> Json:
    """The customer that a parameter names; 400 when there is none or it was deleted."""
    customer = db().find("customer", id_)
    if customer is None or customer.get("_deleted"):
        raise missing("customer", id_, param, 400)
    return customer


def _given(params: Params) -> Json:
    given = params.words(*WORDS)
    if given.get("email") is not None and "@" not in str(given["email"]):
        raise request_error(f"Invalid email address: {given['email']}", "email_invalid", "email")
    for name in ("address", "shipping"):
        if params.has(name):
            given[name] = _whole(name, params.plain(name))
    if params.integer("balance") is not None:
        given["balance"] = params.integer("balance")
    if params.has("tax_exempt"):
        given["tax_exempt"] = params.choice("tax_exempt", "none", "exempt", "reverse") or "none"
    if params.has("preferred_locales"):
        given["preferred_locales"] = params.texts("preferred_locales")
    return given


def _whole(name: str, value: Json | None) -> Json | None:
    if value is None:
        return None
    if name == "address":
        return whole_address(value)
    return {
        "address": whole_address(value.get("address") or {}),
        "name": value.get("name"),
        "phone": value.get("phone"),
    }


def whole_address(given: Json) -> Json:
    """Every part of an address, those not given null."""
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {each: given.get(each) or None for each in names}


def create(call: Call) -> Json:
    params = call.params
    given = _given(params) | {"metadata": params.metadata()}
    test_clock = params.text("test_clock")
    if test_clock and db().find("test_helpers.test_clock", test_clock) is None:
        raise missing("test clock", test_clock, "test_clock", 400)
    if test_clock:
        time.check_room(test_clock)
    token = params.text("payment_method")
    method = methods.find(token) if token else None
    if method is not None:
        methods.check(method)  # a refused card leaves no customer behind
    source = params.text("source")
    if source:
        methods.check(methods.find(source, "source"))
    customer = customers.create(given, test_clock)
    if method is not None:
        methods.attach(method, customer)
    if source:
        sources.add(customer, source, {})
    return _settings(customer, params.child("invoice_settings"))


def _settings(customer: Json, params: Params) -> Json:
    def edit(obj: Json) -> None:
        if params.has("default_payment_method"):
            obj["invoice_settings"]["default_payment_method"] = _own_method(obj, params)
        if params.has("footer"):
            obj["invoice_settings"]["footer"] = params.text("footer")

    return change(customer, "customer.updated", edit)


def _own_method(customer: Json, params: Params) -> str | None:
    id_ = params.text("default_payment_method")
    method = db().find("payment_method", id_)
    if id_ and (method is None or method["customer"] != customer["id"]):
        raise missing("PaymentMethod", id_, params.name("default_payment_method"), 400)
    return id_


def _own_source(customer: Json, id_: str) -> str:
    method = db().find("payment_method", id_)
    if method is None or method["customer"] != customer["id"] or not method.get("_source"):
        raise missing("source", id_, "default_source", 400)
    return id_


def retrieve(call: Call) -> Json:
    found = db().find("customer", call.id)
    if found is None:
        raise missing("customer", call.id)
    return {"id": found["id"], "object": "customer", "deleted": True} if found.get("_deleted") else found


def update(call: Call) -> Json:
    customer, params = call.subject("customer"), call.params
    changed = _given(params)
    if params.has("metadata"):
        changed["metadata"] = params.metadata(customer["metadata"])
    settings = params.child("invoice_settings")
    moved = changed.get("balance", customer["balance"]) - customer["balance"]
    if moved:
        currency = customer["currency"] or customers.DEFAULT_CURRENCY
        balance.record(customer, moved, currency, {"type": "adjustment"})
    if params.has("default_source"):
        changed["default_source"] = _own_source(customer, params.need("default_source"))
    if params.text("source"):
        sources.add(customer, params.need("source"), {}, default=True)

    def edit(obj: Json) -> None:
        if settings.has("default_payment_method"):
            obj["invoice_settings"]["default_payment_method"] = _own_method(obj, settings)
        if settings.has("footer"):
            obj["invoice_settings"]["footer"] = settings.text("footer")

    return change(customer, "customer.updated", edit, **changed)


def delete(call: Call) -> Json:
    customer = call.subject("customer")
    removal.remove_customer(customer)
    return {"id": customer["id"], "object": "customer", "deleted": True}


def list_(call: Call) -> Json:
    params = call.params
    where = {"email": params.text("email"), "test_clock": params.text("test_clock")}
    return listing.page(call, "customer", "/v1/customers", where)


def payment_methods(call: Call) -> Json:
    customer = call.subject("customer")
    url = f"/v1/customers/{customer['id']}/payment_methods"
    where = {"customer": customer["id"], "type": call.params.text("type")}
    return listing.page(call, "payment_method", url, where)


def payment_method(call: Call) -> Json:
    customer = call.subject("customer")
    found = db().find("payment_method", call.ids[1])
    if found is None or found["customer"] != customer["id"]:
        raise missing("PaymentMethod", call.ids[1], "payment_method")
    return found


OPERATIONS = (
    Operation("POST", "/v1/customers", create, f"{COMMON} payment_method source test_clock"),
    Operation("GET", "/v1/customers", list_, f"{LISTED} {CREATED} email test_clock"),
    Operation("GET", "/v1/customers/<id>", retrieve),
    Operation("POST", "/v1/customers/<id>", update, f"{COMMON} source default_source"),
    Operation("DELETE", "/v1/customers/<id>", delete),
    Operation("GET", "/v1/customers/<id>/payment_methods", payment_methods, f"{LISTED} type allow_redisplay"),
    Operation("GET", "/v1/customers/<id>/payment_methods/<id>", payment_method),
)

"""/v1/invoiceitems."""

from __future__ import annotations

from typing import Any

from sandbox import ids
from sandbox.api import discount_params, item_params, listing, prices
from sandbox.api.customers import living
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import editing, items
from sandbox.engine.discounts import Offer, Purchase
from sandbox.errors import missing, request_error, required
from sandbox.house import db

Json = dict[str, Any]

COMMON = f"{item_params.COMMON} discounts {discount_params.ROWS} unit_amount_decimal"


def create(call: Call) -> Json:
    params = call.params
    customer = _customer(params)
    invoice, sub = _invoice(params, customer), _subscription(params, customer)
    currency = _currency(params, invoice or sub or customer)
    given = {
        **item_params.cost(params, currency, None),
        **item_params.rest(params),
        "currency": currency,
        "subscription": sub["id"] if sub else None,
    }
    if given.get("description") is None and given.get("price"):
        given["description"] = db().get("product", given["price"]["product"])["name"]
    found = discount_params.read(params, Purchase(customer, currency, given["amount"]))
    given["id"] = new_id()
    given["discounts"] = redeemed(found or [], customer["id"], given["id"])
    if invoice is None:
        return items.add(customer, given)
    item = editing.new_item(customer, invoice, given)
    editing.save(invoice)
    return item


def new_id() -> str:
    return ids.dated("ii")


def redeemed(found: list[Offer | Json], customer_id: str, item_id: str) -> list[str]:
    """The ids of the discounts of one item."""
    target = {"customer": customer_id, "invoice_item": item_id}
    return [each["id"] for each in discount_params.redeem(found, target)]


def _customer(params: Params) -> Json:
    id_ = params.text("customer")
    if id_ is None:
        raise required("customer")
    return living(id_)


def _invoice(params: Params, customer: Json) -> Json | None:
    id_ = params.text("invoice")
    if id_ is None:
        return None
    invoice = db().find("invoice", id_)
    if invoice is None or invoice["customer"] != customer["id"]:
        raise missing("invoice", id_, "invoice", 400)
    return editing.require_draft(invoice)


def _subscription(params: Params, customer: Json) -> Json | None:
    id_ = params.text("subscription")
    if id_ is None:
        return None
    sub = db().find("subscription", id_)
    if sub is None or sub["customer"] != customer["id"]:
        raise missing("subscription", id_, "subscription", 400)
    return sub


def _currency(params: Params, owner: Json) -> str:
    """The currency that is asked for, else the price's, else that of what the item is for."""
    if params.has("currency"):
        currency = prices.currency_of(params)
    elif params.has("price_data"):
        currency = prices.currency_of(params.child("price_data"))
    else:
        price = db().find("price", params.child("pricing").text("price"))
        currency = (price or owner)["currency"] or "usd"
    if owner["object"] != "customer" and owner["currency"] != currency:
        raise request_error(
            f"The {owner['object']} is in {owner['currency']}: its items can't be in {currency}.",
            param="currency",
        )
    return currency


def retrieve(call: Call) -> Json:
    return call.subject("invoiceitem")


def update(call: Call) -> Json:
    """What it costs and says, while no finalised invoice holds it. Stripe tells of no such event."""
    item = retrieve(call)
    _editable(item)
    return editing.change_item(item, changed(item, call.params))


def changed(item: Json, params: Params) -> Json:
    """The fields that a request to change an item, or its line, asks for."""
    fields = item_params.rest(params, item["metadata"])
    if any(params.has(name) for name in item_params.WAYS):
        fields |= _repriced(item, item_params.cost(params, item["currency"], item["quantity"]))
    elif params.has("quantity"):
        fields |= _requantified(item, params)
    customer = db().get("customer", item["customer"])
    found = discount_params.read(params, Purchase(customer, item["currency"], item["amount"]))
    if found is not None:
        fields["discounts"] = redeemed(found, item["customer"], item["id"])
    if fields.get("discountable") is not None or "amount" in fields:
        counts = fields.get("discountable", item["discountable"])
        fields["net_amount"] = None if counts else fields.get("amount", item["amount"])
    return fields


def _editable(item: Json) -> None:
    invoice = db().find("invoice", item["invoice"])
    if invoice is not None:
        editing.require_draft(invoice)


def _repriced(item: Json, cost: Json) -> Json:
    """The fields of an item that costs something else now."""
    price = cost.get("price")
    details = {"price": price["id"], "product": price["product"]} if price else None
    return {
        "amount": cost["amount"],
        "pricing": item["pricing"]
        | {"price_details": details, "unit_amount_decimal": cost["unit_amount_decimal"]},
        "quantity": cost["quantity"],
        "quantity_decimal": str(cost["quantity"]),
    }


def _requantified(item: Json, params: Params) -> Json:
    unit = Params(
        {"unit_amount_decimal": item["pricing"]["unit_amount_decimal"], "quantity": params.need("quantity")}
    )
    cost = item_params.cost(unit, item["currency"], None)
    return _repriced(item, cost) | {"pricing": item["pricing"]}


def delete(call: Call) -> Json:
    item = retrieve(call)
    _editable(item)
    editing.remove_item(item)
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


def list_(call: Call) -> Json:
    params = call.params
    where = {"customer": params.text("customer"), "invoice": params.text("invoice")}
    waits = params.flag("pending")
    null = {
        None: "",
        True: "json_extract(body, '$.invoice') IS NULL",
        False: "json_extract(body, '$.invoice') > ''",
    }
    return listing.page(call, "invoiceitem", "/v1/invoiceitems", where, (null[waits], []))


OPERATIONS = (
    Operation("POST", "/v1/invoiceitems", create, f"{COMMON} currency customer invoice subscription"),
    Operation("GET", "/v1/invoiceitems", list_, f"{LISTED} {CREATED} customer invoice pending"),
    Operation("GET", "/v1/invoiceitems/<id>", retrieve),
    Operation("POST", "/v1/invoiceitems/<id>", update, COMMON),
    Operation("DELETE", "/v1/invoiceitems/<id>", delete),
)

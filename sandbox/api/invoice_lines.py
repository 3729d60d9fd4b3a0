"""The lines of an invoice: /v1/invoices/<id>/lines, add_lines, update_lines, remove_lines."""

from __future__ import annotations

from typing import Any

from sandbox.api import discount_params, invoiceitems, item_params, listing
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.engine import editing
from sandbox.engine.discounts import Purchase
from sandbox.errors import missing, not_built, request_error, required
from sandbox.events import emit
from sandbox.house import db

Json = dict[str, Any]


def _rows(fields: str) -> str:
    return " ".join(f"lines.#.{field}" for field in fields.split())


FIELDS = f"{item_params.COMMON} discounts discounts.#.coupon discounts.#.promotion_code discounts.#.discount"


def lines(call: Call) -> Json:
    invoice = call.subject("invoice")
    return listing.of(call, invoice["lines"]["data"], f"/v1/invoices/{invoice['id']}/lines")


def _draft(call: Call) -> Json:
    return editing.require_draft(call.subject("invoice"))


def _chosen(params: Params) -> list[Params]:
    rows = params.rows("lines")
    if not rows:
        raise required("lines")
    return rows


def _save(invoice: Json, params: Params) -> Json:
    metadata = invoice["metadata"]
    if params.has("invoice_metadata"):
        sent = params.tree["invoice_metadata"]
        metadata = Params({"metadata": sent}).metadata(metadata)
    return editing.save(invoice, metadata=metadata)


def add(call: Call) -> Json:
    """Each new line is a new invoice item, or one that waited."""
    invoice = _draft(call)
    customer = db().get("customer", invoice["customer"])
    for row in _chosen(call.params):
        if row.text("invoice_item"):
            editing.add_item(invoice, _waiting(row, invoice))
        else:
            _add_one(row, invoice, customer)
    return _save(invoice, call.params)


def _waiting(row: Params, invoice: Json) -> Json:
    item = db().find("invoiceitem", row.text("invoice_item"))
    if item is None or item["customer"] != invoice["customer"] or item["invoice"] is not None:
        raise missing("invoiceitem", str(row.text("invoice_item")), row.name("invoice_item"), 400)
    if item["currency"] != invoice["currency"]:
        raise request_error("The item is in another currency.", param=row.name("invoice_item"))
    return item


def _add_one(row: Params, invoice: Json, customer: Json) -> None:
    given = {**item_params.cost(row, invoice["currency"], None), **item_params.rest(row)}
    if given.get("description") is None and given.get("price"):
        given["description"] = db().get("product", given["price"]["product"])["name"]
    given["id"] = invoiceitems.new_id()
    found = discount_params.read(row, Purchase(customer, invoice["currency"], given["amount"]))
    given["discounts"] = invoiceitems.redeemed(found or [], customer["id"], given["id"])
    editing.new_item(customer, invoice, given)


def update(call: Call) -> Json:
    invoice = _draft(call)
    for row in _chosen(call.params):
        _update_one(row, row.need("id"), invoice)
    return _save(db().get("invoice", invoice["id"]), call.params)


def update_one(call: Call) -> Json:
    """One line; it answers with the line."""
    invoice = _draft(call)
    _update_one(call.params, call.ids[1], invoice)
    return _line(db().get("invoice", invoice["id"]), call.ids[1], "id")


def _line(invoice: Json, id_: str, param: str) -> Json:
    for line in invoice["lines"]["data"]:
        if line["id"] == id_:
            found: Json = line
            return found
    raise missing("line item", id_, param, 400)


def _item(invoice: Json, id_: str, param: str) -> Json:
    item = db().find("invoiceitem", editing.item_of(_line(invoice, id_, param)))
    if item is None:
        raise not_built("changes to the lines of a subscription's period", param)
    return item


def _update_one(row: Params, id_: str, invoice: Json) -> None:
    item = _item(invoice, id_, row.name("id"))
    editing.change_item(item, invoiceitems.changed(item, row))


def remove(call: Call) -> Json:
    invoice = _draft(call)
    for row in _chosen(call.params):
        item = _item(invoice, row.need("id"), row.name("id"))
        behavior = row.choice("behavior", "delete", "unassign")
        if behavior is None:
            raise required(row.name("behavior"))
        editing.drop_item(invoice, item["id"])
        if behavior == "unassign":
            db().put(item | {"invoice": None})
        else:
            db().delete(item["id"])
            emit("invoiceitem.deleted", item)
    return _save(invoice, call.params)


OPERATIONS = (
    Operation("GET", "/v1/invoices/<id>/lines", lines, LISTED),
    Operation("POST", "/v1/invoices/<id>/lines/<id>", update_one, FIELDS),
    Operation(
        "POST", "/v1/invoices/<id>/add_lines", add, f"{_rows(FIELDS)} lines.#.invoice_item invoice_metadata.*"
    ),
    Operation(
        "POST", "/v1/invoices/<id>/update_lines", update, f"{_rows(FIELDS)} lines.#.id invoice_metadata.*"
    ),
    Operation(
        "POST", "/v1/invoices/<id>/remove_lines", remove, "lines.#.behavior lines.#.id invoice_metadata.*"
    ),
)

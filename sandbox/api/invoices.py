"""/v1/invoices: made, changed, listed. What is done with them is in invoice_actions, their lines in invoice_lines."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids
from sandbox.api import discount_params, listing, prices
from sandbox.api.customers import living
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import closing, discounts, editing, invoicing, reckoning
from sandbox.engine.discounts import Purchase
from sandbox.errors import missing, request_error, required
from sandbox.events import emit
from sandbox.house import DAY, db

Json = dict[str, Any]

SUBSCRIPTION = "parent.subscription_details.subscription"
COMMON = (
    "auto_advance automatically_finalizes_at collection_method custom_fields custom_fields.#.name"
    " custom_fields.#.value days_until_due default_payment_method description discounts due_date effective_at"
    f" footer metadata metadata.* number statement_descriptor {discount_params.ROWS}"
)
# what an invoice that is final can still be told
LATER = {"auto_advance", "default_payment_method", "metadata", "expand"}


def create(call: Call) -> Json:
    params = call.params
    customer = _customer(params)
    sub = _subscription(params, customer)
    now = clock.now(customer["id"])
    waits = params.choice("pending_invoice_items_behavior", "include", "exclude") == "include"
    given = _fields(params, now, customer) | {
        "id": ids.dated("in"),
        "auto_advance": False,
        "billing_reason": "manual",
        "currency": _currency(params, sub or customer),
        "metadata": params.metadata(),
        "pending": ("own" if sub else "all") if waits else "none",
        "period": (now, now),
    }
    given["discounts"] = _discounts(params, customer, sub, given)
    invoice = invoicing.draft(customer, sub, [], given)
    invoice.update(_advance(params, invoice) or {})
    db().put(invoice)
    emit("invoice.created", invoice)
    return invoice


def _discounts(params: Params, customer: Json, sub: Json | None, given: Json) -> list[Json] | None:
    """Discounts for this invoice alone; None where it inherits the subscription's or the customer's."""
    amount = invoicing.compose(customer, sub, [], given | {"discounts": []})["subtotal"]
    found = discount_params.read(params, Purchase(customer, given["currency"], amount))
    target = {"customer": customer["id"], "invoice": given["id"]}
    return None if found is None else discount_params.redeem(found, target)


def _customer(params: Params) -> Json:
    id_ = params.text("customer")
    if id_ is None:
        raise required("customer")
    return living(id_)


def _subscription(params: Params, customer: Json) -> Json | None:
    id_ = params.text("subscription")
    sub = db().find("subscription", id_)
    if id_ and (sub is None or sub["customer"] != customer["id"]):
        raise missing("subscription", id_, "subscription", 400)
    return sub


def _currency(params: Params, owner: Json) -> str:
    if params.has("currency"):
        return prices.currency_of(params)
    currency: str = owner["currency"] or "usd"
    return currency


def _fields(params: Params, created: int, customer: Json) -> Json:
    """The plain fields that were sent."""
    fields = params.words("description", "footer", "number", "statement_descriptor")
    if params.has("collection_method"):
        fields["collection_method"] = params.choice(
            "collection_method", "charge_automatically", "send_invoice"
        )
    if params.has("custom_fields"):
        fields["custom_fields"] = _custom_fields(params)
    if params.has("default_payment_method"):
        fields["default_payment_method"] = _own_method(params, customer)
    if params.has("effective_at"):
        fields["effective_at"] = params.integer("effective_at", least=0)
    return fields | _due(params, created)


def _custom_fields(params: Params) -> list[Json] | None:
    rows = params.rows("custom_fields")
    if len(rows) > 4:
        raise request_error("An invoice may have up to 4 custom fields.", param="custom_fields")
    return [{"name": row.need("name"), "value": row.need("value")} for row in rows] or None


def _own_method(params: Params, customer: Json) -> str | None:
    id_ = params.text("default_payment_method")
    method = db().find("payment_method", id_)
    if id_ and (method is None or method["customer"] != customer["id"]):
        raise missing("PaymentMethod", id_, "default_payment_method", 400)
    return id_


def _due(params: Params, created: int) -> Json:
    days, at = params.integer("days_until_due", least=0), params.integer("due_date", least=0)
    if days is None and at is None:
        return {}
    if days is not None and at is not None:
        raise request_error(
            "You may only specify one of these parameters: days_until_due, due_date.", "parameters_exclusive"
        )
    return {"due_date": at if days is None else created + days * DAY}


def _check_due(invoice: Json) -> None:
    """A due date goes with an invoice that is sent, and only with one."""
    if invoice["collection_method"] == "send_invoice" and invoice["due_date"] is None:
        raise required("days_until_due")
    if invoice["collection_method"] != "send_invoice" and invoice["due_date"] is not None:
        raise request_error(
            "You can only set a due date on invoices with collection_method `send_invoice`.", param="due_date"
        )


def _advance(params: Params, invoice: Json) -> Json | None:
    """When the draft is finalised by itself, if anything was said of that."""
    _check_due(invoice)
    at = params.integer("automatically_finalizes_at", least=0)
    wanted = params.flag("auto_advance")
    if at is None and wanted is None:
        return None
    if at is not None and at <= clock.now(invoice["customer"]):
        raise request_error(
            "automatically_finalizes_at must be in the future.", param="automatically_finalizes_at"
        )
    return editing.schedule(invoice, invoice["auto_advance"] if wanted is None else wanted, at)


def update(call: Call) -> Json:
    """A draft is free to change; of a final invoice little can be (invoice_not_editable)."""
    invoice, params = retrieve(call), call.params
    if invoice["status"] != "draft":
        return _update_final(invoice, params)
    customer = db().get("customer", invoice["customer"])
    invoice.update(_fields(params, invoice["created"], customer))
    if params.has("metadata"):
        invoice["metadata"] = params.metadata(invoice["metadata"])
    found = discount_params.read(params, Purchase(customer, invoice["currency"], invoice["subtotal"]))
    if found is not None:
        _replace_discounts(invoice, found)
    invoice.update(_advance(params, invoice) or {})
    return editing.save(invoice)


def _replace_discounts(invoice: Json, found: list[Any]) -> None:
    discounts.restore(invoice)
    target = {"customer": invoice["customer"], "invoice": invoice["id"]}
    invoice["discounts"] = [each["id"] for each in discount_params.redeem(found, target)]
    reckoning.reckon(invoice)


def _update_final(invoice: Json, params: Params) -> Json:
    refused = sorted(set(params.tree) - LATER)
    if refused:
        raise request_error(
            f"Finalized invoices can't be updated in this way: {refused[0]}.",
            "invoice_not_editable",
            refused[0],
        )
    customer = db().get("customer", invoice["customer"])
    fields = _fields(params, invoice["created"], customer)
    if params.has("metadata"):
        fields["metadata"] = params.metadata(invoice["metadata"])
    wanted = params.flag("auto_advance")
    if wanted is not None and invoice["status"] == "open" and wanted != invoice["auto_advance"]:
        invoice.update(fields)
        return closing.collect_later(invoice, wanted)
    return editing.save(invoice, **fields)


def retrieve(call: Call) -> Json:
    return call.subject("invoice")


def delete(call: Call) -> Json:
    invoice = retrieve(call)
    editing.delete(invoice)
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


def list_(call: Call) -> Json:
    params = call.params
    where = {
        "customer": params.text("customer"),
        "status": params.choice("status", "draft", "open", "paid", "uncollectible", "void"),
        "collection_method": params.text("collection_method"),
        SUBSCRIPTION: params.text("subscription"),
    }
    due = listing.bounds(call.params, "due_date")
    sql = " AND ".join(f"json_extract(body, '$.due_date') {operator} ?" for operator, _ in due)
    return listing.page(call, "invoice", "/v1/invoices", where, (sql, [moment for _, moment in due]))


OPERATIONS = (
    Operation(
        "POST", "/v1/invoices", create,
        f"{COMMON} currency customer pending_invoice_items_behavior subscription",
    ),
    Operation(
        "GET", "/v1/invoices", list_,
        f"{LISTED} {CREATED} {CREATED.replace('created', 'due_date')} collection_method customer status subscription",
    ),
    Operation("GET", "/v1/invoices/<id>", retrieve),
    Operation("POST", "/v1/invoices/<id>", update, COMMON),
    Operation("DELETE", "/v1/invoices/<id>", delete),
)  # fmt: skip

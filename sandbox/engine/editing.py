"""Changes to a draft: its lines, each made of an invoice item, and what it would collect."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.engine import discounts, invoicing, items, reckoning
from sandbox.errors import request_error
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import invoice as shapes

Json = dict[str, Any]


def require_draft(invoice: Json) -> Json:
    """The draft itself; 400 once it is final."""
    if invoice["status"] != "draft":
        raise request_error(
            "This invoice is no longer editable: it has been finalized.", "invoice_not_editable"
        )
    return invoice


def add_item(invoice: Json, item: Json) -> None:
    """Put a stored invoice item on a draft, behind the lines that are there (in place, unsaved)."""
    db().put(item | {"invoice": invoice["id"]})
    line = shapes.item_line(item) | {"invoice": invoice["id"]}
    _relist(invoice, [*invoice["lines"]["data"], line])


def change_item(item: Json, fields: Json) -> Json:
    """Change an invoice item, and the line of the draft that it is on."""
    db().put(item | fields)
    item.update(fields)
    invoice = db().find("invoice", item["invoice"])
    if invoice is None:
        return item
    require_draft(invoice)
    lines = [
        shapes.item_line(item) | {key: line[key] for key in ("id", "invoice")}
        if item_of(line) == item["id"]
        else line
        for line in invoice["lines"]["data"]
    ]
    save(invoice, lambda obj: _relist(obj, lines))
    return item


def remove_item(item: Json) -> None:
    """Delete an invoice item that waits or is on a draft."""
    invoice = db().find("invoice", item["invoice"])
    if invoice is not None:
        require_draft(invoice)
        save(invoice, lambda obj: drop_item(obj, item["id"]))
    db().delete(item["id"])
    emit("invoiceitem.deleted", item)


def drop_item(invoice: Json, item_id: str) -> None:
    """Take the line of an item off a draft (in place, unsaved)."""
    _relist(invoice, [line for line in invoice["lines"]["data"] if item_of(line) != item_id])


def item_of(line: Json) -> str | None:
    """The id of the invoice item behind a line; None for the period of a subscription."""
    parent = line["parent"]
    details = parent["invoice_item_details"] or parent["subscription_item_details"]
    id_: str | None = details["invoice_item"]
    return id_


def _relist(invoice: Json, lines: list[Json]) -> None:
    invoice["lines"] = invoice["lines"] | {"data": lines, "total_count": len(lines)}
    reckoning.reckon(invoice)


def save(invoice: Json, edit: Any = None, **fields: Any) -> Json:
    """Write a changed draft: invoice.updated with what changed."""
    return change(invoice, "invoice.updated", edit, **fields)


def schedule(invoice: Json, auto_advance: bool, at: int | None = None) -> Json:
    """The fields of a draft that Stripe will, or will not, finalise by itself: an hour after it was made, or `at`."""
    moment = (
        at
        if at is not None
        else max(invoice["created"] + invoicing.DRAFT_SECONDS, clock.now(invoice["customer"]))
    )
    if not auto_advance:
        moment = at
    charges = invoice["collection_method"] == "charge_automatically"
    return {
        "auto_advance": auto_advance,
        "automatically_finalizes_at": moment,
        "next_payment_attempt": moment if charges and auto_advance else None,
    }


def delete(invoice: Json) -> None:
    """Delete a draft of no subscription; its items wait for another invoice again."""
    if invoice["status"] != "draft" or invoice["parent"] is not None:
        raise request_error(
            "You can only delete draft invoices that are not for a subscription; void this one instead.",
            "invoice_not_editable",
        )
    for item in db().all("invoiceitem", invoice=invoice["id"]):
        db().put(item | {"invoice": None})
    discounts.restore(invoice)
    db().delete(invoice["id"])
    emit("invoice.deleted", invoice)


def new_item(customer: Json, invoice: Json, given: Json) -> Json:
    """A new invoice item on a draft (the draft in place, unsaved)."""
    item = items.add(customer, given | {"invoice": invoice["id"], "currency": invoice["currency"]})
    add_item(invoice, item)
    return item

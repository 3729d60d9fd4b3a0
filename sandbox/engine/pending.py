"""Pending updates: changes of a subscription that wait for their invoice to be paid (facts 3.14)."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.agenda import period_end
from sandbox.engine import invoicing, subscriptions
from sandbox.events import change, emit
from sandbox.house import db
from sandbox.objects import subscription as shapes

Json = dict[str, Any]

LIFE = 23 * 3600  # how long it waits, and never beyond the period: its items are of that one


def hold(sub: Json, after: Json, invoice_id: str) -> None:
    """Let the fields `after` wait for that invoice."""
    expires = min(clock.now(sub["customer"]) + LIFE, period_end(sub))
    update = shapes.pending_update(expires, (sub | after)["items"]["data"], after)
    sub["_pending"] = {"invoice": invoice_id, "fields": after}
    change(sub, subscriptions.UPDATED, pending_update=update, latest_invoice=invoice_id)


def waits_for(sub: Json, invoice_id: str) -> bool:
    """Whether a pending update hangs on that invoice, whose failure then changes nothing else."""
    pending: Json | None = sub.get("_pending")
    return bool(pending and pending["invoice"] == invoice_id)


def apply(sub: Json) -> None:
    """The invoice of a pending update is paid: the change is made."""
    fields = sub["_pending"]["fields"] | {"pending_update": None, "_pending": None}
    change(sub, subscriptions.UPDATED, **fields)
    emit("customer.subscription.pending_update_applied", sub)


def expire(subscription_id: str) -> None:
    """A pending update was not paid in time: it is dropped, and its invoice with it."""
    sub = db().get("subscription", subscription_id)
    invoice = db().find("invoice", sub["_pending"]["invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoicing.void(invoice)  # and with it the update that waits for it
    else:
        drop(sub)


def drop(sub: Json) -> None:
    """A pending update is given up: in time, or because somebody voided its invoice."""
    change(sub, None, pending_update=None, _pending=None)
    emit("customer.subscription.pending_update_expired", sub)

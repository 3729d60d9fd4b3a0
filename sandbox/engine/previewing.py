"""What the next invoice of a subscription would be: composed as the real one will be, and never stored."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids
from sandbox.agenda import period_end
from sandbox.engine import billing, changing, invoicing, items, subscriptions
from sandbox.errors import request_error
from sandbox.house import db
from sandbox.store import public

Json = dict[str, Any]


def upcoming(sub: Json, prorations: list[Json], more: Json) -> Json:
    """The invoice of the next period; `prorations` as items.add takes them, `more` as invoicing.compose does."""
    customer = db().get("customer", sub["customer"])
    coming = dict(sub)
    old_start = sub["items"]["data"][0]["current_period_start"]
    at = period_end(sub)
    if _ends(sub, at):
        lines, period = [], (old_start, at)
    else:
        if coming["status"] == "trialing":
            coming["status"] = "active"
        subscriptions.roll(coming)
        lines, period = billing.lines(coming), (old_start, at)
    waiting = [items.unsaved(customer, each) for each in prorations]
    given = billing.terms(coming, "upcoming", period) | more
    given["items"] = [*waiting, *more.get("items", [])]
    return shown(invoicing.compose(customer, coming, lines, given))


def _ends(sub: Json, at: int) -> bool:
    return sub["cancel_at"] is not None and bool(sub["cancel_at"] <= at)


def of_change(sub: Json, wanted: changing.Wanted, more: Json) -> Json:
    """The invoice that a change would be on: the one made at once, or else the next period's."""
    planned = changing.plan(sub, wanted)
    customer = db().get("customer", sub["customer"])
    if planned.bills:
        return shown(changing.preview(sub, customer, planned, wanted.extras, more))
    going = sub | planned.after
    left = planned.prorations or more.get("items") or items.pending(sub["customer"], sub["id"])
    if not left and _ends(going, period_end(going)):
        raise request_error(
            "No upcoming invoices for customer: the subscription ends with its period.",
            "invoice_upcoming_none",
        )
    return upcoming(going, planned.prorations, more)


def of_end(sub: Json, more: Json) -> Json:
    """The last invoice of a subscription that were cancelled now with prorate and invoice_now."""
    customer = db().get("customer", sub["customer"])
    now = clock.now(sub["customer"])
    waiting = [items.unsaved(customer, each) for each in changing.unused(sub, now)]
    given = billing.terms(sub, "upcoming", (now, now), pending="own") | more
    given["items"] = [*waiting, *more["items"]]
    return shown(invoicing.compose(customer, sub, [], given))


def of_items(customer: Json, more: Json) -> Json:
    """An invoice of what waits for a customer, without a subscription."""
    now = clock.now(customer["id"])
    given = {"billing_reason": "upcoming", "period": (now, now), "currency": customer["currency"], **more}
    if given["currency"] is None and more["items"]:
        given["currency"] = more["items"][0]["currency"]
    invoice = invoicing.compose(customer, None, [], given) if given["currency"] else None
    if invoice is None or not invoice["lines"]["data"]:
        raise request_error(f"No upcoming invoices for customer: {customer['id']}", "invoice_upcoming_none")
    return shown(invoice)


def shown(invoice: Json) -> Json:
    """A preview, with ids that name nothing."""
    preview = public(invoice) | {"id": f"upcoming_{ids.dated('in')}", "billing_reason": "upcoming"}
    preview["lines"]["url"] = f"/v1/invoices/{preview['id']}/lines"
    for line in preview["lines"]["data"]:
        line.update(id=line["id"].replace("il_", "il_tmp_"), invoice=preview["id"])
    return preview

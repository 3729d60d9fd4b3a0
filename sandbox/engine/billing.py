"""A subscription's own invoices: their lines, their draft, and collecting them at once or in an hour."""

from __future__ import annotations

from typing import Any, Literal

from sandbox import cards, clock, ids
from sandbox.engine import invoicing, items, methods, pausing, payments, proration, totals
from sandbox.errors import ApiError, card_error, doc_url, request_error
from sandbox.events import emit
from sandbox.house import db

Json = dict[str, Any]

DAY = 86400
EXPIRED = cards.Decline("expired_card", None, "Your card has expired.")


def lines(sub: Json) -> list[Json]:
    """One line per item for its current period: free in a trial, in proportion where the period is not whole."""
    free = sub["status"] == "trialing"
    found = invoicing.period_lines(sub, free)
    if not free:
        for line, item in zip(found, sub["items"]["data"], strict=True):
            _cut(sub, item, line)
    return found


def _cut(sub: Json, item: Json, line: Json) -> None:
    share = proration.share(sub, item, item["current_period_start"])
    if share == 1:
        return
    line["amount"] = line["subtotal"] = totals.rounded(line["amount"] * share)
    line["parent"]["subscription_item_details"]["proration"] = True
    line["pricing"]["unit_amount_decimal"] = None
    product = db().find("product", item["price"]["product"]) or {"name": "Product"}
    count = f"{item['quantity']} × " if item["quantity"] != 1 else ""
    start, end = proration.day(line["period"]["start"]), proration.day(line["period"]["end"])
    line["description"] = f"Time on {count}{product['name']} from {start} until {end}"


def add_prorations(customer: Json, prorations: list[Json]) -> list[Json]:
    """Store what `proration` gave as invoice items that wait for the next invoice."""
    made = []
    for given in prorations:
        item = items.add(customer, given)
        made.append(db().put(item | {"_full": given.get("full"), "_price": given["price"]["id"]}))
    return made


def terms(sub: Json, reason: str, period: tuple[int, int], **more: Any) -> Json:
    """What `invoicing.compose` is given for an invoice of this subscription."""
    given = {
        "billing_reason": reason,
        "period": period,
        "collection_method": sub["collection_method"],
        **more,
    }
    if sub["collection_method"] == "send_invoice":
        given["due_date"] = clock.now(sub["customer"]) + sub["days_until_due"] * DAY
    return given


def new_id() -> str:
    """The id of an invoice that its subscription names before it is made."""
    return ids.dated("in")


def plan(invoice: Json) -> None:
    """Let a draft wait its hour (in place, unsaved)."""
    due = invoice["created"] + invoicing.DRAFT_SECONDS
    invoice["automatically_finalizes_at"] = due
    if invoice["collection_method"] == "charge_automatically":
        invoice["next_payment_attempt"] = due


def announce(sub: Json, invoice: Json) -> None:
    """Tell of a draft, which waits its hour unless collection is paused or nothing is collected any more."""
    held = pausing.holds(sub, invoice)
    if sub["status"] == "unpaid":
        invoice["auto_advance"] = False
    elif not held:
        plan(invoice)
    db().put(invoice)
    emit("invoice.created", invoice)
    if held:
        pausing.hold(sub, invoice)


def bill(sub: Json, invoice: Json, behavior: str) -> Json | None:
    """Tell of a draft, finalise and collect it now; why it is not paid, or None.

    What is sent to be paid waits in draft for an hour; `default_incomplete` leaves it open to be paid by a person.
    """
    held = pausing.holds(sub, invoice)
    if not held and invoice["collection_method"] == "send_invoice":
        plan(invoice)
        db().put(invoice)
    emit("invoice.created", invoice)
    if held:
        pausing.hold(sub, invoice)
        return None
    if invoice["collection_method"] == "send_invoice":
        return None
    invoicing.finalize(invoice)
    if invoice["amount_remaining"] and behavior == "default_incomplete":
        return None
    method = invoicing.default_method(invoice)
    return invoicing.collect(invoice, method, automatic=False, updated=False)


def obstacle(sub: Json, customer: Json) -> Literal["no_method", "declined", "action"] | None:
    """Why the card that would be charged now would not pay, or None."""
    method = methods.of(sub, customer)
    if method is None:
        return "no_method"
    if payments.will_be_paid(method, off_session=True, authenticated=False):
        return None
    return "action" if payments.challenged(method, off_session=True) else "declined"


def refusal(sub: Json, customer: Json, why: str) -> ApiError:
    """The answer to a request that must not go on without being paid. Nothing is left behind."""
    method = methods.of(sub, customer)
    if method is None or why == "no_method":
        return no_source()
    if why == "action":
        code = "subscription_payment_intent_requires_action"
        message = "Payment for this subscription requires additional user action before it can be completed."
        return card_error({"code": code, "doc_url": doc_url(code), "message": message})
    decline = cards.known(method["_number"]).decline or EXPIRED
    return card_error(methods.refusal(decline, None, method))


def no_source() -> ApiError:
    """It counts as executed: real answers to it carry Stripe-Should-Retry (facts 1.0)."""
    return request_error(
        "This customer has no attached payment source or default payment method. Please consider adding a default"
        " payment method.",
        "resource_missing",
        executed=True,
    )

"""Invoices: drafted, finalised, collected, paid, failed, voided."""

from __future__ import annotations

from typing import Any

from sandbox import clock, ids, money
from sandbox.engine import (
    amounts,
    balance,
    customers,
    discounts,
    dunning,
    items,
    methods,
    payments,
    reckoning,
    states,
)
from sandbox.errors import request_error
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import invoice as shapes

Json = dict[str, Any]

DRAFT_SECONDS = 3600


def compose(customer: Json, sub: Json | None, lines: list[Json], given: Json) -> Json:
    """An unsaved draft: the lines and the items that wait for it, less discounts, with the customer's balance.

    `given`: billing_reason, period (start, end), and as far as there are any:
    currency (the subscription's, else the customer's), pending ("all" that waits for the subscription and for
    none, "own" for only its own, "none"), items (unsaved ones, for previews), discounts (objects; by default those
    of the subscription, else of the customer), and the fields that objects.invoice.invoice names.
    """
    settings = house().settings()
    currency = given.get("currency") or (sub or customer)["currency"]
    waiting = [item for item in _waiting(customer, sub, given) if item["currency"] == currency]
    rules = given["discounts"] if given.get("discounts") is not None else discounts.of(sub, customer)
    fields = given | {
        "currency": currency,
        "account": {"name": settings["business_name"], "country": settings["country"]},
        "discounts": [each["id"] for each in rules],
        "starting_balance": balance.of(customer, currency),
    }
    lines = [*(shapes.item_line(item) for item in waiting), *lines]
    invoice = shapes.invoice(clock.now(customer["id"]), customer, sub, lines, fields)
    reckoning.reckon(invoice, rules)
    return invoice


def _waiting(customer: Json, sub: Json | None, given: Json) -> list[Json]:
    which = given.get("pending", "all")
    found = (
        [] if which == "none" else items.pending(customer["id"], sub["id"] if sub else None, which == "own")
    )
    return items.newest_first([*found, *given.get("items", [])])


def draft(customer: Json, sub: Json | None, lines: list[Json], given: Json) -> Json:
    """`compose`, kept: the items are the invoice's from now on, and discounts for one invoice are spent.

    No event: the caller says when it is complete.
    """
    invoice = compose(customer, sub, lines, given)
    customers.bill_in(customer, invoice["currency"])
    db().put(invoice)
    for line in invoice["lines"]["data"]:
        _take(line, invoice["id"])
    taken = [each["discount"] for each in invoice["total_discount_amounts"] if each["amount"]]
    discounts.spend([db().get("discount", id_) for id_ in taken], invoice["id"])
    return invoice


def _take(line: Json, invoice_id: str) -> None:
    details = line["parent"]["invoice_item_details"] or line["parent"]["subscription_item_details"]
    item = db().find("invoiceitem", details["invoice_item"])
    if item is not None:
        db().put(item | {"invoice": invoice_id})


def period_lines(sub: Json, free: bool = False) -> list[Json]:
    """One line per item for its current period, in the subscription's currency; at no charge during a trial."""
    lines, now = [], clock.now(sub["customer"])
    for item in sub["items"]["data"]:
        unit = amounts.unit_amount(item["price"], sub["currency"]) or 0
        priced = item | {"price": item["price"] | {"unit_amount": unit, "currency": sub["currency"]}}
        period = (item["current_period_start"], item["current_period_end"])
        amount = 0 if free else unit * item["quantity"]
        line = shapes.line(sub, priced, _describe(priced, free), amount, period)
        line["discounts"] = [each["id"] for each in discounts.alive(item["discounts"], now)]
        lines.append(line)
    return lines


def _describe(item: Json, free: bool) -> str:
    price = item["price"]
    product = db().find("product", price["product"]) or {"name": "Product", "unit_label": None}
    label = f" {product['unit_label']}" if product["unit_label"] else ""
    line = f"{item['quantity']}{label} × {product['name']}"
    if free:
        return f"Free trial for {line}"
    every, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    interval = every if count == 1 else f"every {count} {every}s"
    return f"{line} (at {money.words(price['unit_amount'], price['currency'])} / {interval})"


def finalize(invoice: Json, intent: Json | None = None) -> Json:
    """Number it and open it; where something is due, with a PaymentIntent (`intent`, or a new one).

    The customer's balance is applied now, except where `intent` has already paid the whole total.
    """
    now = clock.now(invoice["customer"])
    if intent is None:
        reckoning.apply_balance(invoice)
    else:
        invoice.update(amount_due=invoice["total"], amount_remaining=invoice["total"])
        invoice["ending_balance"] = invoice["starting_balance"]
    sub = subscription_of(invoice)
    if sub is not None:  # from here on the invoice keeps the metadata that its subscription has now
        invoice["parent"]["subscription_details"]["metadata"] = sub["metadata"]
    token = f"test_{ids.random_text(60)}"
    address = f"{house().base_url}/i/{token}"
    db().set_token(token, {"kind": "invoice", "id": invoice["id"]})
    invoice.update(
        status="open",
        number=invoice["number"] or _number(invoice["customer"]),
        effective_at=invoice["effective_at"] or now,
        automatically_finalizes_at=None,
        next_payment_attempt=None,
        hosted_invoice_url=address,
        invoice_pdf=f"{address}/pdf",
        webhooks_delivered_at=invoice["created"],
        status_transitions=invoice["status_transitions"] | {"finalized_at": now},
        _token=token,
    )
    db().put(invoice)
    emit("invoice.finalized", invoice)
    discounts.settle(invoice)
    if invoice["amount_remaining"] > 0:
        _bind(invoice, intent or _open_intent(invoice), now)
    return invoice


def _open_intent(invoice: Json) -> Json:
    given: Json = {"description": "Payment for Invoice"}
    if invoice["parent"] is not None:
        creation = invoice["billing_reason"] == "subscription_create"
        given = {
            "description": "Subscription creation" if creation else "Subscription update",
            "setup_future_usage": "off_session",
        }
    return payments.open_intent(invoice["amount_remaining"], invoice["currency"], invoice["customer"], given)


def _bind(invoice: Json, intent: Json, now: int) -> None:
    db().put(shapes.invoice_payment(now, invoice, intent["id"]))
    payments.belong(intent, "invoice", invoice["id"])
    invoice["_payment_intent"] = intent["id"]
    db().put(invoice)


def _number(customer_id: str) -> str:
    customer = db().get("customer", customer_id)
    sequence = customer["next_invoice_sequence"]
    db().put(customer | {"next_invoice_sequence": sequence + 1})
    return f"{customer['invoice_prefix']}-{sequence:04d}"


def collect(
    invoice: Json,
    method: Json | None,
    automatic: bool,
    url: str = "",
    authenticated: bool = False,
    on_session: bool = False,
    updated: bool = True,
) -> Json | None:
    """Try to be paid: None when paid or a bank debit is under way, else the error.

    `url` is the challenge page when a person is there; `on_session` says so where there is no such page.
    `updated` as in `mark_paid`.
    """
    if invoice["amount_remaining"] == 0:
        mark_paid(invoice, updated)
        return None
    off_session = automatic or not (url or on_session)
    intent = db().get("payment_intent", invoice["_payment_intent"])
    if method is None:
        error = _no_method()
        dunning.failed(invoice, error, automatic)
        return error
    if intent["status"] == "processing":
        return None  # a bank debit is under way: `settled` hears of its end
    attempt = payments.confirm(intent, method, off_session and not authenticated, authenticated, url)
    if attempt.result == "paid":
        count_attempt(invoice, automatic)
        mark_paid(invoice, updated)
        return None
    if attempt.result == "action":
        return dunning.action_required(invoice, automatic)
    if attempt.result == "processing":
        change(invoice, "invoice.updated", attempted=True, next_payment_attempt=None, _automatic=automatic)
        return None
    error = attempt.error or {}
    dunning.failed(invoice, error, automatic)
    return error


def settled(invoice_id: str, intent: Json) -> None:
    """The intent ended apart from `collect`: a debit settled, or the API confirmed it."""
    invoice = db().get("invoice", invoice_id)
    if invoice["status"] not in ("open", "uncollectible"):
        return
    automatic = bool(invoice.pop("_automatic", False))
    if intent["status"] == "succeeded":
        count_attempt(invoice, automatic)
        mark_paid(invoice)
    else:
        dunning.failed(invoice, intent["last_payment_error"], automatic)


states.ON_SETTLED["invoice"] = settled


def count_attempt(invoice: Json, automatic: bool) -> None:
    """The first attempt of any kind counts, later ones only when Stripe makes them. In place, unsaved."""
    if automatic or not invoice["attempted"]:
        invoice["attempt_count"] += 1
    invoice["attempted"] = True


def mark_paid(invoice: Json, updated: bool = True) -> None:
    """Paid in full: the invoice's events, the customer's and the subscription's recovery.

    `updated` is False for an invoice born paid, of which Stripe sends no invoice.updated.
    """
    now = clock.now(invoice["customer"])
    change(
        invoice,
        "invoice.updated" if updated else None,
        status="paid",
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        auto_advance=False,
        next_payment_attempt=None,
        status_transitions=invoice["status_transitions"] | {"paid_at": now},
        _hard_declined=None,
    )
    emit("invoice.paid", invoice)
    emit("invoice.payment_succeeded", invoice)
    _settle_payments(invoice, now)
    dunning.recovered(invoice)


def _settle_payments(invoice: Json, now: int) -> None:
    for payment in db().all("invoice_payment", invoice=invoice["id"]):
        if payment["status"] == "open":
            payment.update(status="paid", amount_paid=payment["amount_requested"])
            payment["status_transitions"]["paid_at"] = now
            db().put(payment)
            emit("invoice_payment.paid", payment, late=house().settings()["late_seconds"])


def void(invoice: Json) -> Json:
    """Give up an open invoice for good."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise request_error(
            f"You can only void an open invoice; this one is {invoice['status']}.",
            "status_transition_invalid",
        )
    _stop(invoice, "void", "voided_at", "invoice.voided", "void_invoice")
    reckoning.give_back(invoice)
    dunning.recovered(invoice)
    return invoice


def mark_uncollectible(invoice: Json, reason: str = "user_forgiven") -> Json:
    if invoice["status"] != "open":
        raise request_error(
            f"This invoice is {invoice['status']} and can't become uncollectible.",
            "status_transition_invalid",
        )
    invoice["status_details"] = {"uncollectible": {"reason": reason}}
    _stop(invoice, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible", None)
    if reason == "user_forgiven":  # an end of the retries leaves the customer delinquent (facts 1.1)
        change(db().get("customer", invoice["customer"]), "customer.updated", delinquent=False)
    return invoice


def _stop(invoice: Json, status: str, moment: str, event: str, intent_reason: str | None) -> None:
    now = clock.now(invoice["customer"])
    intent = db().find("payment_intent", invoice["_payment_intent"])
    if intent is not None and intent_reason:
        payments.cancel(intent, intent_reason)
        cancel_payments(invoice)
    change(
        invoice,
        "invoice.updated",
        status=status,
        auto_advance=False,
        next_payment_attempt=None,
        status_transitions=invoice["status_transitions"] | {moment: now},
    )
    emit(event, invoice)


def cancel_payments(invoice: Json) -> None:
    """What was to pay this invoice will not."""
    for payment in db().all("invoice_payment", invoice=invoice["id"]):
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = clock.now(invoice["customer"])
        db().put(payment)


def subscription_of(invoice: Json) -> Json | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return db().find("subscription", details.get("subscription"))


def default_method(invoice: Json) -> Json | None:
    """The card that Stripe would charge for this invoice: its own, the subscription's or the customer's."""
    customer = db().get("customer", invoice["customer"])
    own = db().find("payment_method", invoice["default_payment_method"])
    if own is not None and own["customer"] == customer["id"]:
        return own
    return methods.of(subscription_of(invoice), customer)


def _no_method() -> Json:
    message = "This customer has no attached payment source or default payment method."
    return {"code": "resource_missing", "message": message, "type": "invalid_request_error"}

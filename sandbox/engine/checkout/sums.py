"""What a Checkout Session asks for: its lines, its discount, its total."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from sandbox import periods
from sandbox.engine import discounts, totals
from sandbox.house import db
from sandbox.outcomes import NotFound

Json = dict[str, Any]

DAY = 86400
DEBITS = {"sepa_debit": "eur", "us_bank_account": "usd"}


def find(session_id: str) -> Json:
    session = db().find("checkout.session", session_id)
    if session is None:
        raise NotFound(session_id)
    return session


def payable_by(currency: str | None) -> list[str]:
    """What one can pay with in a currency, cards first; all there is where no currency is set."""
    return ["card", *(kind for kind, only in DEBITS.items() if currency in (None, only))]


def needs_method(session: Json) -> bool:
    """Whether the person must bring a card or a bank account."""
    return bool(session["amount_total"]) or session["payment_method_collection"] == "always"


def trial_end(session: Json, now: int) -> int | None:
    """When the trial of this session would end if it were completed now."""
    data = session["_given"]["subscription_data"]
    if data["trial_end"]:
        return int(data["trial_end"])
    days = data["trial_period_days"]
    return now + int(days) * DAY if days else None


def recurring(session: Json) -> list[Json]:
    return [item for item in session["_line_items"] if item["price"]["recurring"]]


def offer(session: Json) -> discounts.Offer | None:
    """The coupon or promotion code that the session carries."""
    for each in session["discounts"] or []:
        return discounts.offer(each["coupon"], each["promotion_code"], "discounts[0]")
    return None


def reckon(session: Json) -> None:
    """Write what the lines, the discount and the whole session amount to today, in place.

    During a trial the recurring lines cost nothing. Until a later `billing_cycle_anchor` they cost their share of
    a period by the second, counted from when the session was made, so that the amount on the page stays what it is.
    """
    items = session["_line_items"]
    share = _first_share(session)
    lines = []
    for item in items:
        full = item["_unit_amount"] * item["quantity"]
        due = totals.rounded(full * share) if item["price"]["recurring"] else full
        lines.append(_as_line(item, due))
    offered = offer(session)
    rules = []
    if offered is not None:
        found = discounts.unsaved(offered, {"customer": session["customer"]})
        rules = [discounts.rule(found, session["currency"])]
    for item, line, taken in zip(items, lines, totals.amounts(lines, rules), strict=True):
        off = sum(taken.values())
        item.update(amount_subtotal=line["amount"], amount_discount=off, amount_total=line["amount"] - off)
    session["amount_subtotal"] = sum(item["amount_subtotal"] for item in items)
    session["amount_total"] = sum(item["amount_total"] for item in items)
    if session["total_details"] is not None:
        session["total_details"]["amount_discount"] = session["amount_subtotal"] - session["amount_total"]


def _as_line(item: Json, due: int) -> Json:
    details = {"product": item["price"]["product"]}
    return {"amount": due, "discountable": True, "pricing": {"price_details": details}}


def _first_share(session: Json) -> Fraction:
    """How much of a whole period is paid for today."""
    data = session["_given"]["subscription_data"]
    if trial_end(session, session["created"]):
        return Fraction(0)
    anchor = data["billing_cycle_anchor"]
    if anchor is None:
        return Fraction(1)
    if data["proration_behavior"] == "none":
        return Fraction(0)
    every = recurring(session)[0]["price"]["recurring"]
    start = periods.boundary(anchor, every, -1)
    return Fraction(anchor - session["created"], anchor - start)

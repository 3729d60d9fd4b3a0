"""An invoice as people read it, from what Stripe says of it when it is asked: lines, discount, tax, total, who paid.

What an invoice says never changes once it is finalised, so it is not mirrored. Its state is, and comes from our row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing import means, stripe_reads
from billing.clock import from_stripe
from billing.invoices import intent_of
from billing.models import Invoice
from billing.payloads import Object, ref


@dataclass(frozen=True)
class Line:
    """``amount`` in minor units, before tax that is not in the price; the days are those that it is for."""

    text: str
    amount: int
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Bill:
    """All sums in minor units of ``currency``. ``discount`` and ``from_credit`` are what was taken off; ``included``
    is the part of the tax that was in the prices already; ``to_credit`` was kept for later invoices."""

    number: str
    currency: str
    lines: tuple[Line, ...]
    subtotal: int
    discount: int
    tax: int
    included: int
    total: int
    from_credit: int
    to_credit: int
    credit_notes: int
    paid: int
    remaining: int
    buyer: tuple[str, ...]
    card: tuple[str | None, str | None]


def ask(stripe_id: str) -> Bill:
    """Ask Stripe for everything that the page of an invoice says. Raises StripeError."""
    found = stripe_reads.get_invoice(stripe_id)
    lines = found["lines"]
    every = stripe_reads.invoice_lines(stripe_id) if lines.get("has_more") else lines["data"]
    intent = ref(intent_of(found)) if found["status"] == "paid" and found["amount_paid"] else None
    paid_by = stripe_reads.get_payment_intent(intent) if intent else {}
    return read(found, every, paid_by)


def read(found: Object, lines: list[Object], intent: Object) -> Bill:
    """The same from Stripe's objects."""
    taxes = found.get("total_taxes") or []
    included = sum(one["amount"] for one in taxes if one.get("tax_behavior") == "inclusive")
    balance = (found.get("ending_balance") or 0) - (found.get("starting_balance") or 0)
    if found.get("ending_balance") is None:
        balance = 0
    notes = ("pre_payment_credit_notes_amount", "post_payment_credit_notes_amount")
    return Bill(
        number=found.get("number") or "",
        currency=found["currency"],
        lines=tuple(_line(one) for one in lines),
        subtotal=found["subtotal"],
        discount=sum(one["amount"] for one in found.get("total_discount_amounts") or []),
        tax=sum(one["amount"] for one in taxes) - included,
        included=included,
        total=found["total"],
        from_credit=max(0, balance),
        to_credit=max(0, -balance),
        credit_notes=sum(found.get(name) or 0 for name in notes),
        paid=found["amount_paid"],
        remaining=found["amount_remaining"],
        buyer=_buyer(found),
        card=_card(intent),
    )


def of_row(row: Invoice, email: str) -> Bill:
    """What our own row says, for as long as Stripe can't be asked."""
    line = Line(row.description, row.total, row.period_start, row.period_end)
    nothing = dict.fromkeys(("discount", "tax", "included", "from_credit", "to_credit", "credit_notes"), 0)
    return Bill(
        number=row.number or "",
        currency=row.currency,
        lines=(line,),
        subtotal=row.total,
        total=row.total,
        paid=row.amount_paid,
        remaining=row.amount_remaining,
        buyer=(email,),
        card=(None, None),
        **nothing,
    )


def _line(one: Object) -> Line:
    period = one.get("period") or {}
    start, end = from_stripe(period.get("start")), from_stripe(period.get("end"))
    return Line(one.get("description") or "", one["amount"], start, end if end != start else None)


def _buyer(found: Object) -> tuple[str, ...]:
    """Name, address and tax ids of who is billed, a line each; what Stripe doesn't know is left out."""
    address = found.get("customer_address") or {}
    town = " ".join(part for part in (address.get("postal_code"), address.get("city")) if part)
    ids = [one.get("value") for one in found.get("customer_tax_ids") or []]
    country = address.get("country")
    parts = (
        found.get("customer_name"),
        address.get("line1"),
        address.get("line2"),
        town,
        address.get("state"),
        country,
        found.get("customer_email"),
        *ids,
    )
    return tuple(part for part in parts if part)


def _card(intent: Object) -> tuple[str | None, str | None]:
    charge = intent.get("latest_charge")
    details = (charge.get("payment_method_details") if isinstance(charge, dict) else None) or {}
    return means.charged({"default_payment_method": details})

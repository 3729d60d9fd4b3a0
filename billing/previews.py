"""Stripe's previews of an invoice, read: its lines, what is taken off and added, and what a whole period comes to."""

from __future__ import annotations

from dataclasses import dataclass

from billing import stripe_reads
from billing.errors import StripeUnavailable
from billing.payloads import Object, ref


@dataclass(frozen=True)
class Part:
    """One line of what is paid today: ``amount`` in minor units, negative where it is taken off. The parts of a
    quote add up to what is due.

    ``kind``: credit, charge or other (Stripe's lines); discount, tax; balance, owed, repaid, kept, carried, rounding
    (what the customer's account adds or takes). ``until``: Unix seconds.
    """

    kind: str
    amount: int
    price: str | None = None
    quantity: int = 1
    until: int = 0
    words: str = ""


def ask(found: Object, details: Object, discounts: list[Object] | None = None) -> Object:
    """Stripe's preview (``POST /v1/invoices/create_preview``); ``discounts`` in place of those that it would take."""
    params: Object = {
        "customer": ref(found["customer"]),
        "subscription": found["id"],
        "subscription_details": details,
    }
    if discounts is not None:
        params["discounts"] = [{"discount": one["id"]} for one in discounts] or ""
    return stripe_reads.preview_invoice(params)


def of_a_period(preview: Object, price: str) -> int:
    """What the whole period at this price comes to, less discounts, with tax.

    Raises StripeUnavailable where the preview has no such line: better no quote than one of 0.
    """
    whole = [line for line in lines(preview) if price_of(line) == price and not _is_proration(line)]
    if not whole:
        raise StripeUnavailable("the preview doesn't show a period at the new price")
    return sum(
        line["amount"]
        - sum(off["amount"] for off in line.get("discount_amounts") or [])
        + _tax(line.get("taxes"))
        for line in whole
    )


def parts(preview: Object, price: str) -> list[Part]:
    """The lines of today's invoice in the order of Stripe, then what is taken off and added; together what is due."""
    found = [_part(line, price) for line in lines(preview)]
    off = sum(one["amount"] for one in preview.get("total_discount_amounts") or [])
    total, due = preview["total"], preview["amount_due"]
    sums = {"discount": -off, "tax": _tax(preview.get("total_taxes"))}
    found += [Part(kind, amount) for kind, amount in sums.items() if amount]
    moved = _account(total, due, preview["starting_balance"])
    return found + [Part(kind, amount) for kind, amount in moved if amount]


def _part(line: Object, price: str) -> Part:
    kind = "charge" if price_of(line) == price and line["amount"] >= 0 else "other"
    if _is_proration(line) and line["amount"] < 0:
        kind = "credit"
    until, words = line["period"]["end"], line.get("description") or ""
    return Part(kind, line["amount"], price_of(line), line.get("quantity") or 1, until, words)


def _account(total: int, due: int, balance: int) -> list[tuple[str, int]]:
    """What the customer's account has to do with it (``balance`` below 0 is a credit, above it a debt).

    A total below 0 pays a debt and else is kept; a credit pays as far as it goes; what is too small to charge, or no
    multiple of what the currency can be charged in, is left on the account.
    """
    if total <= 0:
        repaid = min(-total, max(0, balance))
        return [("repaid", repaid), ("kept", -total - repaid)]
    asked = total + balance
    if asked <= 0:
        return [("balance", -total)]
    left = due - asked
    return [
        ("balance" if balance < 0 else "owed", balance),
        ("carried" if not due else "rounding", left),
    ]


def lines(preview: Object) -> list[Object]:
    found: list[Object] = preview["lines"]["data"]
    return found


def price_of(line: Object) -> str | None:
    details = (line.get("pricing") or {}).get("price_details") or {}
    return ref(details.get("price"))


def _is_proration(line: Object) -> bool:
    parent = line.get("parent") or {}
    details = parent.get("invoice_item_details") or parent.get("subscription_item_details") or {}
    return bool(details.get("proration"))


def _tax(taxes: list[Object] | None) -> int:
    """What tax adds; where it is within the price it adds nothing."""
    return sum(one["amount"] for one in taxes or [] if one.get("tax_behavior") == "exclusive")

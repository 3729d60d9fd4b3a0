"""An invoice in words: the lines and sums that its page and its PDF both show."""

from __future__ import annotations

from typing import Any

from sandbox.pages.pdf import SIZE, Row, paged, wrapped, write
from sandbox.pages.wording import day, money

View = dict[str, Any]
STATUS_WORDS = {
    "draft": "Draft",
    "open": "Open",
    "paid": "Paid",
    "uncollectible": "Uncollectible",
    "void": "Void",
}
DESCRIPTION_WIDTH = 360


def sums(view: View) -> list[tuple[str, int, bool]]:
    """(label, amount in minor units, whether it is a total) from the subtotal to what is due."""
    invoice = view["invoice"]
    rows = []
    if view["discounts"]:
        rows.append(("Subtotal", invoice["subtotal"], False))
        rows += [(f"Discount: {each['label']}", -each["amount"], False) for each in view["discounts"]]
    rows.append(("Total", invoice["total"], True))
    applied = invoice["amount_due"] - max(invoice["total"], 0)
    if applied:
        rows.append(("Applied balance", applied, False))
    if invoice["amount_paid"]:
        rows.append(("Amount paid", -invoice["amount_paid"], False))
    if invoice["status"] != "void":
        rows.append(("Amount due", invoice["amount_remaining"], True))
    return rows


def pdf(view: View) -> bytes:
    """The invoice as a file, on as many pages as it needs."""
    invoice = view["invoice"]
    currency = invoice["currency"]
    name = f"Invoice {invoice['number'] or '(draft)'}"
    head = Row("Description", "Amount", bold=True, rule=True)
    rows = [
        Row(name, size=18, bold=True),
        Row(),
        Row(f"From: {view['business_name']}"),
        Row(" ".join(["To:", *filter(None, (invoice["customer_name"], invoice["customer_email"]))])),
        Row(f"Date: {day(invoice['effective_at'] or invoice['created'])}"),
        *([Row(f"Due: {day(invoice['due_date'])}")] if invoice["due_date"] else []),
        Row(f"Status: {STATUS_WORDS[invoice['status']]}"),
        *(Row(text) for text in wrapped(invoice["description"] or "", DESCRIPTION_WIDTH) if text),
        Row(),
        head,
    ]
    for line in view["lines"]:
        first, *more = wrapped(line["description"] or "", DESCRIPTION_WIDTH)
        rows.append(Row(first, _money(line["amount"], currency), rule=True))
        rows += [Row(text) for text in more]
        start, end = day(line["period"]["start"]), day(line["period"]["end"])
        rows.append(Row(start if start == end else f"{start} to {end}", size=8))
    rows += [Row(), *_sums(view, currency), Row()]
    rows += [Row(text) for text in wrapped(invoice["footer"] or "", DESCRIPTION_WIDTH) if text]
    heading = [Row(f"{name}, continued", size=SIZE, bold=True), Row(), head]
    return write(paged(rows, heading), "Sandbox. No money moves.")


def _sums(view: View, currency: str) -> list[Row]:
    return [
        Row(label, _money(amount, currency), bold=total, rule=total) for label, amount, total in sums(view)
    ]


def _money(amount: int, currency: str) -> str:
    """The amount with its sign where the file's letters have it, else with its code: they have no rupee sign."""
    words = money(amount, currency)
    plain = words.encode("cp1252", "ignore").decode("cp1252")
    return words if plain == words else f"{plain} {currency.upper()}"

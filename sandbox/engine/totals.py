"""The arithmetic of an invoice: pure functions on integers in minor units, with nothing lost.

The sum of the lines less the discounts of single lines is the subtotal; less the discounts of the whole
invoice, the total; the total and the customer's balance together are what is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """What one discount takes off: a percentage, or an amount in the invoice's currency."""

    id: str
    percent_off: Fraction | None = None
    amount_off: int = 0
    products: frozenset[str] | None = None

    def applies_to(self, line: Json) -> bool:
        """Whether a line is reduced; what is not worth more than nothing never is."""
        if not line["discountable"] or line["amount"] <= 0:
            return False
        return self.products is None or _product(line) in self.products


@dataclass(frozen=True)
class Due:
    """What is to be paid, the customer's balance after it, and why that balance moves: (type, amount)."""

    amount_due: int
    ending_balance: int
    moves: tuple[tuple[str, int], ...] = ()


def rounded(value: Fraction) -> int:
    """To the nearest minor unit, halves away from zero: the one rounding rule for money."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """`total` split in proportion to non-negative weights, to the unit (largest remainder, then first come)."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    floors = [total * weight // whole for weight in weights]
    left = total - sum(floors)
    by_remainder = sorted(range(len(weights)), key=lambda n: -(total * weights[n] % whole))
    for n in by_remainder[:left]:
        floors[n] += 1
    return floors


def amounts(lines: Sequence[Json], rules: Sequence[Rule], left: Sequence[int] | None = None) -> list[Json]:
    """What each discount takes off each line: one dict of discount id → amount for each line.

    Discounts apply one after the other, each to what the ones before it left over (`left`, by default the
    lines' amounts). A percentage is taken of all that it applies to together and rounded once; that sum, or the
    amount off as far as it goes, is then split over those lines in proportion to what is left of them.
    """
    remaining = list(left) if left is not None else [line["amount"] for line in lines]
    taken: list[Json] = [{} for _ in lines]
    for rule in rules:
        eligible = [n for n, line in enumerate(lines) if rule.applies_to(line)]
        weights = [remaining[n] for n in eligible]
        whole = sum(weights)
        if rule.percent_off is None:
            off = min(rule.amount_off, whole)
        else:
            off = rounded(whole * rule.percent_off / 100)
        for n, share in zip(eligible, shares(off, weights), strict=True):
            remaining[n] -= share
            taken[n][rule.id] = share
    return taken


def due(total: int, balance: int, least: int, step: int = 1) -> Due:
    """What an invoice of `total` asks for when the customer's balance is `balance` (negative: a credit).

    A total below zero becomes a credit, a credit pays as far as it reaches, a debt is added to what is asked,
    and what is left below `least`, the smallest charge of the currency, is owed with the next invoice
    (facts 1.5); so is what is not a multiple of `step` (facts 1.2). An invoice of nothing leaves the balance alone.
    """
    if total <= 0:
        return Due(0, balance + total, (("applied_to_invoice", total),) if total else ())
    asked = total + balance
    if asked <= 0:
        return Due(0, asked, (("applied_to_invoice", total),))
    charged = rounded(Fraction(asked, step)) * step
    if charged < least:
        charged = 0
    moves = [("applied_to_invoice", -balance), ("invoice_too_small", asked - charged)]
    return Due(charged, asked - charged, tuple(move for move in moves if move[1]))


def apply(invoice: Json, by_line: dict[str, list[Rule]], rules: Sequence[Rule]) -> None:
    """Write the discounts of the lines and the sums of an invoice, in place.

    `by_line` holds the discounts of single lines by the line's id, `rules` those of the whole invoice.
    """
    lines = invoice["lines"]["data"]
    own = [amounts([line], by_line.get(line["id"], []))[0] for line in lines]
    after_own = [line["amount"] - sum(off.values()) for line, off in zip(lines, own, strict=True)]
    common = amounts(lines, rules, after_own)
    sums: Json = {}
    for line, first, second in zip(lines, own, common, strict=True):
        off = {**first, **second}
        line["discount_amounts"] = _listed(off)
        line["pretax_credit_amounts"] = _credits(off)
        for id_, amount in off.items():
            sums[id_] = sums.get(id_, 0) + amount
    subtotal = sum(after_own)
    total = subtotal - sum(sum(off.values()) for off in common)
    invoice.update(
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal,
        total=total,
        total_excluding_tax=total,
        total_discount_amounts=_listed(sums),
        total_pretax_credit_amounts=_credits(sums),
    )


def _listed(off: Json) -> list[Json]:
    return [{"amount": amount, "discount": id_} for id_, amount in off.items()]


def _credits(off: Json) -> list[Json]:
    return [{"amount": amount, "discount": id_, "type": "discount"} for id_, amount in off.items()]


def _product(line: Json) -> str | None:
    details = line["pricing"]["price_details"]
    return details["product"] if details else None

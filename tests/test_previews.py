"""Stripe's previews, read: the parts of what is paid today add up to it, and tax is counted once."""

from __future__ import annotations

from typing import Any

import pytest

from billing import previews


def line(amount: int, price: str, *, proration: bool, **more: Any) -> dict[str, Any]:
    return {
        "amount": amount,
        "description": "A line",
        "period": {"start": 0, "end": 86400},
        "quantity": 1,
        "pricing": {"price_details": {"price": price}},
        "parent": {
            "invoice_item_details": {"proration": True} if proration else None,
            "subscription_item_details": None if proration else {"proration": False},
        },
        **more,
    }


def preview(total: int, due: int, balance: int, lines: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "lines": {"data": lines},
        "total": total,
        "amount_due": due,
        "starting_balance": balance,
        **more,
    }


def due(total: int, balance: int) -> int:
    """What Stripe asks for: a credit pays first, a debt is added, and less than 50 cents is left for later."""
    asked = total + balance if total > 0 else 0
    return asked if asked >= 50 else 0


@pytest.mark.parametrize("total", [-900, -1, 0, 1, 49, 50, 2000])
@pytest.mark.parametrize("balance", [-5000, -1990, -700, -1, 0, 1, 300, 900])
def test_whatever_the_account_has_the_parts_add_up_to_what_is_due(total: int, balance: int) -> None:
    lines = [line(-1100, "old", proration=True), line(1100 + total, "new", proration=True)]
    found = previews.parts(preview(total, due(total, balance), balance, lines), "new")
    assert sum(part.amount for part in found) == due(total, balance)
    assert all(part.amount for part in found[2:]), "nothing is said of nothing"


def tax(amount: int, behavior: str) -> dict[str, Any]:
    return {"amount": amount, "tax_behavior": behavior}


def test_tax_on_top_is_a_part_of_its_own_and_tax_within_the_price_is_none() -> None:
    whole = line(1000, "new", proration=False, taxes=[tax(190, "exclusive")])
    on_top = preview(1190, 1190, 0, [whole], total_taxes=[tax(190, "exclusive")])
    assert [(part.kind, part.amount) for part in previews.parts(on_top, "new")] == [
        ("charge", 1000),
        ("tax", 190),
    ]
    assert previews.of_a_period(on_top, "new") == 1190
    inside = line(1190, "new", proration=False, taxes=[tax(190, "inclusive")])
    within = preview(1190, 1190, 0, [inside], total_taxes=[tax(190, "inclusive")])
    assert [part.kind for part in previews.parts(within, "new")] == ["charge"]
    assert previews.of_a_period(within, "new") == 1190


def test_a_discount_is_taken_off_a_period_and_what_is_no_period_is_not_counted() -> None:
    lines = [
        line(2900, "new", proration=False, discount_amounts=[{"amount": 725, "discount": "di_1"}]),
        line(400, "new", proration=True),
        line(500, "other", proration=False),
    ]
    assert previews.of_a_period(preview(3075, 3075, 0, lines), "new") == 2175

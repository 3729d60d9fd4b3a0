"""Discounts of subscriptions through the API: what their invoices show and what is told of them."""

from __future__ import annotations

from typing import Any

from tests.sandbox.engine.billing import item, payer, refused, told
from tests.sandbox.engine.driver import Sandbox


def subscribe(sandbox: Sandbox, **coupon: Any) -> Any:
    """Somebody with a good card, 25.00 a month less this coupon."""
    made = sandbox.api.coupons.create(coupon or {"percent_off": 20})  # type: ignore[arg-type]
    params: Any = {
        "customer": payer(sandbox),
        "items": [{"price": sandbox.price()}],
        "discounts": [{"coupon": made.id}],
    }
    return sandbox.api.subscriptions.create(params)


def latest(sandbox: Sandbox, sub: Any) -> Any:
    return sandbox.api.invoices.retrieve(str(sandbox.api.subscriptions.retrieve(sub.id).latest_invoice))


def renew(sandbox: Sandbox, sub: Any) -> Any:
    now = sandbox.api.subscriptions.retrieve(sub.id)
    sandbox.advance(sub.customer, now.items.data[0].current_period_end + 3600)
    return latest(sandbox, sub)


def test_a_coupon_for_one_invoice(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    sub = subscribe(sandbox, percent_off=20, duration="once")
    first = latest(sandbox, sub)
    assert (first.subtotal, first.total, first.amount_paid) == (2500, 2000, 2000)
    assert len(first.discounts) == 1
    assert first.lines.data[0].discount_amounts[0].discount == first.discounts[0]
    assert first.lines.data[0].discounts == []
    kinds = told(sandbox, sub.customer, mark)
    assert kinds.index("customer.discount.created") < kinds.index("customer.subscription.created")
    assert kinds.index("invoice.finalized") + 1 == kinds.index("customer.discount.deleted")
    created = next(each for each in sandbox.events(mark) if each["type"] == "customer.subscription.created")
    assert created["data"]["object"]["discounts"] == first.discounts
    assert sandbox.api.subscriptions.retrieve(sub.id).discounts == []
    assert (renew(sandbox, sub).total, len(sandbox.charges(sub.customer))) == (2500, 2)


def test_a_coupon_for_two_months_ends_by_itself(sandbox: Sandbox) -> None:
    sub = subscribe(sandbox, amount_off=500, currency="usd", duration="repeating", duration_in_months=2)
    mark = sandbox.mark()
    totals = [latest(sandbox, sub).total, renew(sandbox, sub).total, renew(sandbox, sub).total]
    assert totals == [2000, 2000, 2500]
    assert told(sandbox, sub.customer, mark).count("customer.discount.deleted") == 1


def test_everything_off_needs_no_payment(sandbox: Sandbox) -> None:
    sub = subscribe(sandbox, percent_off=100, duration="forever")
    first = latest(sandbox, sub)
    assert (sub.status, first.status, first.total, first.amount_paid) == ("active", "paid", 0, 0)
    assert (renew(sandbox, sub).total, sandbox.charges(sub.customer)) == (0, [])


def test_a_discount_is_taken_off_a_subscription(sandbox: Sandbox) -> None:
    sub = subscribe(sandbox, percent_off=20, duration="forever")
    mark = sandbox.mark()
    gone = sandbox.api.subscriptions.delete_discount(sub.id)
    assert gone.deleted
    assert told(sandbox, sub.customer, mark) == ["customer.discount.deleted"]
    assert renew(sandbox, sub).total == 2500
    with refused("resource_missing"):
        sandbox.api.subscriptions.delete_discount(sub.id)
    with refused("resource_missing"):
        sandbox.api.customers.delete_discount(sub.customer)


def test_a_discount_reduces_waiting_items_but_no_credit(sandbox: Sandbox) -> None:
    sub = subscribe(sandbox, percent_off=10, duration="forever")
    item(sandbox, sub.customer, 1000, subscription=sub.id)
    item(sandbox, sub.customer, -300, subscription=sub.id)
    renewal = renew(sandbox, sub)
    assert (renewal.subtotal, renewal.total) == (3200, 2850)
    assert sum(each.amount for each in renewal.total_discount_amounts) == 350

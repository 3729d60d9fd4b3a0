"""Invoice items: what they cost, where they go, and what may be done with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.engine.billing import draft, item, previous, refused, told
from tests.sandbox.engine.driver import Sandbox


def one_time(sandbox: Sandbox, amount: int = 500, **more: Any) -> Any:
    product = sandbox.api.products.create({"name": "Badge"})
    return sandbox.api.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": amount, **more}
    )


def test_an_item_waits_with_all_that_was_said(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    mark = sandbox.mark()
    made = item(
        sandbox, customer, 700, description="Extra", metadata={"a": "1"}, period={"start": 1000, "end": 2000}
    )
    assert (made.amount, made.quantity, made.invoice, made.proration) == (700, 1, None, False)
    assert (made.discountable, made.net_amount, made.parent) == (True, None, None)
    assert (made.period.start, made.period.end) == (1000, 2000)
    assert made.pricing.unit_amount_decimal == 700
    assert told(sandbox, customer, mark) == ["customer.updated", "invoiceitem.created"]
    assert sandbox.api.invoice_items.retrieve(made.id).description == "Extra"


def test_an_item_of_a_price(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    price = one_time(sandbox, currency_options={"eur": {"unit_amount": 450}})
    made = sandbox.api.invoice_items.create(
        {"customer": customer, "pricing": {"price": price.id}, "quantity": 4}
    )
    assert (made.amount, made.quantity, made.description) == (2000, 4, "Badge")
    assert (made.pricing.price_details.price, made.pricing.unit_amount_decimal) == (price.id, 500)
    other = {"customer": customer, "currency": "eur", "pricing": {"price": price.id}, "quantity": 2}
    assert sandbox.api.invoice_items.create(other).amount == 900  # type: ignore[arg-type]


def test_an_item_of_a_unit_amount_is_rounded_once(sandbox: Sandbox) -> None:
    """2.5 cents times 3 is 7.5 cents, and so 8."""
    customer = sandbox.customer().id
    params: Any = {"customer": customer, "currency": "usd", "unit_amount_decimal": "2.5", "quantity": 3}
    made = sandbox.api.invoice_items.create(params)
    assert (made.amount, made.pricing.unit_amount_decimal, made.quantity) == (8, 2.5, 3)


def test_a_credit_is_not_discountable_unless_said(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    credit = item(sandbox, customer, -300)
    assert (credit.amount, credit.discountable, credit.net_amount) == (-300, False, -300)
    assert item(sandbox, customer, 300, discountable=False).net_amount == 300


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "amount"),
        ({"amount": 5, "unit_amount_decimal": "5"}, "parameters_exclusive", "amount"),
        ({"amount": 5, "quantity": 2}, "parameters_exclusive", "quantity"),
        ({"pricing": {"price": "price_none"}}, "resource_missing", "pricing[price]"),
        ({"amount": 5, "subscription": "sub_none"}, "resource_missing", "subscription"),
        ({"amount": 5, "invoice": "in_none"}, "resource_missing", "invoice"),
        ({"amount": 5, "period": {"start": 9, "end": 1}}, None, "period[end]"),
        ({"amount": 155, "currency": "isk"}, "parameter_invalid_integer", "amount"),
        ({"amount": 1234, "currency": "kwd"}, "parameter_invalid_integer", "amount"),
    ],
)
def test_what_no_item_can_be(sandbox: Sandbox, params: Any, code: str | None, param: str) -> None:
    with refused(code, param):
        sandbox.api.invoice_items.create({"customer": sandbox.customer().id, "currency": "usd", **params})


def test_a_recurring_price_is_for_subscriptions(sandbox: Sandbox) -> None:
    with refused(None, "pricing[price]"):
        sandbox.api.invoice_items.create(
            {"customer": sandbox.customer().id, "pricing": {"price": sandbox.price()}}
        )


def test_an_item_made_for_a_draft_is_its_last_line(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    invoice = draft(sandbox, customer, 100)
    mark = sandbox.mark()
    made = item(sandbox, customer, 50, invoice=invoice.id)
    assert made.invoice == invoice.id
    seen = sandbox.api.invoices.retrieve(invoice.id)
    assert ([each.amount for each in seen.lines.data], seen.amount_due) == ([100, 50], 150)
    assert told(sandbox, customer, mark) == ["invoiceitem.created", "invoice.updated"]
    before = previous(sandbox, customer, mark, "invoice.updated")
    assert (before["total"], before["lines"]["total_count"]) == (100, 1)


def test_a_changed_item_changes_its_draft(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    waits = item(sandbox, customer, 100)
    invoice = draft(sandbox, customer)
    changed = sandbox.api.invoice_items.update(waits.id, {"amount": 250, "description": "More"})
    assert (changed.amount, changed.pricing.unit_amount_decimal) == (250, 250)
    seen = sandbox.api.invoices.retrieve(invoice.id)
    assert (seen.total, seen.lines.data[0].description) == (250, "More")
    sandbox.api.invoices.finalize_invoice(invoice.id)
    with refused("invoice_not_editable"):
        sandbox.api.invoice_items.update(waits.id, {"amount": 1})
    with refused("invoice_not_editable"):
        sandbox.api.invoice_items.delete(waits.id)


def test_a_deleted_item_leaves_its_draft(sandbox: Sandbox) -> None:
    """Facts 2.4: created and deleted are the two events of items."""
    customer = sandbox.customer().id
    kept = item(sandbox, customer, 100)
    gone = item(sandbox, customer, 900)
    invoice = draft(sandbox, customer)
    mark = sandbox.mark()
    assert sandbox.api.invoice_items.delete(gone.id).deleted
    assert told(sandbox, customer, mark) == ["invoice.updated", "invoiceitem.deleted"]
    assert sandbox.api.invoices.retrieve(invoice.id).total == 100
    find = sandbox.api.invoice_items.list
    assert [each.id for each in find({"customer": customer, "pending": False}).data] == [kept.id]
    assert [each.id for each in find({"invoice": invoice.id}).data] == [kept.id]
    assert find({"customer": customer, "created": {"lt": kept.date}}).data == []


def test_the_next_renewal_takes_along_what_waits(sandbox: Sandbox) -> None:
    """Items of the subscription and of none, newest first and before the period (Stripe's order of lines)."""
    sub = sandbox.subscriber()
    item(sandbox, sub.customer, 300, description="Of nobody")
    item(sandbox, sub.customer, -100, subscription=sub.id, description="Of the subscription")
    other = sandbox.subscriber(customer=sub.customer)
    item(sandbox, sub.customer, 900, subscription=other.id, description="Of another")
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end)
    (invoice,) = sandbox.api.invoices.list({"subscription": sub.id, "status": "draft"}).data
    amounts = sorted(each.amount for each in invoice.lines.data)
    assert (amounts, invoice.total, invoice.amount_due) == ([-100, 300, 2500], 2700, 2700)
    assert invoice.lines.data[-1].parent.type == "subscription_item_details"


def test_items_in_another_currency_wait_for_an_invoice_in_it(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    item(sandbox, customer, 100, currency="usd")
    assert [each.amount for each in draft(sandbox, customer, 70, currency="eur").lines.data] == [70]

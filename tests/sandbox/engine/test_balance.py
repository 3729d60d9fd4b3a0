"""A customer's balance: how it is set, and what invoices do with it (facts 1.1, 1.5)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.engine.billing import draft, item, payer, previous, refused, told
from tests.sandbox.engine.driver import Sandbox


def moves(sandbox: Sandbox, customer: str) -> list[tuple[str, int, int]]:
    """(type, amount, ending balance), oldest first."""
    found = sandbox.api.customers.balance_transactions.list(customer).data
    return [(each.type, each.amount, each.ending_balance) for each in reversed(found)]


def balance(sandbox: Sandbox, customer: str) -> int:
    return sandbox.api.customers.retrieve(customer).balance


def test_a_balance_is_set_adjusted_and_recorded(sandbox: Sandbox) -> None:
    customer = sandbox.api.customers.create({"balance": -500}).id
    mark = sandbox.mark()
    assert sandbox.api.customers.update(customer, {"balance": -200}).balance == -200
    assert previous(sandbox, customer, mark, "customer.updated") == {"balance": -500}
    made = sandbox.api.customers.balance_transactions.create(
        customer, {"amount": 50, "currency": "usd", "description": "Late", "metadata": {"a": "1"}}
    )
    assert (made.type, made.ending_balance, made.description) == ("adjustment", -150, "Late")
    assert moves(sandbox, customer) == [
        ("initial", -500, -500), ("adjustment", 300, -200), ("adjustment", 50, -150)
    ]  # fmt: skip
    changed = sandbox.api.customers.balance_transactions.update(
        customer, made.id, {"description": "Very late"}
    )
    assert changed.description == "Very late"
    assert sandbox.api.customers.balance_transactions.retrieve(customer, made.id).metadata == made.metadata
    assert (balance(sandbox, customer), sandbox.api.customers.retrieve(customer).currency) == (-150, "usd")
    with refused(None, "currency"):
        sandbox.api.customers.balance_transactions.create(customer, {"amount": 1, "currency": "eur"})


def test_a_credit_pays_first(sandbox: Sandbox) -> None:
    customer = payer(sandbox, balance=-500)
    invoice = draft(sandbox, customer, 2000)
    assert (invoice.starting_balance, invoice.ending_balance, invoice.amount_due) == (-500, None, 1500)
    mark = sandbox.mark()
    opened = sandbox.api.invoices.finalize_invoice(invoice.id)
    assert (opened.total, opened.starting_balance, opened.ending_balance) == (2000, -500, 0)
    assert (opened.amount_due, opened.amount_remaining) == (1500, 1500)
    assert told(sandbox, customer, mark) == [
        "customer.updated",
        "invoice.finalized",
        "payment_intent.created",
    ]
    assert previous(sandbox, customer, mark, "customer.updated") == {"balance": -500}
    (used,) = sandbox.api.customers.balance_transactions.list(customer, {"invoice": invoice.id}).data
    assert (used.type, used.amount) == ("applied_to_invoice", 500)
    sandbox.api.invoices.pay(invoice.id)
    assert [each["amount"] for each in sandbox.charges(customer)] == [1500]


def test_a_large_credit_pays_all_and_the_rest_stays(sandbox: Sandbox) -> None:
    customer = sandbox.api.customers.create({"balance": -5000}).id
    paid = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000).id)
    assert (paid.status, paid.amount_due, paid.amount_paid, paid.ending_balance) == ("paid", 0, 0, -3000)
    assert (balance(sandbox, customer), sandbox.charges(customer)) == (-3000, [])


def test_a_debt_is_asked_for_with_the_next_invoice(sandbox: Sandbox) -> None:
    customer = payer(sandbox, balance=700)
    paid = sandbox.api.invoices.pay(draft(sandbox, customer, 2000).id)
    assert (paid.amount_due, paid.amount_paid, paid.starting_balance, paid.ending_balance) == (
        2700,
        2700,
        700,
        0,
    )
    assert balance(sandbox, customer) == 0


def test_a_negative_invoice_becomes_a_credit(sandbox: Sandbox) -> None:
    customer = payer(sandbox)
    paid = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, -1500, 700).id)
    assert (paid.status, paid.total, paid.amount_due, paid.ending_balance) == ("paid", -800, 0, -800)
    after = sandbox.api.invoices.pay(draft(sandbox, customer, 2000).id)
    assert (after.amount_due, after.ending_balance, balance(sandbox, customer)) == (1200, 0, 0)


def test_what_is_too_small_to_be_charged_is_owed_with_the_next(sandbox: Sandbox) -> None:
    """Facts 1.5: below 0.50 USD the invoice is paid and the sum moves to the balance."""
    customer = payer(sandbox)
    small = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 30).id)
    assert (small.status, small.total, small.amount_due, small.ending_balance) == ("paid", 30, 0, 30)
    assert moves(sandbox, customer) == [("invoice_too_small", 30, 30)]
    after = sandbox.api.invoices.pay(draft(sandbox, customer, 100).id)
    assert (after.amount_due, balance(sandbox, customer)) == (130, 0)


def test_voiding_gives_the_credit_back(sandbox: Sandbox) -> None:
    customer = sandbox.api.customers.create({"balance": -500}).id
    invoice = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000).id)
    assert balance(sandbox, customer) == 0
    sandbox.api.invoices.void_invoice(invoice.id)
    assert balance(sandbox, customer) == -500
    assert moves(sandbox, customer)[-1] == ("unapplied_from_invoice", -500, -500)


def test_a_balance_is_of_one_currency(sandbox: Sandbox) -> None:
    customer = sandbox.api.customers.create({"balance": -500}).id
    draft(sandbox, customer, 100, currency="usd")
    other = sandbox.api.invoices.finalize_invoice(draft(sandbox, customer, 2000, currency="eur").id)
    assert (other.starting_balance, other.amount_due, balance(sandbox, customer)) == (0, 2000, -500)


def test_a_renewal_uses_the_balance_and_checkout_does_not(sandbox: Sandbox) -> None:
    """What Checkout showed is what is paid; the credit waits for the renewal."""
    customer = sandbox.api.customers.create({"email": "a@example.com", "balance": -600}).id
    sub = sandbox.subscriber(customer=customer)
    first = sandbox.api.invoices.retrieve(str(sub.latest_invoice))
    assert (first.amount_paid, first.starting_balance, first.ending_balance) == (2500, -600, -600)
    sandbox.advance(customer, sub.items.data[0].current_period_end + 3600)
    renewal = sandbox.api.invoices.retrieve(str(sandbox.api.subscriptions.retrieve(sub.id).latest_invoice))
    assert (renewal.amount_paid, renewal.ending_balance, balance(sandbox, customer)) == (1900, 0, 0)


@settings(max_examples=12, deadline=None, database=None, derandomize=True)
@given(
    st.lists(st.integers(-5000, 20000), max_size=5),
    st.integers(-10000, 10000),
    st.one_of(st.none(), st.integers(1, 100), st.integers(101, 9000)),
)
def test_through_the_api_every_invoice_reconciles(
    shared_sandbox: Sandbox, amounts: list[int], start: int, off: int | None
) -> None:
    """Lines = subtotal; less discounts = total; paid + remaining = due; what is not due is on the balance."""
    sandbox = shared_sandbox
    customer = payer(sandbox, balance=start)
    for amount in amounts:
        item(sandbox, customer, amount)
    more: Any = {}
    if off is not None:
        wanted: Any = {"percent_off": off} if off <= 100 else {"amount_off": off, "currency": "usd"}
        more["discounts"] = [{"coupon": sandbox.api.coupons.create(wanted).id}]
    invoice = draft(sandbox, customer, **more)
    paid = sandbox.api.invoices.pay(invoice.id)
    taken = sum(each.amount for each in paid.total_discount_amounts)
    assert sum(each.amount for each in paid.lines.data) == paid.subtotal == sum(amounts)
    assert paid.subtotal - taken == paid.total
    assert sum(one.amount for each in paid.lines.data for one in each.discount_amounts) == taken
    assert (paid.status, paid.amount_paid + paid.amount_remaining) == ("paid", paid.amount_due)
    assert paid.total + paid.starting_balance == paid.amount_due + paid.ending_balance
    assert paid.ending_balance == balance(sandbox, customer)
    moved = sum(amount for kind, amount, _ in moves(sandbox, customer) if kind != "initial")
    assert paid.starting_balance + moved == paid.ending_balance
    assert sum(each["amount"] for each in sandbox.charges(customer)) == paid.amount_due

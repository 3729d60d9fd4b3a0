"""Prorations by the second: worked examples, what a change emits (facts 3.14), and that nothing gets lost."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest
import stripe

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox


def waiting(sandbox: Sandbox, sub: Any) -> list[Any]:
    """The invoice items that wait for the next invoice, in the order in which they were made."""
    listed = sandbox.api.invoice_items.list({"customer": sub.customer, "pending": True, "limit": 100})
    return list(reversed(listed.data))


def test_halfway_from_50_to_100_gives_25_back_and_charges_50(sandbox: Sandbox) -> None:
    """facts 3.14, Stripe's own example: −25, +50, and +100 for the next month make 125."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    dearer = sandbox.price(10000)
    sandbox.advance(sub.customer, s.HALFWAY)
    mark = sandbox.mark()
    changed = s.change(sandbox, sub, dearer)
    assert [item.amount for item in waiting(sandbox, sub)] == [-2500, 5000]
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"
    ]  # fmt: skip
    before = s.previous(sandbox, sub.customer, mark)
    assert set(before) == {"items"}
    assert before["items"]["data"][0]["price"]["unit_amount"] == 5000
    assert changed.items.data[0].current_period_end == sub.items.data[0].current_period_end
    invoice = s.newest(sandbox, s.renewed(sandbox, sub))
    assert (sorted(s.amounts(invoice)), invoice.total) == ([-2500, 5000, 10000], 12500)
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [5000, 12500]


def test_the_lines_of_a_proration_say_what_they_are(sandbox: Sandbox) -> None:
    """facts 1.5."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, items=[{"price": sandbox.price(5000), "quantity": 2}])
    first = s.newest(sandbox, sub)
    sandbox.advance(sub.customer, s.HALFWAY)
    s.change(sandbox, sub, sandbox.price(7000), proration_behavior="always_invoice")
    unused, remaining = s.newest(sandbox, sub).lines.data
    assert unused.description == "Unused time on 2 × Pro after 16 Apr 2027"
    assert remaining.description == "Remaining time on Pro after 16 Apr 2027"
    assert (unused.amount, remaining.amount, remaining.quantity) == (-5000, 3500, 1)
    for line in (unused, remaining):
        assert line.parent.type == "subscription_item_details"
        assert line.parent.subscription_item_details.proration
        assert line.pricing.unit_amount_decimal is None
        assert (line.period.start, line.period.end) == (s.HALFWAY, s.START + 30 * s.DAY)
    credited = unused.parent.subscription_item_details.proration_details.credited_items
    assert (credited.invoice, credited.invoice_line_items) == (first.id, [first.lines.data[0].id])
    assert remaining.parent.subscription_item_details.proration_details.credited_items is None


def test_always_invoice_bills_both_lines_at_once(sandbox: Sandbox) -> None:
    """facts 3.14."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    dearer = sandbox.price(10000)
    sandbox.advance(sub.customer, s.HALFWAY)
    mark = sandbox.mark()
    s.change(sandbox, sub, dearer, proration_behavior="always_invoice")
    assert s.told(sandbox, sub.customer, mark) == [
        "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created", "invoice.created",
        "invoice.finalized", "payment_intent.created", "charge.succeeded", "payment_intent.succeeded",
        "invoice.paid", "invoice.payment_succeeded",
    ]  # fmt: skip
    assert set(s.previous(sandbox, sub.customer, mark)) == {"items", "latest_invoice"}
    invoice = s.newest(sandbox, sub)
    assert (invoice.billing_reason, invoice.status, invoice.total) == ("subscription_update", "paid", 2500)
    assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub))) == [10000]


def test_a_cheaper_plan_leaves_a_credit_for_the_next_invoices(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(10000))
    cheaper = sandbox.price(2000)
    sandbox.advance(sub.customer, s.HALFWAY)
    s.change(sandbox, sub, cheaper, proration_behavior="always_invoice")
    invoice = s.newest(sandbox, sub)
    assert (invoice.total, invoice.amount_due, invoice.status) == (-4000, 0, "paid")
    assert sandbox.api.customers.retrieve(sub.customer).balance == -4000
    renewal = s.newest(sandbox, s.renewed(sandbox, sub))
    assert (renewal.total, renewal.amount_due) == (2000, 0)


def test_another_interval_begins_anew_at_once(sandbox: Sandbox) -> None:
    """facts 3.14 and 1.5: anchor and period restart, the whole year is an ordinary line."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    yearly = sandbox.price(30000, "year")
    sandbox.advance(sub.customer, s.HALFWAY)
    mark = sandbox.mark()
    changed = s.change(sandbox, sub, yearly)
    assert changed.billing_cycle_anchor == changed.items.data[0].current_period_start == s.HALFWAY
    assert changed.items.data[0].current_period_end == s.moment(2028, 4, 16)
    unused, year = s.newest(sandbox, sub).lines.data
    assert (unused.amount, year.amount) == (-1500, 30000)
    assert not year.parent.subscription_item_details.proration
    assert set(s.previous(sandbox, sub.customer, mark)) == {"items", "latest_invoice", "billing_cycle_anchor"}
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [3000, 28500]


def test_the_anchor_can_be_reset_on_request_but_not_by_a_word(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    sandbox.advance(sub.customer, s.HALFWAY)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.api.subscriptions.update(sub.id, {"billing_cycle_anchor": "now"})  # type: ignore[typeddict-item]
    assert refused.value.param == "billing_cycle_anchor"
    anchor: Any = {"type": "unchanged"}
    same = sandbox.api.subscriptions.update(sub.id, {"billing_cycle_anchor": anchor})
    assert same.billing_cycle_anchor == s.START
    anchor = {"type": "now"}
    reset = sandbox.api.subscriptions.update(sub.id, {"billing_cycle_anchor": anchor})
    assert reset.billing_cycle_anchor == s.HALFWAY
    assert s.amounts(s.newest(sandbox, sub)) == [-1500, 3000]


def test_from_free_to_paid_is_billed_at_once(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(0))
    dearer = sandbox.price(4000)
    sandbox.advance(sub.customer, s.HALFWAY)
    changed = s.change(sandbox, sub, dearer)
    assert changed.billing_cycle_anchor == s.HALFWAY
    assert [each["amount"] for each in sandbox.charges(sub.customer)] == [4000]


@pytest.mark.parametrize(
    ("currency", "start", "old", "new", "credit", "charge"),
    [
        ("jpy", (2027, 4, 1), 500, 1000, -250, 500),  # no fractions: 15 of 30 days
        ("jpy", (2027, 4, 1), 333, 999, -167, 500),  # 166.5 and 499.5, halves away from zero
        ("kwd", (2027, 4, 1), 10000, 20000, -5000, 10000),  # thousandths
        ("usd", (2028, 2, 1), 2900, 5800, -1400, 2800),  # a leap February: 14 of 29 days
        ("usd", (2027, 2, 1), 2800, 5600, -1300, 2600),  # 13 of 28 days
        ("usd", (2027, 3, 1), 3100, 6200, -1600, 3200),  # 16 of 31 days
    ],
)
def test_worked_examples(
    sandbox: Sandbox, currency: str, start: tuple[int, int, int], old: int, new: int, credit: int, charge: int
) -> None:
    """Fifteen days after the start."""
    at = s.moment(*start)
    sub = s.subscribe(sandbox, s.payer(sandbox, at=at).id, sandbox.price(old, currency=currency))
    dearer = sandbox.price(new, currency=currency)
    sandbox.advance(sub.customer, at + 15 * s.DAY)
    s.change(sandbox, sub, dearer)
    assert [item.amount for item in waiting(sandbox, sub)] == [credit, charge]


def test_another_price_resets_the_quantity_and_a_quantity_alone_is_prorated(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, items=[{"price": sandbox.price(3000), "quantity": 3}])
    other = sandbox.price(6000)
    sandbox.advance(sub.customer, s.HALFWAY)
    item: Any = {"id": sub.items.data[0].id, "quantity": 5}
    sandbox.api.subscriptions.update(sub.id, {"items": [item]})
    assert [each.amount for each in waiting(sandbox, sub)] == [-4500, 7500]
    assert s.change(sandbox, sub, other).items.data[0].quantity == 1
    assert [each.amount for each in waiting(sandbox, sub)] == [-4500, 7500, -7500, 3000]


def test_items_are_added_changed_and_taken_away(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    first, seats = sub.items.data[0].id, sandbox.price(1000)
    sandbox.advance(sub.customer, s.HALFWAY)
    added: Any = sandbox.api.subscription_items.create(
        {"subscription": sub.id, "price": seats, "quantity": 4}
    )
    assert sandbox.api.subscription_items.retrieve(added.id).quantity == 4
    sandbox.api.subscription_items.update(added.id, {"quantity": 6, "metadata": {"a": "b"}})
    assert len(sandbox.api.subscription_items.list({"subscription": sub.id}).data) == 2
    assert sandbox.api.subscription_items.delete(first).deleted
    assert [each.amount for each in waiting(sandbox, sub)] == [2000, -2000, 3000, -1500]
    with pytest.raises(stripe.InvalidRequestError, match="at least one"):
        sandbox.api.subscriptions.update(sub.id, {"items": [{"id": added.id, "deleted": True}]})
    row: Any = [{"id": added.id, "deleted": True}, {"price": sandbox.price(500)}]
    now = sandbox.api.subscriptions.update(sub.id, {"items": row, "proration_behavior": "none"})
    assert [each.price.unit_amount for each in now.items.data] == [500]
    assert s.amounts(s.newest(sandbox, s.renewed(sandbox, sub)))[-1] == 500


def test_an_end_inside_the_period_gives_the_rest_back_and_its_undo_charges_it(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    at = s.START + 20 * s.DAY
    ending = sandbox.api.subscriptions.update(sub.id, {"cancel_at": at})
    assert (ending.cancel_at, ending.cancel_at_period_end) == (at, False)
    assert [each.amount for each in waiting(sandbox, sub)] == [-1000]
    sandbox.api.subscriptions.update(sub.id, {"cancel_at": ""})
    assert [each.amount for each in waiting(sandbox, sub)] == [-1000, 1000]
    sandbox.api.subscriptions.update(sub.id, {"cancel_at": at, "proration_behavior": "none"})
    assert len(waiting(sandbox, sub)) == 2
    sandbox.advance(sub.customer, at)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"


def test_an_end_inside_a_later_period_shortens_that_one(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3100))
    at = s.moment(2027, 5, 11)
    sandbox.api.subscriptions.update(sub.id, {"cancel_at": at})
    assert waiting(sandbox, sub) == []
    now = s.renewed(sandbox, sub)
    assert now.items.data[0].current_period_end == at
    assert s.amounts(s.newest(sandbox, sub)) == [1000]
    sandbox.advance(sub.customer, at)
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"


def test_cancelling_at_once_can_give_back_and_bill_it(sandbox: Sandbox) -> None:
    """facts 3.11."""
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    sandbox.advance(sub.customer, s.HALFWAY)
    mark = sandbox.mark()
    ended = sandbox.api.subscriptions.cancel(sub.id, {"prorate": True, "invoice_now": True})
    assert ended.status == "canceled"
    assert s.told(sandbox, sub.customer, mark)[:2] == ["invoiceitem.created", "customer.subscription.deleted"]
    assert s.newest(sandbox, ended).total == -1500
    assert sandbox.api.customers.retrieve(sub.customer).balance == -1500
    other = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    mark = sandbox.mark()
    sandbox.api.subscriptions.cancel(other.id)
    assert s.told(sandbox, other.customer, mark) == ["customer.subscription.deleted"]


def test_discounts_are_within_the_amounts(sandbox: Sandbox) -> None:
    """billing_mode flexible, proration_discounts included: 20 % off on both sides."""
    coupon = sandbox.api.coupons.create({"percent_off": 20, "duration": "forever"}).id
    sub = s.subscribe(sandbox, s.payer(sandbox).id, discounts=[{"coupon": coupon}])
    dearer = sandbox.price(10000)
    sandbox.advance(sub.customer, s.HALFWAY)
    s.change(sandbox, sub, dearer)
    assert [each.amount for each in waiting(sandbox, sub)] == [-2000, 4000]
    assert s.newest(sandbox, s.renewed(sandbox, sub)).total == 2000 + 8000


def test_a_discount_for_one_invoice_is_given_back_as_it_was_paid(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 50, "duration": "once"}).id
    sub = s.subscribe(sandbox, s.payer(sandbox).id, discounts=[{"coupon": coupon}])
    assert sandbox.charges(sub.customer)[0]["amount"] == 2500
    dearer = sandbox.price(10000)
    sandbox.advance(sub.customer, s.HALFWAY)
    s.change(sandbox, sub, dearer)
    assert [each.amount for each in waiting(sandbox, sub)] == [-1250, 5000]


def test_the_date_of_a_proration_must_be_in_the_period(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    dearer = sandbox.price(10000)
    sandbox.advance(sub.customer, s.HALFWAY + 3 * s.DAY)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        s.change(sandbox, sub, dearer, proration_date=s.START - 1)
    assert refused.value.param == "proration_date"
    s.change(sandbox, sub, dearer, proration_date=s.HALFWAY)
    assert [each.amount for each in waiting(sandbox, sub)] == [-2500, 5000]


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_sequences_of_changes_reconcile_with_the_exact_fractions(sandbox: Sandbox, seed: int) -> None:
    """Random prices, quantities and seconds. Each proration is within half a unit of its exact fraction, and with
    the first charge they sum up to what each plan cost for just the time that it was held."""
    chance = random.Random(seed)
    prices = {amount: sandbox.price(amount) for amount in (999, 1234, 4321, 10001)}
    amount, quantity = 1234, 2
    sub = s.subscribe(sandbox, s.payer(sandbox).id, items=[{"price": prices[amount], "quantity": quantity}])
    whole, held, since, steps = 30 * s.DAY, Fraction(0), s.START, 5
    exact: list[Fraction] = []
    moments = sorted(chance.sample(range(s.START + 1, s.START + whole), steps))
    for at in moments:
        sandbox.advance(sub.customer, at)
        left = Fraction(s.START + whole - at, whole)
        held += Fraction(amount * quantity * (at - since), whole)
        exact.append(-amount * quantity * left)
        amount = chance.choice([each for each in prices if each != amount])
        quantity = chance.randint(1, 5)
        exact.append(amount * quantity * left)
        s.change(sandbox, sub, prices[amount], quantity=quantity)
        since = at
    held += Fraction(amount * quantity * (s.START + whole - since), whole)
    made = [each.amount for each in waiting(sandbox, sub)]
    assert len(made) == len(exact)
    assert all(abs(one - other) <= Fraction(1, 2) for one, other in zip(made, exact, strict=True))
    assert abs(1234 * 2 + sum(made) - held) <= Fraction(len(made), 2)
    renewal = s.newest(sandbox, s.renewed(sandbox, sub))
    assert renewal.total == sum(s.amounts(renewal)) == sum(made) + amount * quantity

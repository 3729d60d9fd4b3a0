"""POST /v1/invoices/create_preview: what it says is what the change then charges, to the unit."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import subscribing as s
from tests.sandbox.engine.driver import Sandbox

AT = s.START + 11 * s.DAY + 12345


def preview(sandbox: Sandbox, sub: Any, **details: Any) -> Any:
    params: Any = (
        {"subscription": sub.id, "subscription_details": details} if details else {"subscription": sub.id}
    )
    return sandbox.api.invoices.create_preview(params)


def test_a_preview_has_an_id_of_its_own_and_leaves_nothing(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    mark = sandbox.mark()
    shown = preview(sandbox, sub)
    assert shown.id.startswith("upcoming_in")
    assert (shown.status, shown.number, shown.billing_reason) == ("draft", None, "upcoming")
    assert s.amounts(shown) == [5000]
    assert (shown.period_start, shown.period_end) == (s.START, s.START + 30 * s.DAY)
    assert sandbox.types(mark) == []
    assert len(sandbox.api.invoices.list({"customer": sub.customer}).data) == 1


CHANGES: list[Any] = [
    {"price": 9999},
    {"price": 9999, "quantity": 3},
    {"quantity": 7},
    {"price": 1},
    {"price": 120000, "interval": "year"},
    {"anchor": {"type": "now"}},
    {"trial_end": s.START + 40 * s.DAY},
    {"more": 1700},
]


@pytest.mark.parametrize("coupon", [None, 15])
@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations", "none"])
@pytest.mark.parametrize("asked", CHANGES, ids=lambda each: "-".join(each))
def test_the_preview_is_what_is_then_charged(
    sandbox: Sandbox, asked: Any, behavior: str, coupon: int | None
) -> None:
    """The same parameters and proration_date: the invoice made at once, or else the next renewal."""
    more: Any = {}
    if coupon is not None:
        made = sandbox.api.coupons.create({"percent_off": coupon, "duration": "forever"})
        more["discounts"] = [{"coupon": made.id}]
    items = [{"price": sandbox.price(3333), "quantity": 2}]
    sub = s.subscribe(sandbox, s.payer(sandbox).id, items=items, **more)
    change = {"proration_behavior": behavior, "proration_date": AT, **changed(sandbox, sub, asked)}
    sandbox.advance(sub.customer, AT + 60)
    shown = preview(sandbox, sub, **change)
    after = sandbox.api.subscriptions.update(sub.id, change)
    if after.latest_invoice == sub.latest_invoice:
        after = s.renewed(sandbox, after)
    real = s.newest(sandbox, after)
    assert (shown.total, shown.subtotal, shown.amount_due) == (real.total, real.subtotal, real.amount_due)
    assert s.amounts(shown) == s.amounts(real)
    described = [line.description for line in shown.lines.data]
    assert described == [line.description for line in real.lines.data]


def changed(sandbox: Sandbox, sub: Any, asked: Any) -> Any:
    if "anchor" in asked:
        return {"billing_cycle_anchor": asked["anchor"]}
    if "trial_end" in asked:
        return asked
    if "more" in asked:
        return {"items": [{"price": sandbox.price(asked["more"]), "quantity": 2}]}
    item: Any = {"id": sub.items.data[0].id}
    if "price" in asked:
        item["price"] = sandbox.price(asked["price"], asked.get("interval", "month"))
    if "quantity" in asked:
        item["quantity"] = asked["quantity"]
    return {"items": [item]}


def test_a_new_subscription_can_be_previewed(sandbox: Sandbox) -> None:
    customer = s.payer(sandbox)
    price = sandbox.price(4200)
    details: Any = {"items": [{"price": price, "quantity": 2}]}
    shown = sandbox.api.invoices.create_preview({"customer": customer.id, "subscription_details": details})
    real = s.newest(sandbox, s.subscribe(sandbox, customer.id, items=[{"price": price, "quantity": 2}]))
    assert (shown.total, shown.amount_due) == (real.total, real.amount_due) == (8400, 8400)


def test_cancelling_now_can_be_previewed(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id, sandbox.price(3000))
    sandbox.advance(sub.customer, s.HALFWAY)
    shown = preview(sandbox, sub, cancel_now=True)
    ended = sandbox.api.subscriptions.cancel(sub.id, {"prorate": True, "invoice_now": True})
    assert shown.total == s.newest(sandbox, ended).total == -1500


def test_items_and_discounts_of_the_preview_itself_are_counted(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    coupon = sandbox.api.coupons.create({"percent_off": 10, "duration": "once"}).id
    params: Any = {
        "subscription": sub.id,
        "invoice_items": [{"amount": 1000, "currency": "usd", "description": "Setup"}],
        "discounts": [{"coupon": coupon}],
    }
    assert sandbox.api.invoices.create_preview(params).total == 5400
    sandbox.api.invoice_items.create({"customer": sub.customer, "amount": 700, "currency": "usd"})
    assert preview(sandbox, sub).total == 5700


def test_a_preview_may_name_which_of_the_discounts_that_are_there_it_counts(sandbox: Sandbox) -> None:
    made = [sandbox.api.coupons.create({"percent_off": off, "duration": "forever"}).id for off in (50, 10)]
    more: Any = {"discounts": [{"coupon": one} for one in made]}
    sub = s.subscribe(sandbox, s.payer(sandbox).id, **more)
    half, tenth = sub.discounts
    for named, total in (([half, tenth], 2250), ([half], 2500), ([tenth], 4500)):
        params: Any = {"subscription": sub.id, "discounts": [{"discount": one} for one in named]}
        assert sandbox.api.invoices.create_preview(params).total == total
    none: Any = {"subscription": sub.id, "discounts": ""}
    assert sandbox.api.invoices.create_preview(none).total == 5000


def test_what_has_no_next_invoice_and_schedules_are_refused(sandbox: Sandbox) -> None:
    sub = s.subscribe(sandbox, s.payer(sandbox).id)
    sandbox.api.subscriptions.update(sub.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        preview(sandbox, sub)
    assert refused.value.code == "invoice_upcoming_none"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.api.invoices.create_preview({"customer": sub.customer, "schedule": "sub_sched_1"})
    assert (refused.value.code, refused.value.param) == ("sandbox_not_built", "schedule")

"""Coupons, promotion codes, and the discounts that they become."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.engine.billing import draft, item, payer, refused, told
from tests.sandbox.engine.driver import Sandbox, eventually

DAY = 86400


def coupon(sandbox: Sandbox, **params: Any) -> str:
    return sandbox.api.coupons.create(params or {"percent_off": 20}).id


def code(sandbox: Sandbox, coupon_id: str, **params: Any) -> Any:
    wanted: Any = {"promotion": {"type": "coupon", "coupon": coupon_id}, **params}
    return sandbox.api.promotion_codes.create(wanted)


def test_a_coupon_is_made_renamed_and_deleted(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    made = sandbox.api.coupons.create({"percent_off": 25.5, "name": "Spring", "metadata": {"a": "1"}})
    assert (made.percent_off, made.duration, made.valid, made.times_redeemed) == (25.5, "once", True, 0)
    assert sandbox.api.coupons.update(made.id, {"name": "Summer"}).name == "Summer"
    assert made.id in [each.id for each in sandbox.api.coupons.list().data]
    assert sandbox.api.coupons.delete(made.id).deleted
    with refused("resource_missing"):
        sandbox.api.coupons.retrieve(made.id)
    assert made.id not in [each.id for each in sandbox.api.coupons.list().data]
    assert sandbox.types(mark) == ["coupon.created", "coupon.updated", "coupon.deleted"]


def test_a_coupon_shows_its_currencies_and_products_on_request(sandbox: Sandbox) -> None:
    product = sandbox.api.products.create({"name": "Pro"}).id
    made = sandbox.api.coupons.create(
        {
            "id": "FIVE_OFF",
            "amount_off": 500,
            "currency": "usd",
            "duration": "repeating",
            "duration_in_months": 3,
            "currency_options": {"eur": {"amount_off": 450}},
            "applies_to": {"products": [product]},
            "expand": ["currency_options", "applies_to"],
        }
    )
    assert (made.id, made.duration_in_months) == ("FIVE_OFF", 3)
    assert made.currency_options["eur"].amount_off == 450
    assert made.applies_to.products == [product]
    plain = sandbox.api.coupons.retrieve("FIVE_OFF").to_dict()
    assert "currency_options" not in plain
    assert "applies_to" not in plain
    with refused("resource_already_exists", "id"):
        sandbox.api.coupons.create({"id": "FIVE_OFF", "percent_off": 1})
    sandbox.api.coupons.delete("FIVE_OFF")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameters_exclusive", "percent_off"),
        ({"percent_off": 10, "amount_off": 10, "currency": "usd"}, "parameters_exclusive", "percent_off"),
        ({"percent_off": 0}, None, "percent_off"),
        ({"percent_off": 101}, None, "percent_off"),
        ({"amount_off": 100}, "parameter_missing", "currency"),
        ({"amount_off": 155, "currency": "isk"}, "parameter_invalid_integer", "amount_off"),
        ({"percent_off": 10, "duration": "repeating"}, "parameter_missing", "duration_in_months"),
        ({"percent_off": 10, "duration_in_months": 2}, None, "duration_in_months"),
        ({"percent_off": 10, "redeem_by": 1}, None, "redeem_by"),
        ({"percent_off": 10, "name": "x" * 41}, None, "name"),
        (
            {"percent_off": 10, "applies_to": {"products": ["prod_none"]}},
            "resource_missing",
            "applies_to[products]",
        ),
    ],
)
def test_what_no_coupon_can_be(sandbox: Sandbox, params: Any, code: str | None, param: str) -> None:
    with refused(code, param):
        sandbox.api.coupons.create(params)


def test_a_promotion_code_stands_for_a_coupon(sandbox: Sandbox) -> None:
    """Facts 1.10: `promotion` {type, coupon} took the place of `coupon`."""
    mark = sandbox.mark()
    made = code(sandbox, coupon(sandbox), code="AUTUMN-1", max_redemptions=5)
    assert (made.code, made.active, made.promotion.type) == ("AUTUMN-1", True, "coupon")
    expanded = sandbox.api.promotion_codes.retrieve(made.id, {"expand": ["promotion.coupon"]})
    assert expanded.promotion.coupon.percent_off == 20
    find = sandbox.api.promotion_codes.list
    assert [each.id for each in find({"code": "autumn-1"}).data] == [made.id]
    assert [each.id for each in find({"coupon": str(made.promotion.coupon)}).data] == [made.id]
    assert not sandbox.api.promotion_codes.update(made.id, {"active": False}).active
    assert find({"code": "AUTUMN-1", "active": True}).data == []
    assert len(code(sandbox, coupon(sandbox)).code) == 8
    kinds = [each for each in sandbox.types(mark) if each.startswith("promotion_code")]
    assert kinds == ["promotion_code.created", "promotion_code.updated", "promotion_code.created"]


def test_a_code_is_one_persons_or_everybodys_and_active_once(sandbox: Sandbox) -> None:
    percent, customer = coupon(sandbox), sandbox.customer().id
    first = code(sandbox, percent, code="Once")
    with refused("resource_already_exists", "code"):
        code(sandbox, percent, code="ONCE")
    code(sandbox, percent, code="ONCE", customer=customer)
    sandbox.api.promotion_codes.update(first.id, {"active": False})
    code(sandbox, percent, code="ONCE")
    with refused("resource_already_exists", "active"):
        sandbox.api.promotion_codes.update(first.id, {"active": True})
    with refused(None, "code"):
        code(sandbox, percent, code="no spaces")


def test_a_deleted_coupon_takes_its_codes_along(sandbox: Sandbox) -> None:
    percent = coupon(sandbox)
    made = code(sandbox, percent)
    sandbox.api.coupons.delete(percent)
    assert not sandbox.api.promotion_codes.retrieve(made.id).active
    with refused(None, "active"):
        sandbox.api.promotion_codes.update(made.id, {"active": True})


def test_a_discount_of_one_invoice(sandbox: Sandbox) -> None:
    """Facts 1.10: the discount names its coupon in `source`; the invoice, its lines and totals name the discount."""
    customer, percent = sandbox.customer().id, coupon(sandbox)
    mark = sandbox.mark()
    invoice = draft(sandbox, customer, 1000, 2000, discounts=[{"coupon": percent}])
    assert (invoice.subtotal, invoice.total, invoice.amount_due) == (3000, 2400, 2400)
    (id_,) = invoice.discounts
    assert [(each.amount, each.discount) for each in invoice.total_discount_amounts] == [(600, id_)]
    assert sorted(each.discount_amounts[0].amount for each in invoice.lines.data) == [200, 400]
    assert [each.amount for each in invoice.total_pretax_credit_amounts] == [600]
    shown = sandbox.api.invoices.retrieve(invoice.id, {"expand": ["discounts", "discounts.source.coupon"]})
    (discount,) = shown.discounts
    assert (discount.invoice, discount.customer, discount.end) == (invoice.id, customer, None)  # type: ignore[union-attr]
    assert discount.source.coupon.percent_off == 20  # type: ignore[union-attr]
    assert sandbox.api.coupons.retrieve(percent).times_redeemed == 1
    assert told(sandbox, customer, mark)[-1] == "invoice.created"
    assert "customer.discount.created" not in sandbox.types(mark)
    freed = sandbox.api.invoices.update(invoice.id, {"discounts": ""})
    assert (freed.discounts, freed.total, freed.total_discount_amounts) == ([], 3000, [])


def test_several_discounts_apply_in_order_and_items_come_first(sandbox: Sandbox) -> None:
    """An item's own discount is in the subtotal already; then half, then five off what is left."""
    customer = sandbox.customer().id
    ten, half = coupon(sandbox, percent_off=10), coupon(sandbox, percent_off=50)
    five = coupon(sandbox, amount_off=500, currency="usd")
    item(sandbox, customer, 1000, discounts=[{"coupon": ten}])
    item(sandbox, customer, 3000)
    invoice = draft(sandbox, customer, discounts=[{"coupon": half}, {"coupon": five}])
    assert invoice.subtotal == 900 + 3000
    assert sorted(each.amount for each in invoice.total_discount_amounts) == [100, 500, 1950]
    assert (invoice.total, invoice.amount_due) == (1450, 1450)
    paid = sandbox.api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert (paid.amount_paid, paid.amount_remaining) == (1450, 0)


def test_an_amount_off_knows_its_currencies_and_products(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    product = sandbox.api.products.create({"name": "Pro"}).id
    off = coupon(
        sandbox, amount_off=500, currency="usd", currency_options={"jpy": {"amount_off": 300}},
        applies_to={"products": [product]},
    )  # fmt: skip
    price = sandbox.api.prices.create({"product": product, "currency": "jpy", "unit_amount": 1000})
    sandbox.api.invoice_items.create({"customer": customer, "pricing": {"price": price.id}})
    invoice = draft(sandbox, customer, 1000, currency="jpy", discounts=[{"coupon": off}])
    assert (invoice.total, sorted(len(each.discount_amounts) for each in invoice.lines.data)) == (
        1700,
        [0, 1],
    )
    with refused(None, "discounts[0]"):
        draft(sandbox, customer, 1000, currency="eur", discounts=[{"coupon": off}])


def test_everything_off_is_paid_at_once(sandbox: Sandbox) -> None:
    invoice = draft(
        sandbox, sandbox.customer().id, 2000, discounts=[{"coupon": coupon(sandbox, percent_off=100)}]
    )
    assert sandbox.api.invoices.finalize_invoice(invoice.id).status == "paid"


def test_redemptions_run_out(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    scarce = coupon(sandbox, percent_off=10, max_redemptions=2)
    made = code(sandbox, scarce, max_redemptions=1)
    draft(sandbox, customer, 100, discounts=[{"promotion_code": made.id}])
    used = sandbox.api.promotion_codes.retrieve(made.id)
    assert (used.times_redeemed, used.active) == (1, False)
    with refused("coupon_expired", "discounts[0][promotion_code]"):
        draft(sandbox, customer, 100, discounts=[{"promotion_code": made.id}])
    draft(sandbox, customer, 100, discounts=[{"coupon": scarce}])
    assert not sandbox.api.coupons.retrieve(scarce).valid
    with refused("coupon_expired", "discounts[0][coupon]"):
        draft(sandbox, customer, 100, discounts=[{"coupon": scarce}])


def test_a_code_may_be_for_one_customer_a_minimum_or_a_first_payment(sandbox: Sandbox) -> None:
    owner, other = payer(sandbox), sandbox.customer().id
    percent = coupon(sandbox)
    own = code(sandbox, percent, customer=owner)
    with refused(None, "discounts[0][promotion_code]"):
        draft(sandbox, other, 100, discounts=[{"promotion_code": own.id}])
    limits = {"minimum_amount": 1000, "minimum_amount_currency": "usd"}
    big = code(sandbox, percent, restrictions=limits)
    with refused(None, "discounts[0][promotion_code]"):
        draft(sandbox, owner, 500, discounts=[{"promotion_code": big.id}])
    first = code(sandbox, percent, restrictions={"first_time_transaction": True})
    invoice = draft(sandbox, owner, 500, discounts=[{"promotion_code": big.id}, {"promotion_code": first.id}])
    assert invoice.total == 640
    sandbox.api.invoices.pay(invoice.id)
    with refused(None, "discounts[0][promotion_code]"):
        draft(sandbox, owner, 2000, discounts=[{"promotion_code": first.id}])


def test_coupons_and_codes_end_on_their_day(sandbox: Sandbox) -> None:
    """Their day is the wall clock's: one that is two seconds away is over soon."""
    made = sandbox.api.coupons.create({"percent_off": 10})
    soon = made.created + 2
    short = sandbox.api.coupons.create({"percent_off": 10, "redeem_by": soon})
    ending = code(sandbox, made.id, expires_at=soon)
    eventually(lambda: not sandbox.api.coupons.retrieve(short.id).valid, "the coupon ends")
    eventually(lambda: not sandbox.api.promotion_codes.retrieve(ending.id).active, "the code ends")
    with refused("coupon_expired"):
        draft(sandbox, sandbox.customer().id, 100, discounts=[{"coupon": short.id}])


def test_a_code_ends_no_later_than_its_coupon(sandbox: Sandbox) -> None:
    end = sandbox.api.coupons.create({"percent_off": 10}).created + DAY
    short = coupon(sandbox, percent_off=10, redeem_by=end, max_redemptions=3)
    with refused(None, "expires_at"):
        code(sandbox, short, expires_at=end + 1)
    with refused(None, "max_redemptions"):
        code(sandbox, short, max_redemptions=4)


def test_months_mean_nothing_to_one_invoice(sandbox: Sandbox) -> None:
    months = coupon(sandbox, percent_off=10, duration="repeating", duration_in_months=2)
    invoice = draft(sandbox, sandbox.customer().id, 1000, discounts=[{"coupon": months}])
    (discount,) = sandbox.api.invoices.retrieve(invoice.id, {"expand": ["discounts"]}).discounts
    assert (invoice.total, discount.end) == (900, None)  # type: ignore[union-attr]

"""Products, prices in several currencies, and plans, their old name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.engine.billing import refused
from tests.sandbox.engine.driver import Sandbox

MONTHLY = {"interval": "month"}


def create(sandbox: Sandbox, **params: Any) -> Any:
    wanted: Any = {"currency": "usd", "product_data": {"name": "Pro"}, **params}
    return sandbox.api.prices.create(wanted)


def test_a_recurring_price_is_a_plan_too(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    price = create(sandbox, unit_amount=1500, recurring=MONTHLY, nickname="A")
    plan = sandbox.api.plans.retrieve(price.id)
    assert (plan.id, plan.amount, plan.amount_decimal, plan.interval) == (price.id, 1500, 1500, "month")
    sandbox.api.prices.update(price.id, {"metadata": {"a": "1"}})
    assert sandbox.types(mark) == [
        "product.created", "price.created", "plan.created", "price.updated", "plan.updated"
    ]  # fmt: skip
    single = create(sandbox, unit_amount=1500)
    with refused("resource_missing"):
        sandbox.api.plans.retrieve(single.id)


def test_a_plan_is_a_price_of_the_same_id(sandbox: Sandbox) -> None:
    """Facts 1.2: legacy plan ids are valid price ids."""
    mark = sandbox.mark()
    plan = sandbox.api.plans.create(
        {
            "id": "small-monthly",
            "currency": "usd",
            "interval": "month",
            "amount": 2000,
            "product": {"name": "Small"},
        }
    )
    assert (plan.id, plan.amount) == ("small-monthly", 2000)
    assert sandbox.api.prices.retrieve("small-monthly").recurring.interval == "month"
    assert sandbox.api.products.retrieve(str(plan.product)).name == "Small"
    changed = sandbox.api.plans.update(plan.id, {"nickname": "S", "active": False})
    assert (changed.nickname, changed.active) == ("S", False)
    assert plan.id in [each.id for each in sandbox.api.plans.list({"product": str(plan.product)}).data]
    assert sandbox.types(mark) == [
        "product.created", "price.created", "plan.created", "price.updated", "plan.updated"
    ]  # fmt: skip
    with refused("resource_already_exists", "id"):
        sandbox.api.plans.create(
            {
                "id": "small-monthly",
                "currency": "usd",
                "interval": "month",
                "amount": 1,
                "product": str(plan.product),
            }
        )
    mark = sandbox.mark()
    assert sandbox.api.plans.delete(plan.id).deleted
    assert sandbox.types(mark) == ["plan.deleted", "price.deleted"]
    with refused("resource_missing"):
        sandbox.api.plans.retrieve(plan.id)


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"unit_amount_decimal": "12.5"}, "sandbox_not_built", "unit_amount_decimal"),
        ({"unit_amount_decimal": "12,5"}, None, "unit_amount_decimal"),
        ({"unit_amount": 1, "unit_amount_decimal": "1"}, "parameters_exclusive", "unit_amount"),
        ({"custom_unit_amount": {"enabled": True}}, "sandbox_not_built", "custom_unit_amount"),
        ({"billing_scheme": "tiered", "unit_amount": 1}, "sandbox_not_built", "billing_scheme"),
        ({"unit_amount": 1, "transform_quantity": {"divide_by": 2, "round": "up"}}, "sandbox_not_built",
         "transform_quantity"),
        ({"unit_amount": 150, "currency": "isk"}, "parameter_invalid_integer", "unit_amount"),
        ({"unit_amount": 150, "currency": "ugx"}, "parameter_invalid_integer", "unit_amount"),
        ({"unit_amount": 1501, "currency": "kwd"}, "parameter_invalid_integer", "unit_amount"),
        ({"unit_amount": 100_000_000}, "amount_too_large", "unit_amount"),
        ({"unit_amount": 1, "currency_options": {"isk": {"unit_amount": 150}}}, "parameter_invalid_integer",
         "currency_options[isk][unit_amount]"),
    ],
)  # fmt: skip
def test_what_no_price_can_be(sandbox: Sandbox, params: Any, code: str | None, param: str) -> None:
    """Facts 1.2: thousandths end in 0, ISK and UGX are whole hundreds; and what is not built says so."""
    with refused(code, param):
        create(sandbox, **params)


@pytest.mark.parametrize(("amount", "currency"), [(1500, "jpy"), (1500, "kwd"), (1500, "isk"), (1501, "huf")])
def test_what_its_currency_allows(sandbox: Sandbox, amount: int, currency: str) -> None:
    made = create(sandbox, unit_amount_decimal=f"{amount}.00", currency=currency)
    assert (made.unit_amount, made.unit_amount_decimal) == (amount, amount)


def test_a_price_has_an_amount_in_each_of_its_currencies(sandbox: Sandbox) -> None:
    price = create(sandbox, unit_amount=1500, currency_options={"eur": {"unit_amount": 1400}})
    sandbox.api.prices.update(price.id, {"currency_options": {"jpy": {"unit_amount": 200}}})
    shown = sandbox.api.prices.retrieve(price.id, {"expand": ["currency_options"]})
    amounts = {name: shown.currency_options[name].unit_amount for name in ("usd", "eur", "jpy")}
    assert amounts == {"usd": 1500, "eur": 1400, "jpy": 200}
    assert "currency_options" not in price.to_dict()


def test_up_to_ten_lookup_keys_find_prices(sandbox: Sandbox) -> None:
    key = create(sandbox, unit_amount=1).id
    price = create(sandbox, unit_amount=1, lookup_key=key)
    assert [each.id for each in sandbox.api.prices.list({"lookup_keys": [key, "other"]}).data] == [price.id]
    with refused(None, "lookup_keys"):
        sandbox.api.prices.list({"lookup_keys": [str(n) for n in range(11)]})


def test_an_updated_product_says_when(sandbox: Sandbox) -> None:
    """Facts 1.2: previous_attributes include `updated`, where the second is another one."""
    product = sandbox.api.products.create(
        {"name": "Pro", "default_price_data": {"currency": "usd", "unit_amount": 5}}
    )
    assert product.default_price
    mark = sandbox.mark()
    changed = sandbox.api.products.update(product.id, {"name": "Plus"})
    (event,) = [each for each in sandbox.events(mark) if each["type"] == "product.updated"]
    expected = {"name": "Pro"} | ({"updated": product.updated} if changed.updated != product.updated else {})
    assert event["data"]["previous_attributes"] == expected
    with refused(None):
        sandbox.api.products.delete(product.id)
    empty = sandbox.api.products.create({"name": "Empty"})
    assert sandbox.api.products.delete(empty.id).deleted
    assert sandbox.types(mark)[-1] == "product.deleted"

"""Discounts of subscriptions and customers: which invoices they reduce, and when they are over.

Driven inside the process: at 2026-10-28.endive no parameter of a customer puts a coupon on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import house
from sandbox.api import discounts as api
from sandbox.api.form import Params
from sandbox.api.operation import Call
from sandbox.engine import customers, discounts, invoicing, subscriptions
from sandbox.errors import ApiError
from sandbox.house import db
from sandbox.objects import catalogue
from sandbox.objects import discount as shapes
from tests.sandbox.engine.shapes import problems, samples

Json = dict[str, Any]

START = 1_800_000_000
MONTH = 31 * 86400


@pytest.fixture(autouse=True)
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(house, "_house", None)
    store = house.open_house(tmp_path, 1).store
    with store.transaction(moment=START):
        yield
    store.close()


def coupon(duration: str = "forever", percent: float | None = 20.0, **more: Any) -> Json:
    made = shapes.coupon(START, {"percent_off": percent, "duration": duration, **more})
    return db().put(made)


def subscribed(*coupons: Json) -> tuple[Json, Json]:
    """A customer, and a subscription of 20.00 a month that these coupons reduce."""
    customer = customers.create({"email": "a@example.com"})
    product = db().put(catalogue.product(START, {"name": "Pro"}))
    recurring = {"interval": "month", "interval_count": 1}
    given = {"currency": "usd", "unit_amount": 2000, "product": product["id"], "recurring": recurring}
    price = db().put(catalogue.price(START, given))
    sub = subscriptions.create(customer, [(price, 1)], START, {})
    target = {"customer": customer["id"], "subscription": sub["id"]}
    sub["discounts"] = [discounts.redeem(discounts.Offer(each), target)["id"] for each in coupons]
    return customer, db().put(sub)


def bill(customer: Json, sub: Json, at: int = START) -> int:
    """The total of the next invoice, final."""
    with db().transaction(moment=at):
        given = {"billing_reason": "subscription_cycle", "period": (at, at)}
        known = db().get("customer", customer["id"])
        fresh = db().get("subscription", sub["id"])
        invoice = invoicing.draft(known, fresh, invoicing.period_lines(fresh), given)
        invoicing.finalize(invoice)
        total: int = invoice["total"]
        return total


def told() -> list[str]:
    return [each["type"] for each in db().all("event") if "discount" in each["type"]]


def test_forever_reduces_every_invoice() -> None:
    customer, sub = subscribed(coupon())
    assert [bill(customer, sub, START + n * MONTH) for n in range(3)] == [1600, 1600, 1600]
    assert told() == ["customer.discount.created"]


def test_once_reduces_one_and_leaves_the_subscription() -> None:
    customer, sub = subscribed(coupon("once"))
    assert [bill(customer, sub), bill(customer, sub)] == [1600, 2000]
    assert db().get("subscription", sub["id"])["discounts"] == []
    assert told() == ["customer.discount.created", "customer.discount.deleted"]
    (discount,) = db().all("discount")
    assert (
        problems({key: value for key, value in discount.items() if key[0] != "_"}, samples().get("discount"))
        == []
    )


def test_a_draft_that_waits_holds_what_is_good_once() -> None:
    customer, sub = subscribed(coupon("once"))
    given = {"billing_reason": "subscription_cycle", "period": (START, START)}
    waits = invoicing.draft(customer, sub, invoicing.period_lines(sub), given)
    assert (waits["total"], bill(customer, sub)) == (1600, 2000)
    discounts.restore(waits)
    assert bill(customer, sub) == 1600


def test_repeating_is_over_after_its_months() -> None:
    """Three months from the day that it was redeemed: three monthly invoices."""
    customer, sub = subscribed(coupon("repeating", duration_in_months=3))
    (discount,) = db().all("discount")
    days = [START, START + 31 * 86400, START + 60 * 86400, discount["end"]]
    assert [bill(customer, sub, at) for at in days] == [1600, 1600, 1600, 2000]
    discounts.end_by_time(discount["id"])
    assert told()[-1] == "customer.discount.deleted"
    assert db().get("subscription", sub["id"])["discounts"] == []


def test_a_free_trial_does_not_use_up_what_is_good_once() -> None:
    customer, sub = subscribed(coupon("once"))
    given = {"billing_reason": "subscription_create", "period": (START, START)}
    free = invoicing.draft(customer, sub, invoicing.period_lines(sub, free=True), given)
    assert (free["total"], bill(customer, sub)) == (0, 1600)


def test_a_deleted_coupon_goes_on_where_it_was_redeemed() -> None:
    made = coupon()
    customer, sub = subscribed(made)
    db().put(made | {"_deleted": True, "valid": False})
    assert bill(customer, sub) == 1600


def test_the_subscriptions_discounts_come_before_the_customers() -> None:
    customer, sub = subscribed(coupon(percent=50.0))
    customer = discounts.give_customer(customer, coupon(percent=10.0)["id"])
    assert bill(customer, sub) == 1000
    discounts.end(db().get("discount", sub["discounts"][0]))
    assert bill(customer, sub) == 1800


def test_a_customers_discount_is_given_switched_and_taken() -> None:
    """Its three events (facts 2.4); `previous_attributes` of the switch say what it was."""
    customer = customers.create({"email": "a@example.com"})
    first, second = coupon(), coupon(percent=30.0)
    customer = discounts.give_customer(customer, first["id"])
    assert customer["discount"]["source"] == {"coupon": first["id"], "type": "coupon"}
    customer = discounts.give_customer(customer, second["id"])
    assert customer["discount"]["source"]["coupon"] == second["id"]
    switched = db().all("event")[-1]["data"]["previous_attributes"]
    assert switched["source"]["coupon"] == first["id"]
    customer = discounts.give_customer(customer, None)
    assert customer["discount"] is None
    assert told() == [f"customer.discount.{each}" for each in ("created", "updated", "deleted")]
    assert [each["times_redeemed"] for each in db().all("coupon")] == [1, 1]


def test_a_typed_code_is_found_in_any_case_and_the_persons_own_first() -> None:
    made = coupon()
    general = db().put(shapes.promotion_code(START, made["id"], {"code": "FALL"}))
    own = db().put(shapes.promotion_code(START, made["id"], {"code": "Fall", "customer": "cus_1"}))
    found = [discounts.typed("fall ", customer) for customer in (None, "cus_1", "cus_2")]
    assert [each.code["id"] for each in found if each and each.code] == [
        general["id"],
        own["id"],
        general["id"],
    ]
    assert discounts.typed("winter", None) is None


@pytest.mark.parametrize("owner", ["customer", "subscription"])
def test_the_api_takes_a_discount_away(owner: str) -> None:
    customer, sub = subscribed(coupon())
    customer = discounts.give_customer(customer, coupon(percent=10.0)["id"])
    about = customer if owner == "customer" else sub
    run = getattr(api, f"of_{owner}")
    call = Call("DELETE", "", (about["id"],), Params({}))
    gone = run(call)
    assert (gone["deleted"], gone["object"], gone[owner]) == (True, "discount", about["id"])
    assert "end" not in gone
    assert told()[-1] == "customer.discount.deleted"
    assert bill(customer, sub) == (1600 if owner == "customer" else 1800)
    with pytest.raises(ApiError) as caught:
        run(call)
    assert (caught.value.status, caught.value.error["code"]) == (404, "resource_missing")


def test_a_subscription_in_another_currency_pays_that_price_and_amount_off() -> None:
    customer, sub = subscribed(coupon("once", None, amount_off=500, currency="usd",
                                      currency_options={"eur": {"amount_off": 450}}))  # fmt: skip
    price = db().get("price", sub["items"]["data"][0]["price"]["id"])
    db().put(price | {"_currency_options": {"eur": {"unit_amount": 1800, "tax_behavior": "unspecified"}}})
    db().put(sub | {"currency": "eur"})
    assert [bill(customer, sub), bill(customer, sub)] == [1350, 1800]
    (first, _) = db().all("invoice")
    (line,) = first["lines"]["data"]
    assert (line["description"], line["pricing"]["unit_amount_decimal"]) == (
        "1 × Pro (at €18.00 / month)",
        "1800",
    )

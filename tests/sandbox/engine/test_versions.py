"""Older API versions: each shape is written out by hand from facts 1.5, 1.10 and 1.13."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox import versions
from sandbox.versions import basil
from sandbox.versions.change import Request
from tests.sandbox.engine.driver import Endpoint, Sandbox

ACACIA, BASIL, CLOVER, DAHLIA = (
    "2025-02-24.acacia",
    "2025-03-31.basil",
    "2025-09-30.clover",
    "2026-03-25.dahlia",
)
MODERN = "2026-10-28.endive"
Json = dict[str, Any]


def at(sandbox: Sandbox, version: str, path: str) -> Json:
    answer = sandbox.raw("GET", path, **{"Stripe-Version": version})
    assert answer.status == 200, answer.body
    assert answer.headers["Stripe-Version"] == version
    return answer.json


def new_and_gone(sandbox: Sandbox, path: str, older: str) -> tuple[Json, Json, Json]:
    """The old shape, what only it has, and what only the new one has."""
    old, new = at(sandbox, older, path), at(sandbox, MODERN, path)
    return (
        old,
        {key: value for key, value in old.items() if key not in new},
        {key: value for key, value in new.items() if key not in old},
    )


@pytest.fixture(scope="module")
def subscribed(shared_sandbox: Sandbox) -> Any:
    return shared_sandbox.subscriber(subscription_data={"metadata": {"user_id": "7"}})


def test_a_version_that_there_is_not_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.raw("GET", "/v1/account", **{"Stripe-Version": "2030-01-01.fern"})
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["message"] == "Invalid Stripe API version: 2030-01-01.fern"


def test_a_request_without_a_version_has_the_accounts(sandbox: Sandbox, subscribed: Any) -> None:
    path = f"/v1/subscriptions/{subscribed.id}"
    assert "current_period_end" not in sandbox.raw("GET", path).json
    sandbox.control("settings", api_version=ACACIA)
    answer = sandbox.raw("GET", path)
    sandbox.control("settings", api_version=MODERN)
    assert answer.headers["Stripe-Version"] == ACACIA
    assert answer.json["current_period_end"] == subscribed.items.data[0].current_period_end


def test_a_subscription_had_the_period_and_its_items_had_none(sandbox: Sandbox, subscribed: Any) -> None:
    item = subscribed.items.data[0]
    old, only_old, only_new = new_and_gone(sandbox, f"/v1/subscriptions/{subscribed.id}", ACACIA)
    assert {key: value for key, value in only_old.items() if key not in ("plan", "quantity")} == {
        "current_period_end": item.current_period_end,
        "current_period_start": item.current_period_start,
        "discount": None,
    }
    assert only_new == {}
    assert old["quantity"] == 1
    assert (old["plan"]["id"], old["plan"]["object"], old["plan"]["amount"]) == (item.price.id, "plan", 2500)
    (old_item,) = old["items"]["data"]
    assert {"current_period_start", "current_period_end"} & set(old_item) == set()
    assert old_item["price"]["id"] == item.price.id


def test_basil_already_had_the_period_on_the_items(sandbox: Sandbox, subscribed: Any) -> None:
    _, only_old, only_new = new_and_gone(sandbox, f"/v1/subscriptions/{subscribed.id}", BASIL)
    assert (only_old, only_new) == ({}, {})


def test_an_invoice_named_its_subscription_its_payment_and_its_tax(sandbox: Sandbox, subscribed: Any) -> None:
    path = f"/v1/invoices/{subscribed.latest_invoice}"
    charge = sandbox.charges(subscribed.customer)[0]
    _, only_old, only_new = new_and_gone(sandbox, path, ACACIA)
    assert only_old == {
        "charge": charge["id"],
        "discount": None,
        "paid": True,
        "paid_out_of_band": False,
        "payment_intent": charge["payment_intent"],
        "quote": None,
        "subscription": subscribed.id,
        "subscription_details": {"metadata": {"user_id": "7"}},
        "tax": None,
        "total_tax_amounts": [],
    }
    assert set(only_new) == {"parent", "total_taxes"}


def test_a_line_had_its_price_and_what_it_was_of(sandbox: Sandbox, subscribed: Any) -> None:
    item = subscribed.items.data[0]
    path = f"/v1/invoices/{subscribed.latest_invoice}/lines"
    (old,), (new,) = at(sandbox, ACACIA, path)["data"], at(sandbox, MODERN, path)["data"]
    only_old = {key: value for key, value in old.items() if key not in new}
    assert (only_old.pop("price")["id"], only_old.pop("plan")["id"]) == (item.price.id, item.price.id)
    assert only_old == {
        "amount_excluding_tax": 2500,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription_item": item.id,
        "tax_amounts": [],
        "tax_rates": [],
        "type": "subscription",
        "unit_amount_excluding_tax": "2500",
    }
    assert set(new) - set(old) == {"parent", "pricing", "quantity_decimal", "subtotal", "taxes"}
    assert old["subscription"] == subscribed.id


def test_a_payment_named_its_invoice(sandbox: Sandbox, subscribed: Any) -> None:
    charge = sandbox.charges(subscribed.customer)[0]
    for path in (f"/v1/charges/{charge['id']}", f"/v1/payment_intents/{charge['payment_intent']}"):
        _, only_old, only_new = new_and_gone(sandbox, path, ACACIA)
        assert (only_old, only_new) == ({"invoice": subscribed.latest_invoice}, {})


def test_a_session_named_its_ui_mode_otherwise_and_had_shipping_details(sandbox: Sandbox) -> None:
    path = f"/v1/checkout/sessions/{sandbox.session().id}"
    shown = {version: at(sandbox, version, path) for version in (ACACIA, CLOVER, DAHLIA, MODERN)}
    assert {version: each["ui_mode"] for version, each in shown.items()} == {
        ACACIA: "hosted",
        CLOVER: "hosted",
        DAHLIA: "hosted_page",
        MODERN: "hosted_page",
    }
    assert shown[ACACIA]["shipping_details"] is None
    assert "shipping_details" not in shown[CLOVER]


def test_what_is_expanded_is_as_old_and_what_was_there_could_be_expanded(
    sandbox: Sandbox, subscribed: Any
) -> None:
    query = "expand[]=latest_invoice.payment_intent&expand[]=latest_invoice.subscription"
    old = at(sandbox, ACACIA, f"/v1/subscriptions/{subscribed.id}?{query}")
    invoice = old["latest_invoice"]
    assert invoice["paid"] is True
    assert (invoice["payment_intent"]["object"], invoice["payment_intent"]["invoice"]) == (
        "payment_intent",
        invoice["id"],
    )
    assert invoice["subscription"]["current_period_end"] == old["current_period_end"]
    assert "parent" not in invoice["lines"]["data"][0]
    listed = at(sandbox, ACACIA, f"/v1/subscriptions?customer={subscribed.customer}")
    assert listed["data"][0]["current_period_end"] == old["current_period_end"]


def test_an_idempotent_answer_is_replayed_in_the_shape_that_it_had(sandbox: Sandbox, subscribed: Any) -> None:
    path, words = f"/v1/subscriptions/{subscribed.id}", "metadata[user_id]=7"
    first = sandbox.raw("POST", path, words, "shape-1", **{"Stripe-Version": ACACIA})
    again = sandbox.raw("POST", path, words, "shape-1")
    assert again.json == first.json
    assert "current_period_end" in again.json


def old_endpoint(sandbox: Sandbox, version: str | None) -> tuple[Endpoint, str]:
    hook = Endpoint()
    given: Any = {"url": hook.url, "enabled_events": ["*"]}
    made = sandbox.api.webhook_endpoints.create(given | ({"api_version": version} if version else {}))
    assert made.api_version == version
    return hook, made.id


def test_an_endpoint_is_sent_its_own_version_beside_one_of_the_accounts(sandbox: Sandbox) -> None:
    hooks = {version: old_endpoint(sandbox, version) for version in (ACACIA, None)}
    sub = sandbox.subscriber()
    sandbox.advance(sub.customer, sub.items.data[0].current_period_end + 3600)
    sandbox.control("deliveries/flush")
    for _, made in hooks.values():
        sandbox.api.webhook_endpoints.delete(made)
    old, new = hooks[ACACIA][0], hooks[None][0]
    assert {each["api_version"] for each in old.events()} == {ACACIA}
    assert {each["api_version"] for each in new.events()} == {MODERN}
    assert sorted(set(new.types()) - set(old.types())) == ["invoice_payment.paid"]
    assert all(each["pending_webhooks"] >= 1 for each in old.events())
    by_id = {each["id"]: each for each in new.events()}
    (renewal,) = [
        each
        for each in old.events()
        if each["type"] == "customer.subscription.updated"
        and "current_period_end" in each["data"].get("previous_attributes", {})
    ]
    (before,) = by_id[renewal["id"]]["data"]["previous_attributes"]["items"]["data"]
    # facts 3.6 and 3.13: the keys of a renewal before basil
    assert renewal["data"]["previous_attributes"] == {
        "current_period_end": sub.items.data[0].current_period_end,
        "current_period_start": sub.items.data[0].current_period_start,
        "latest_invoice": sub.latest_invoice,
    }
    assert before["current_period_end"] == sub.items.data[0].current_period_end
    (created, _) = [each["data"]["object"] for each in old.events() if each["type"] == "invoice.created"]
    assert (created["subscription"], created["lines"]["data"][0]["type"]) == (sub.id, "subscription")
    for hook in (old, new):
        hook.close()


def test_an_event_is_read_in_the_version_that_it_was_made_in(sandbox: Sandbox, subscribed: Any) -> None:
    created = sandbox.api.events.list({"type": "customer.subscription.created", "limit": 100})
    (made,) = [
        each
        for each in created.to_dict(for_json=True)["data"]
        if each["data"]["object"]["customer"] == subscribed.customer
    ]
    read = at(sandbox, ACACIA, f"/v1/events/{made['id']}")
    assert read["api_version"] == MODERN
    assert "current_period_end" not in read["data"]["object"]


DISCOUNT = {"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": "nobody"}, "start": 1}


def test_a_discount_and_a_promotion_code_held_the_coupon(sandbox: Sandbox) -> None:
    coupon = {"id": "HALF", "object": "coupon", "percent_off": 50}
    discount = DISCOUNT | {"source": {"type": "coupon", "coupon": coupon}}
    code = {"id": "promo_1", "object": "promotion_code", "promotion": {"type": "coupon", "coupon": coupon}}
    for node in (discount, code):
        expected = {key: value for key, value in node.items() if key not in ("source", "promotion")}
        copy = json.loads(json.dumps(node))
        basil.CHANGES[0].answers[str(node["object"])](copy)
        assert copy == expected | {"coupon": coupon}


UP = [
    (ACACIA, "/v1/customers", {"coupon": "HALF", "name": "A"}, {"name": "A"}, {"coupon": "HALF"}),
    (ACACIA, "/v1/subscriptions", {"coupon": "HALF"}, {"discounts": {"0": {"coupon": "HALF"}}}, {}),
    (ACACIA, "/v1/subscriptions", {"promotion_code": "p"}, {"discounts": {"0": {"promotion_code": "p"}}}, {}),
    (ACACIA, "/v1/subscriptions/<id>", {"coupon": ""}, {"discounts": ""}, {}),
    (ACACIA, "/v1/subscriptions", {"items": {"0": {"plan": "p"}}}, {"items": {"0": {"price": "p"}}}, {}),
    (ACACIA, "/v1/invoiceitems", {"price": "p"}, {"pricing": {"price": "p"}}, {}),
    (BASIL, "/v1/promotion_codes", {"coupon": "H"}, {"promotion": {"type": "coupon", "coupon": "H"}}, {}),
    (CLOVER, "/v1/promotion_codes", {"coupon": "H"}, {"coupon": "H"}, {}),
    (CLOVER, "/v1/checkout/sessions", {"ui_mode": "embedded"}, {"ui_mode": "embedded_page"}, {}),
    (
        DAHLIA,
        "/v1/payment_intents",
        {"payment_method_types": {"0": "card"}},
        {"allowed_payment_method_types": {"0": "card"}},
        {},
    ),
    (
        DAHLIA,
        "/v1/subscriptions/<id>",
        {"billing_cycle_anchor": "now"},
        {"billing_cycle_anchor": {"type": "now"}},
        {},
    ),
    (
        MODERN,
        "/v1/payment_intents",
        {"payment_method_types": {"0": "card"}},
        {"payment_method_types": {"0": "card"}},
        {},
    ),
    (MODERN, "/v1/customers", {"coupon": "HALF"}, {"coupon": "HALF"}, {}),
]


@pytest.mark.parametrize(("version", "path", "sent", "understood", "beside"), UP)
def test_older_parameters_are_brought_forward(
    version: str, path: str, sent: Json, understood: Json, beside: Json
) -> None:
    assert versions.modern(Request("POST", path, sent), version) == (understood, beside)


def test_iterations_of_a_phase_are_so_many_of_its_prices_intervals() -> None:
    phase = {
        "iterations": "2",
        "items": {"0": {"price_data": {"recurring": {"interval": "month", "interval_count": "3"}}}},
    }
    tree, _ = versions.modern(Request("POST", "/v1/subscription_schedules", {"phases": {"0": phase}}), BASIL)
    assert tree["phases"]["0"]["duration"] == {"interval": "month", "interval_count": "6"}
    assert "iterations" not in tree["phases"]["0"]


def test_a_customers_coupon_is_given_and_shown_as_it_was_before_basil(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 20, "duration": "forever"})
    old = {"Stripe-Version": ACACIA}
    made = sandbox.raw("POST", "/v1/customers", f"coupon={coupon.id}", **old).json
    assert (made["discount"]["coupon"]["id"], made["discount"]["coupon"]["percent_off"]) == (coupon.id, 20)
    assert "source" not in made["discount"]
    new = at(sandbox, MODERN, f"/v1/customers/{made['id']}")
    assert new["discount"]["source"] == {"coupon": coupon.id, "type": "coupon"}
    assert "coupon" not in new["discount"]
    assert "customer.discount.created" in sandbox.types(about=made["id"])
    gone = sandbox.raw("POST", f"/v1/customers/{made['id']}", "coupon=", **old).json
    assert gone["discount"] is None


def test_a_subscriptions_coupon_is_its_discount_before_basil(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 20, "duration": "forever"})
    customer = sandbox.customer()
    sandbox.api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    (card,) = sandbox.api.payment_methods.list({"customer": customer.id}).data
    words = f"customer={customer.id}&items[0][plan]={sandbox.price()}&coupon={coupon.id}"
    words += f"&default_payment_method={card.id}"
    made = sandbox.raw("POST", "/v1/subscriptions", words, **{"Stripe-Version": ACACIA})
    assert made.status == 200, made.body
    assert made.json["discount"]["coupon"]["id"] == coupon.id
    invoice = at(sandbox, ACACIA, f"/v1/invoices/{made.json['latest_invoice']}")
    assert (invoice["discount"]["coupon"]["id"], invoice["total"], invoice["paid"]) == (coupon.id, 2000, True)
    line = invoice["lines"]["data"][0]
    assert (line["price"]["unit_amount"], line["amount"], line["type"]) == (2500, 2500, "subscription")


def test_a_promotion_code_is_made_of_a_coupon_before_clover(sandbox: Sandbox) -> None:
    coupon = sandbox.api.coupons.create({"percent_off": 20, "duration": "once"})
    made = sandbox.raw("POST", "/v1/promotion_codes", f"coupon={coupon.id}", **{"Stripe-Version": BASIL})
    assert (made.status, made.json["coupon"]["id"], "promotion" in made.json) == (200, coupon.id, False)
    shown = at(sandbox, MODERN, f"/v1/promotion_codes/{made.json['id']}")
    assert shown["promotion"] == {"coupon": coupon.id, "type": "coupon"}


def test_phases_of_a_schedule_are_counted_in_iterations_before_clover(sandbox: Sandbox) -> None:
    customer, price = sandbox.customer(), sandbox.price()
    phases = "".join(
        f"&phases[{n}][iterations]={n + 1}&phases[{n}][items][0][price]={price}" for n in range(2)
    )
    words = f"customer={customer.id}&start_date=now{phases}"
    made = sandbox.raw("POST", "/v1/subscription_schedules", words, **{"Stripe-Version": BASIL})
    assert made.status == 200, made.body
    first, second = made.json["phases"]
    assert first["end_date"] == second["start_date"]
    days = [(each["end_date"] - each["start_date"]) / 86400 for each in (first, second)]
    assert (28 <= days[0] <= 31, 59 <= days[1] <= 62) == (True, True)


def test_what_endive_removed_is_refused_there_and_taken_from_older_clients(sandbox: Sandbox) -> None:
    words = "mode=setup&currency=usd&success_url=http://127.0.0.1:9/&payment_method_types[0]=card"
    refused = sandbox.raw("POST", "/v1/checkout/sessions", words)
    assert refused.error["code"] == "payment_method_types_no_longer_supported"
    older = sandbox.raw("POST", "/v1/checkout/sessions", words, **{"Stripe-Version": DAHLIA})
    assert older.json.get("error", {}).get("code") != "payment_method_types_no_longer_supported"
    assert sandbox.raw("POST", "/v1/customers", "coupon=HALF").error["code"] == "parameter_unknown"
    taken = sandbox.raw("POST", "/v1/customers", "coupon=NOBODY", **{"Stripe-Version": ACACIA})
    assert (taken.error["code"], "NOBODY" in taken.error["message"]) == ("resource_missing", True)

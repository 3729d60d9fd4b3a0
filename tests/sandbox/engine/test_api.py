"""The API's manners: keys, parameters, errors, lists, expansion, money."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox


def refused(call: Any, *args: Any) -> Any:
    """The error that a call ends in."""
    with pytest.raises(stripe.StripeError) as caught:
        call(*args)
    return caught.value


@pytest.mark.parametrize("key", ["", "sk_live_0123456789abcdefghij", "sk_test_short"])
def test_only_a_test_key_is_let_in(sandbox: Sandbox, key: str) -> None:
    answer = sandbox.raw("GET", "/v1/account", Authorization=f"Bearer {key}")
    assert answer.status == 401
    assert set(answer.error) == {"message", "type"}
    assert key not in answer.body.decode() or not key


def test_a_restricted_test_key_and_basic_authentication_work(sandbox: Sandbox) -> None:
    assert sandbox.raw("GET", "/v1/account", Authorization="Bearer rk_test_0123456789abcdef").status == 200
    assert (
        sandbox.raw("GET", "/v1/account", Authorization="Basic c2tfdGVzdF8wMTIzNDU2Nzg5OmFiYw==").status
        == 200
    )


def test_the_account_keeps_its_id(sandbox: Sandbox) -> None:
    account = sandbox.api.accounts.retrieve_current()
    assert account.id.startswith("acct_1")
    assert sandbox.api.accounts.retrieve(account.id).id == account.id


def test_answers_carry_stripes_headers(sandbox: Sandbox) -> None:
    answer = sandbox.raw("GET", "/v1/account")
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache, no-store"
    assert "Idempotency-Key" not in answer.headers


def test_an_address_that_does_not_exist_says_so(sandbox: Sandbox) -> None:
    for method, path in (("POST", "/v1/quotes"), ("GET", "/v1/customers/search?query=x")):
        answer = sandbox.raw(method, path)
        assert answer.status == 404
        assert "Unrecognized request URL" in answer.error["message"]


def test_a_missing_object_is_404_with_its_id(sandbox: Sandbox) -> None:
    error = refused(sandbox.api.customers.retrieve, "cus_nobody")
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert "No such customer: 'cus_nobody'" in str(error)


def test_nested_unknown_parameters_are_named_in_brackets(sandbox: Sandbox) -> None:
    answer = sandbox.raw("POST", "/v1/checkout/sessions", "mode=payment&line_items[0][colour]=red")
    assert (answer.error["code"], answer.error["param"]) == ("parameter_unknown", "line_items[0][colour]")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        (
            {"payment_method_types": ["card"]},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ({"discounts": [{"coupon": "x"}]}, "resource_missing", "discounts[0][coupon]"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"success_url": "ftp://x"}, "url_invalid", "success_url"),
        (
            {"line_items": [{"price": "price_nothing", "quantity": 1}]},
            "resource_missing",
            "line_items[0][price]",
        ),
        ({"automatic_tax": {"enabled": True}}, "sandbox_not_built", "automatic_tax[enabled]"),
        ({"payment_intent_data": {"description": "x"}}, None, "payment_intent_data"),
        ({"expires_at": 1}, None, "expires_at"),
    ],
)
def test_checkout_refuses_what_endive_refuses(sandbox: Sandbox, params: Any, code: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session(**params)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_subscriptions_refuse_removed_parameters(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    for name in ("coupon", "promotion_code"):
        answer = sandbox.raw("POST", f"/v1/subscriptions/{sub.id}", f"{name}=x")
        assert (answer.status, answer.error["code"]) == (400, "parameter_unknown")
    answer = sandbox.raw("POST", f"/v1/subscriptions/{sub.id}", "billing_cycle_anchor=now")
    assert (answer.status, answer.error["param"]) == (400, "billing_cycle_anchor")
    anchored = sandbox.raw("POST", f"/v1/subscriptions/{sub.id}", "billing_cycle_anchor[type]=unchanged")
    assert anchored.status == 200


@pytest.mark.parametrize(
    ("currency", "amount", "right"),
    [
        ("jpy", 501, True), ("kwd", 1230, True), ("kwd", 1234, False), ("isk", 10000, True),
        ("isk", 10050, False), ("ugx", 150, False), ("usd", 99_999_999, True), ("usd", 100_000_000, False),
        ("idr", 999_999_999_999, True), ("usd", -1, False), ("xxx", 100, False), ("usd", 0, True),
    ],
)  # fmt: skip
def test_amounts_follow_their_currency(sandbox: Sandbox, currency: str, amount: int, right: bool) -> None:
    if right:
        assert sandbox.price(amount, currency=currency).startswith("price_")
    else:
        assert isinstance(refused(sandbox.price, amount, "month", currency), stripe.InvalidRequestError)


def test_a_total_under_the_minimum_charge_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session("payment", price=sandbox.price(49, None))
    assert caught.value.code == "amount_too_small"


def test_prices_are_found_by_lookup_key_and_the_key_moves_on_request(sandbox: Sandbox) -> None:
    product = sandbox.api.products.create({"name": "Pro"})
    base: Any = {"product": product.id, "currency": "eur", "recurring": {"interval": "year"}}
    first = sandbox.api.prices.create({**base, "unit_amount": 100, "lookup_key": "pro_y"})
    found = sandbox.api.prices.list({"lookup_keys": ["pro_y", "nothing"], "expand": ["data.product"]}).data
    assert [each.id for each in found] == [first.id]
    assert found[0].product.name == "Pro"
    again = {**base, "unit_amount": 200, "lookup_key": "pro_y"}
    assert isinstance(refused(sandbox.api.prices.create, again), stripe.InvalidRequestError)
    second = sandbox.api.prices.create({**again, "transfer_lookup_key": True})
    assert sandbox.api.prices.retrieve(first.id).lookup_key is None
    assert [each.id for each in sandbox.api.prices.list({"lookup_keys": ["pro_y"]}).data] == [second.id]
    sandbox.api.prices.update(first.id, {"active": False})
    active = sandbox.api.prices.list({"product": product.id, "active": True}).data
    assert [each.id for each in active] == [second.id]


def test_metadata_merges_clears_and_has_limits(sandbox: Sandbox) -> None:
    customer = sandbox.api.customers.create({"metadata": {"a": "1", "b": "2"}})
    mark = sandbox.mark()
    changed = sandbox.api.customers.update(customer.id, {"metadata": {"b": "", "c": "3"}})
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    (event,) = sandbox.events(mark, customer.id)
    assert event["data"]["previous_attributes"] == {"metadata": {"b": "2", "c": None}}
    assert sandbox.api.customers.update(customer.id, {"metadata": ""}).metadata.to_dict() == {}
    too_many: Any = {"metadata": {f"k{n}": "x" for n in range(51)}}
    assert "50 keys" in str(refused(sandbox.api.customers.update, customer.id, too_many))
    assert "500" in str(refused(sandbox.api.customers.update, customer.id, {"metadata": {"k": "x" * 501}}))


def test_an_update_that_changes_nothing_is_no_event(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    mark = sandbox.mark()
    sandbox.api.customers.update(customer.id, {"email": "alice@example.com"})
    assert sandbox.events(mark) == []


def test_lists_come_newest_first_in_pages_both_ways(sandbox: Sandbox) -> None:
    made = [sandbox.customer("page@example.com").id for _ in range(5)][::-1]
    listed = sandbox.api.customers.list
    first = listed({"email": "page@example.com", "limit": 2})
    assert ([each.id for each in first.data], first.has_more, first.url) == (made[:2], True, "/v1/customers")
    everything = listed({"email": "page@example.com", "limit": 2}).auto_paging_iter()
    assert [each.id for each in everything] == made
    last = listed({"email": "page@example.com", "starting_after": made[2]})
    assert ([each.id for each in last.data], last.has_more) == (made[3:], False)
    before = listed({"email": "page@example.com", "ending_before": made[3], "limit": 2})
    assert ([each.id for each in before.data], before.has_more) == (made[1:3], True)
    assert refused(listed, {"limit": 101}).code == "parameter_invalid_integer"
    assert refused(listed, {"starting_after": "cus_nobody"}).code == "resource_missing"


def test_lists_are_filtered_by_time(sandbox: Sandbox) -> None:
    clock = sandbox.api.test_helpers.test_clocks.create({"frozen_time": 1_950_000_000})
    customer = sandbox.api.customers.create({"test_clock": clock.id})
    there = {"test_clock": clock.id}
    later = sandbox.api.customers.list({"created": {"gte": 1_950_000_000}, **there}).data
    assert [each.id for each in later] == [customer.id]
    assert sandbox.api.customers.list({"created": {"gt": 1_950_000_000}, **there}).data == []


def test_expansion_follows_ids_and_adds_what_is_left_out(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    invoice = sandbox.api.invoices.retrieve(sub.latest_invoice)
    assert not hasattr(invoice, "payments")
    assert not hasattr(invoice, "confirmation_secret")
    deep = sandbox.api.subscriptions.retrieve(
        sub.id,
        {
            "expand": [
                "customer",
                "latest_invoice.payments.data.payment.payment_intent",
                "items.data.price.product",
            ]
        },
    )
    assert deep.customer.email == "alice@example.com"
    assert deep.latest_invoice.payments.data[0].payment.payment_intent.status == "succeeded"
    assert deep.items.data[0].price.product.name == "Pro"
    customer = sandbox.api.customers.retrieve(sub.customer, {"expand": ["subscriptions"]})
    assert customer.subscriptions.data[0].id == sub.id
    error = refused(sandbox.api.subscriptions.retrieve, sub.id, {"expand": ["colour"]})
    assert "cannot be expanded (colour)" in str(error)


def test_subscriptions_are_listed_by_status(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    listed = sandbox.api.subscriptions.list
    assert [each.id for each in listed({"customer": sub.customer}).data] == [sub.id]
    sandbox.api.subscriptions.cancel(sub.id)
    assert listed({"customer": sub.customer}).data == []
    for status in ("canceled", "ended", "all"):
        assert [each.id for each in listed({"customer": sub.customer, "status": status}).data] == [sub.id]


def test_a_payment_leads_to_its_invoice(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    intent = sandbox.charges(sub.customer)[0]["payment_intent"]
    payment = {"type": "payment_intent", "payment_intent": intent}
    (found,) = sandbox.api.invoice_payments.list({"payment": payment}).data  # type: ignore[arg-type,typeddict-item]
    assert found.invoice == sub.latest_invoice
    assert sandbox.api.invoices.list({"subscription": sub.id}).data[0].id == sub.latest_invoice


def test_events_are_filtered_by_type_and_delivery(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    found = sandbox.api.events.list(
        {"types": ["invoice.paid", "customer.subscription.created"], "limit": 2}
    ).data
    assert {each.type for each in found} == {"invoice.paid", "customer.subscription.created"}
    assert found[0].data.object.customer == sub.customer
    assert sandbox.api.events.retrieve(found[0].id).pending_webhooks == 0


def test_a_deleted_customer_is_a_tombstone_and_its_subscription_ends(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    assert sandbox.api.customers.delete(sub.customer).deleted
    assert sandbox.api.customers.retrieve(sub.customer).deleted
    assert sandbox.api.subscriptions.retrieve(sub.id).status == "canceled"
    assert sandbox.types(about=sub.customer)[-2:] == ["customer.subscription.deleted", "customer.deleted"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.session(customer=sub.customer)
    assert caught.value.code == "resource_missing"


def test_cards_attach_by_alias_unless_the_bank_refuses(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    attach = sandbox.api.payment_methods.attach
    one, two = (attach("pm_card_visa", {"customer": customer.id}) for _ in range(2))
    assert one.id != two.id
    assert attach("pm_card_chargeCustomerFail", {"customer": customer.id}).card.last4 == "0341"
    error = refused(attach, "pm_card_chargeDeclined", {"customer": customer.id})
    assert (error.http_status, error.code) == (402, "card_declined")
    assert (error.error.decline_code, error.error.network_decline_code) == ("generic_decline", "01")
    assert len(sandbox.api.payment_methods.list({"customer": customer.id}).data) == 3
    updated = sandbox.api.customers.update(
        customer.id, {"invoice_settings": {"default_payment_method": one.id}}
    )
    assert updated.invoice_settings.default_payment_method == one.id
    assert sandbox.api.payment_methods.detach(one.id).customer is None


def test_a_card_that_the_bank_refuses_leaves_no_customer_behind(sandbox: Sandbox) -> None:
    given: Any = {"email": "refused@example.com", "payment_method": "pm_card_chargeDeclined"}
    mark = sandbox.mark()
    assert refused(sandbox.api.customers.create, given).http_status == 402
    assert sandbox.api.customers.list({"email": "refused@example.com"}).data == []
    assert sandbox.types(mark) == []


@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
        ({"exp_year": 2001}, "invalid_expiry_year", "exp_year"),
        ({"cvc": "99"}, "incorrect_cvc", "cvc"),
    ],
)
def test_a_card_that_cannot_be_read_is_a_card_error(
    sandbox: Sandbox, changed: Any, code: str, param: str
) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123", **changed}
    error = refused(sandbox.api.payment_methods.create, {"type": "card", "card": card})
    assert isinstance(error, stripe.CardError)
    assert (error.error.type, error.code, error.param) == ("card_error", code, param)


def test_portal_links_are_made_only_for_flows_that_exist_here(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    create = sandbox.api.billing_portal.sessions.create
    after = {"type": "redirect", "redirect": {"return_url": "http://127.0.0.1:9/back"}}
    flow: Any = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": sub.id},
        "after_completion": after,
    }
    session = create({"customer": sub.customer, "return_url": "http://127.0.0.1:9/", "flow_data": flow})
    assert session.flow.subscription_cancel.subscription == sub.id
    answer = sandbox.form(f"{session.url}/cancel/{sub.id}", feedback="unused", comment="bye")
    assert answer.location == "http://127.0.0.1:9/back"
    ended = sandbox.api.subscriptions.retrieve(sub.id)
    assert (ended.cancel_at_period_end, ended.cancellation_details.feedback) == (True, "unused")
    error = refused(create, {"customer": sub.customer, "flow_data": {"type": "subscription_update"}})
    assert error.param == "flow_data[type]"
    assert "feature `subscription_update`" in str(error)

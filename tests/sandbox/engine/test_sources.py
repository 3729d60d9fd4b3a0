"""Sources: cards as the older API keeps them, which later charges find."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine import shapes
from tests.sandbox.engine.driver import Sandbox


def test_a_customer_made_with_a_token_has_a_default_source(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    customer: Any = sandbox.api.customers.create({"source": "tok_visa"})
    assert customer.default_source.startswith("card_1")
    told = sandbox.events(mark)
    assert [each["type"] for each in told] == [
        "customer.created",
        "customer.source.created",
        "customer.updated",
    ]
    assert told[2]["data"]["previous_attributes"] == {"default_source": None}
    assert told[1]["data"]["object"]["object"] == "card"
    seen: Any = sandbox.api.customers.retrieve(customer.id, {"expand": ["default_source", "sources"]})
    assert (seen.default_source.brand, seen.default_source.last4) == ("Visa", "4242")
    assert [each.id for each in seen.sources.data] == [customer.default_source]
    assert shapes.problems(seen.default_source.to_dict(for_json=True), shapes.samples().get("card")) == []


def test_a_refused_card_makes_no_customer(sandbox: Sandbox) -> None:
    mark = sandbox.mark()
    with pytest.raises(stripe.CardError):
        sandbox.api.customers.create({"source": "tok_chargeDeclined"})
    assert sandbox.events(mark) == []


def test_sources_are_added_changed_listed_and_removed(sandbox: Sandbox) -> None:
    customer = sandbox.customer().id
    api = sandbox.api.customers.payment_sources
    first = api.create(customer, {"source": "tok_visa"})
    second = api.create(customer, {"source": "tok_mastercard"})
    assert sandbox.api.customers.retrieve(customer).default_source == first.id
    assert [each.id for each in api.list(customer).data] == [second.id, first.id]
    mark = sandbox.mark()
    changed: Any = api.update(customer, first.id, {"metadata": {"foo": "bar"}, "exp_year": "2041"})
    assert (changed.metadata["foo"], changed.exp_year) == ("bar", 2041)
    (event,) = sandbox.events(mark)
    assert event["type"] == "customer.source.updated"
    assert event["data"]["previous_attributes"]["metadata"] == {"foo": None}
    mark = sandbox.mark()
    assert api.delete(customer, first.id).deleted
    assert sandbox.types(mark) == ["customer.source.deleted", "customer.updated"]
    assert sandbox.api.customers.retrieve(customer).default_source == second.id
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.retrieve(customer, first.id)
    assert caught.value.code == "resource_missing"


def test_the_default_source_is_charged_where_there_is_no_default_payment_method(sandbox: Sandbox) -> None:
    """Facts 3.9: subscription's own, then the customer's default payment method, then its default source."""
    sub = sandbox.past_due()
    for method in sandbox.api.payment_methods.list({"customer": sub.customer}).data:
        sandbox.api.payment_methods.detach(method.id)
    sandbox.api.customers.payment_sources.create(sub.customer, {"source": "tok_visa"})
    assert sandbox.api.invoices.pay(sub.latest_invoice).status == "paid"
    source = sandbox.api.customers.retrieve(sub.customer).default_source
    newest = sandbox.api.charges.list({"customer": sub.customer}).data[0]
    assert newest.payment_method == source

"""Portal configurations and sessions by the API."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.engine.driver import Sandbox


def plans(sandbox: Sandbox, *amounts: int) -> tuple[str, list[str]]:
    """A product with monthly, then yearly prices."""
    product = sandbox.api.products.create({"name": "Pro"}).id
    intervals = ("month", "year")
    prices = [
        sandbox.api.prices.create(
            {
                "product": product,
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": interval},
            }  # type: ignore[typeddict-item]
        ).id
        for amount, interval in zip(amounts, intervals, strict=False)
    ]
    return product, prices


def test_a_configuration_is_made_changed_and_told_of(sandbox: Sandbox) -> None:
    """facts 3.21"""
    mark = sandbox.mark()
    made = sandbox.api.billing_portal.configurations.create(
        {
            "business_profile": {"headline": "Hello", "privacy_policy_url": "https://www.example.com"},
            "features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}},
        }
    )
    assert (made.is_default, made.active, made.features.subscription_cancel.mode) == (
        False,
        True,
        "immediately",
    )
    assert made.features.payment_method_update.enabled is False
    again = sandbox.api.billing_portal.configurations.update(made.id, {"metadata": {"foo": "bar"}})
    assert again.metadata
    assert again.metadata["foo"] == "bar"
    told = sandbox.events(mark)
    assert [each["type"] for each in told] == [
        "billing_portal.configuration.created", "billing_portal.configuration.updated",
    ]  # fmt: skip
    assert told[1]["data"]["previous_attributes"]["metadata"] == {"foo": None}


def test_there_is_one_default_configuration_that_stays_active(sandbox: Sandbox) -> None:
    (default,) = sandbox.api.billing_portal.configurations.list({"is_default": True}).data
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.billing_portal.configurations.update(default.id, {"active": False})
    assert caught.value.param == "active"


def test_without_saved_settings_a_session_needs_a_configuration(sandbox: Sandbox) -> None:
    """facts 1.8"""
    customer = sandbox.customer()
    sandbox.control("settings", portal_default="none")
    try:
        with pytest.raises(stripe.InvalidRequestError, match="settings/billing/portal"):
            sandbox.api.billing_portal.sessions.create({"customer": customer.id})
        own = sandbox.api.billing_portal.configurations.create(
            {"features": {"invoice_history": {"enabled": True}}}
        )
        session = sandbox.api.billing_portal.sessions.create(
            {"customer": customer.id, "configuration": own.id}
        )
    finally:
        sandbox.control("settings", portal_default="saved")
    assert session.configuration == own.id


@pytest.mark.parametrize(
    ("features", "param"),
    [
        ({"customer_update": {"enabled": True}}, "features[customer_update][allowed_updates]"),
        ({"subscription_update": {"enabled": True}}, "features[subscription_update][products]"),
        (
            {"subscription_update": {"products": [{"product": "prod_1", "prices": ["price_1"]}]}},
            "features[subscription_update][products][0][product]",
        ),
        (
            {"subscription_cancel": {"cancellation_reason": {"enabled": True, "options": ["spite"]}}},
            "features[subscription_cancel][cancellation_reason][options]",
        ),
        (
            {"subscription_cancel": {"enabled": True, "proration_behavior": "always_invoice"}},
            "features[subscription_cancel][proration_behavior]",
        ),
    ],
)
def test_a_feature_that_makes_no_sense_is_refused(sandbox: Sandbox, features: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.api.billing_portal.configurations.create({"features": features})
    assert caught.value.param == param


def test_every_flow_has_its_shape_and_needs_its_feature(sandbox: Sandbox) -> None:
    product, (monthly, yearly) = plans(sandbox, 1000, 9000)
    sub = sandbox.subscriber(price=monthly)
    coupon = sandbox.api.coupons.create({"percent_off": 20, "duration": "once"})
    item = {"id": sub.items.data[0].id, "price": yearly, "quantity": 1}
    flows: Any = {
        "payment_method_update": None,
        "customer_update": None,
        "subscription_cancel": {
            "subscription": sub.id,
            "retention": {"type": "coupon_offer", "coupon_offer": {"coupon": coupon.id}},
        },
        "subscription_update": {"subscription": sub.id},
        "subscription_update_confirm": {"subscription": sub.id, "items": [item]},
        "subscription_pause": {"subscription": sub.id},
    }
    everything = sandbox.api.billing_portal.configurations.create(
        {
            "features": {
                "payment_method_update": {"enabled": True},
                "customer_update": {"enabled": True, "allowed_updates": ["email"]},
                "subscription_cancel": {"enabled": True},
                "subscription_pause": {"enabled": True},
                "subscription_update": {
                    "enabled": True,
                    "default_allowed_updates": ["price"],
                    "products": [{"product": product, "prices": [monthly, yearly]}],
                },
            }
        }
    )
    nothing = sandbox.api.billing_portal.configurations.create(
        {"features": {"invoice_history": {"enabled": False}}}
    )
    for kind, about in flows.items():
        data = {"type": kind, **({kind: about} if about else {})}
        params = {"customer": sub.customer, "flow_data": data}
        session: Any = sandbox.api.billing_portal.sessions.create({**params, "configuration": everything.id})
        flow = session.flow
        assert flow.type == kind
        if about:
            assert flow[kind].subscription == sub.id
        with pytest.raises(stripe.InvalidRequestError, match="enabled"):
            sandbox.api.billing_portal.sessions.create({**params, "configuration": nothing.id})


def test_a_link_may_be_opened_again_after_it_expired(sandbox: Sandbox) -> None:
    customer = sandbox.customer()
    session = sandbox.api.billing_portal.sessions.create(
        {"customer": customer.id, "after_expiration": {"type": "customer_login"}}
    )
    assert session.after_expiration
    assert session.after_expiration.type == "customer_login"
    assert sandbox.types()[-1] == "billing_portal.session.created"

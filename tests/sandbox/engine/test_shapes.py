"""Objects that no event shows, against the SDK's types; and what the comparison itself can see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.engine import shapes
from tests.sandbox.engine.driver import Sandbox


def test_what_events_never_show_has_the_right_shape_too(sandbox: Sandbox) -> None:
    sub = sandbox.subscriber()
    charge = sandbox.api.charges.retrieve(sandbox.charges(sub.customer)[0]["id"], {"expand": ["refunds"]})
    sandbox.api.billing_portal.sessions.create({"customer": sub.customer})
    objects = [
        sandbox.api.accounts.retrieve_current(),
        sandbox.api.balance_transactions.retrieve(str(charge.balance_transaction)),
        sandbox.api.billing_portal.configurations.list().data[0],
        sandbox.api.invoices.retrieve(
            str(sub.latest_invoice), {"expand": ["payments", "confirmation_secret"]}
        ),
        sandbox.api.checkout.sessions.list(
            {"customer": str(sub.customer), "expand": ["data.line_items"]}
        ).data[0],
        sandbox.api.customers.retrieve(str(sub.customer), {"expand": ["subscriptions"]}),
        sandbox.api.prices.retrieve(sub.items.data[0].price.id, {"expand": ["currency_options"]}),
        charge,
    ]
    samples = shapes.samples()
    wrong = [each for obj in objects for each in shapes.problems(_plain(obj), samples.get(obj.object))]
    assert wrong == []


def _plain(obj: Any) -> dict[str, Any]:
    plain: dict[str, Any] = obj.to_dict(for_json=True)
    return plain


def test_the_comparison_itself_sees_what_is_wrong(sandbox: Sandbox) -> None:
    sub = _plain(sandbox.subscriber())
    assert shapes.problems(sub, shapes.samples().get("subscription")) == []
    sub["current_period_end"], sub["status"] = 1, "odd"
    del sub["items"]["data"][0]["price"]
    sub["items"]["data"][0]["plan"]["colour"] = "red"
    assert [each.split(":")[0] for each in shapes.problems(sub)] == [
        "subscription.current_period_end",
        "subscription.items.data[0].plan.colour",
        "subscription.items.data[0].price",
        "subscription.status",
    ]


def test_maps_are_compared_by_their_values(sandbox: Sandbox) -> None:
    price = _plain(sandbox.api.prices.retrieve(sandbox.price(), {"expand": ["currency_options"]}))
    price["metadata"] = {"any name": 1}
    price["currency_options"]["usd"]["unit_amount"] = "2500"
    assert [each.split(":")[0] for each in shapes.problems(price)] == [
        "price.currency_options.usd.unit_amount",
        "price.metadata.any name",
    ]


def test_stripes_samples_are_compared_where_they_are(sandbox: Sandbox) -> None:
    samples = shapes.samples()
    if not samples:
        pytest.skip(f"{shapes.FIXTURES} is not here")
    sub = _plain(sandbox.subscriber())
    del sub["schedule"]
    assert "subscription.schedule: Stripe's sample has it" in shapes.problems(sub, samples["subscription"])

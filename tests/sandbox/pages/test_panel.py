"""The control panel: moving one person's time, changing the card, deliveries and trouble."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.pages.wording import moment
from tests.sandbox.pages.shop import Shop
from tests.sandbox.pages.visitor import SHOP

DAY = 86400
NOBODY = f"{SHOP}/webhooks/stripe"


@pytest.fixture
def subscription(shop: Shop) -> Any:
    return shop.subscriber()


def test_the_hub_names_the_people(shop: Shop, subscription: Any) -> None:
    page = shop.visitor.get("/")
    for words in ("Sandbox control panel", "alice@example.com", "active", subscription.id):
        assert words in page.text
    assert f"/clock?customer={subscription.customer}" in page.document.links


def test_the_first_button_of_a_renewal_leads_to_a_paid_renewal(shop: Shop, subscription: Any) -> None:
    shop.client.v1.webhook_endpoints.create({"url": NOBODY, "enabled_events": ["*"]})
    end = subscription.items.data[0].current_period_end
    address = f"/clock?customer={subscription.customer}"
    assert f"Advance to {moment(end)}: renewal" in shop.visitor.get(address).text
    done = shop.visitor.post("/clock/advance", {"customer": subscription.customer, "to": end})
    assert (done.status, done.location) == (303, address)
    shop.visitor.post("/clock/advance", {"customer": subscription.customer, "step": "hour"})
    page = shop.visitor.get(address)
    assert "invoice.paid" in page.text
    now = shop.subscription(subscription.id)
    assert now.items.data[0].current_period_start == end
    assert (
        len(shop.client.v1.invoices.list({"customer": str(subscription.customer), "status": "paid"}).data)
        == 2
    )


def test_steps_move_the_clock_by_what_they_say(shop: Shop, subscription: Any) -> None:
    def now() -> int:
        answer = shop.visitor.get(f"/sandbox/customers/{subscription.customer}/moments")
        return int(json.loads(answer.body)["now"])

    shop.visitor.post("/clock/advance", {"customer": subscription.customer, "step": "hour"})
    start = now()
    shop.visitor.post("/clock/advance", {"customer": subscription.customer, "step": "day"})
    assert now() == start + DAY
    shop.visitor.post("/clock/advance", {"customer": subscription.customer, "step": "month"})
    assert start + 29 * DAY <= now() <= start + 32 * DAY


def test_a_card_made_to_fail_fails_at_the_renewal(shop: Shop, subscription: Any) -> None:
    form = {"customer": subscription.customer, "number": "4000000000000341"}
    assert shop.visitor.post("/clock/card", form).status == 303
    end = subscription.items.data[0].current_period_end
    shop.visitor.post("/clock/advance", {"customer": subscription.customer, "to": end + 7200})
    assert shop.subscription(subscription.id).status == "past_due"
    assert "past due" in shop.visitor.get(f"/clock?customer={subscription.customer}").text


def test_time_does_not_go_back(shop: Shop, subscription: Any) -> None:
    shop.visitor.post("/clock/advance", {"customer": subscription.customer, "step": "day"})
    refused = shop.visitor.post("/clock/advance", {"customer": subscription.customer, "to": 1_600_000_000})
    assert refused.status == 303
    first, second = shop.visitor.get(refused.location), shop.visitor.get(refused.location)
    assert "There is a problem" in first.text
    assert "There is a problem" not in second.text


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/clock/advance", {"customer": "cus_nobody", "step": "hour"}, 404),
        ("/clock/card", {"customer": "cus_nobody", "number": "4242424242424242"}, 404),
        ("/trouble", {"delivery": "sideways", "api": "normal"}, 400),
        ("/trouble/settings", {"retry_end": "forgive"}, 400),
    ],
)
def test_a_control_refuses_what_it_does_not_offer(
    shop: Shop, path: str, form: dict[str, str], status: int
) -> None:
    assert shop.visitor.post(path, form).status == status


def test_a_clock_needs_a_step_that_exists(shop: Shop, subscription: Any) -> None:
    form = {"customer": subscription.customer}
    assert shop.visitor.post("/clock/advance", form | {"step": "year"}).status == 400
    assert shop.visitor.post("/clock/card", form | {"number": "4111111111111111"}).status == 400


def test_trouble_stays_until_it_is_changed_back(shop: Shop) -> None:
    assert shop.visitor.post("/trouble", {"delivery": "hold", "api": "normal"}).status == 303
    page = shop.visitor.get("/trouble")
    (chosen,) = [each for each in page.document.all("input", name="delivery") if "checked" in each]
    assert chosen["value"] == "hold"
    assert "hold" in shop.visitor.get("/deliveries").text


def test_the_end_of_the_retries_is_a_setting(shop: Shop) -> None:
    assert shop.visitor.post("/trouble/settings", {"retry_end": "unpaid"}).status == 303
    page = shop.visitor.get("/trouble")
    (chosen,) = [each for each in page.document.all("input", name="retry_end") if "checked" in each]
    assert chosen["value"] == "unpaid"


def test_held_deliveries_are_listed_and_sent_on_demand(shop: Shop) -> None:
    shop.client.v1.webhook_endpoints.create({"url": NOBODY, "enabled_events": ["*"]})
    shop.visitor.post("/trouble", {"delivery": "hold", "api": "normal"})
    shop.customer("charlie@example.com")
    page = shop.visitor.get("/deliveries")
    assert "customer.created" in page.text
    assert "0 attempts" in page.text
    assert shop.visitor.post("/deliveries/flush").status == 303
    assert "1 attempt" in shop.visitor.get("/deliveries").text  # nobody listens at that port

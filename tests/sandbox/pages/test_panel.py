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


def test_everybodys_time_moves_by_a_button(shop: Shop, subscription: Any) -> None:
    page = shop.visitor.get("/clock")
    assert "Everybody’s time" in page.text
    assert {"renewal", "next"} <= {each["value"] for each in page.document.all("button", name="to")}
    before = json.loads(shop.visitor.get("/sandbox/clock").body)["now"]
    done = shop.visitor.post("/clock/everybody", {"step": "hour"})
    assert (done.status, done.location) == (303, "/clock")
    assert json.loads(shop.visitor.get("/sandbox/clock").body)["now"] >= before + 3600
    assert shop.subscription(subscription.id).status == "active"


def test_going_to_what_there_is_not_is_explained(shop: Shop) -> None:
    shop.visitor.post("/state", {"act": "save", "name": "before-nothing"})
    shop.visitor.post("/state", {"act": "reset"})
    shop.visitor.post("/clock/everybody", {"to": "renewal"})
    assert "Nothing of that kind is due." in shop.visitor.get("/clock").text
    assert shop.visitor.post("/clock/everybody", {"step": "year"}).status == 400
    shop.visitor.post("/state", {"act": "load", "name": "before-nothing"})


def test_a_secret_is_rolled_and_shown_once(shop: Shop) -> None:
    made = shop.client.v1.webhook_endpoints.create({"url": NOBODY, "enabled_events": ["*"]})
    assert shop.visitor.post("/deliveries/roll", {"endpoint": made.id}).status == 303
    first, second = shop.visitor.get("/deliveries"), shop.visitor.get("/deliveries")
    assert "whsec_" in first.text
    assert "whsec_" not in second.text
    assert shop.visitor.post("/deliveries/roll", {"endpoint": "we_nobody"}).status == 404


def test_an_event_is_sent_again_from_the_panel(shop: Shop) -> None:
    made = shop.client.v1.webhook_endpoints.create({"url": NOBODY, "enabled_events": ["*"]})
    shop.visitor.post("/trouble", {"delivery": "hold", "api": "normal"})
    shop.customer("again@example.com")
    (event, *_) = shop.client.v1.events.list({"limit": 1}).data
    sent = shop.visitor.post("/deliveries/resend", {"event": event.id, "endpoint": made.id})
    assert sent.status == 303
    assert f"{event.id} was sent again: ConnectionRefusedError" in shop.visitor.get("/deliveries").text


def test_trouble_is_narrowed_and_settings_are_kept_by_the_forms(shop: Shop) -> None:
    form = {"delivery": "late", "api": "slow", "api_path": "/v1/refunds", "api_method": "POST", "times": "2"}
    shop.visitor.post("/trouble", form | {"delay_seconds": "9", "slow_seconds": "1"})
    trouble = json.loads(shop.visitor.get("/sandbox/trouble").body)
    assert (trouble["api"], trouble["api_path"], trouble["api_method"], trouble["times"]) == (
        "slow",
        "/v1/refunds",
        "POST",
        2,
    )
    assert (trouble["delay_seconds"], trouble["slow_seconds"]) == (9, 1)
    shop.visitor.post("/trouble", {"delivery": "normal", "api": "normal", "times": "many"})
    assert "There is a problem" in shop.visitor.get("/trouble").text
    kept = {
        "retry_end": "cancel",
        "delivery_schedule": "live",
        "api_version": "2025-03-31.basil",
        "rate_limit": "25",
    }
    shop.visitor.post("/trouble/settings", kept)
    settings = json.loads(shop.visitor.get("/sandbox/settings").body)
    assert (settings["delivery_schedule"], settings["api_version"], settings["rate_limit"]) == (
        "live",
        "2025-03-31.basil",
        25,
    )
    calm = {"delivery_schedule": "fast", "api_version": "2026-10-28.endive", "rate_limit": "0"}
    shop.visitor.post("/trouble/settings", {"retry_end": "cancel"} | calm)
    shop.control("trouble", delivery="normal", api="normal", api_path="/v1/")


def test_the_state_is_saved_forgotten_and_loaded_by_forms(shop: Shop) -> None:
    shop.customer("remembered@example.com")
    assert shop.visitor.post("/state", {"act": "save", "name": "with-people"}).status == 303
    assert "Saved as with-people." in shop.visitor.get("/state").text
    shop.visitor.post("/state", {"act": "reset"})
    assert "remembered@example.com" not in shop.visitor.get("/").text
    shop.visitor.post("/state", {"act": "load", "name": "with-people"})
    assert "remembered@example.com" in shop.visitor.get("/").text
    shop.visitor.post("/state", {"act": "save", "name": "../no"})
    assert "A name has up to 60" in shop.visitor.get("/state").text
    assert shop.visitor.post("/state", {"act": "load", "name": "nothing"}).status == 404
    assert shop.visitor.post("/state", {"act": "burn"}).status == 400

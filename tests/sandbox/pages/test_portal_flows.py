"""What a person may do in the portal beside the usual: every flow, as the shop's configuration allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox.pages.shop import Shop
from tests.sandbox.pages.visitor import SHOP, Answer, card


@dataclass
class Desk:
    """A subscriber of the small one of two plans, and a portal that allows everything."""

    shop: Shop
    sub: Any
    prices: list[str]
    configuration: str

    def link(self, **flow: Any) -> str:
        params: Any = {
            "customer": self.sub.customer,
            "configuration": self.configuration,
            "return_url": f"{SHOP}/billing",
        }
        if flow:
            params["flow_data"] = flow
        return str(self.shop.client.v1.billing_portal.sessions.create(params).url)

    def again(self) -> Any:
        return self.shop.subscription(self.sub.id)

    def invoices(self) -> list[Any]:
        return list(self.shop.client.v1.invoices.list({"customer": self.sub.customer}).data)

    def post(self, address: str, page: Answer | None = None, **fields: str) -> Answer:
        hidden = page.document.all("input", type="hidden") if page else []
        return self.shop.visitor.post(address, {each["name"]: each["value"] for each in hidden} | fields)


def desk_of(shop: Shop, **update: Any) -> Desk:
    api = shop.client.v1
    prices = []
    products: list[Any] = []
    for name, amount in (("Small", 1000), ("Large", 5000)):
        product = api.products.create({"name": name}).id
        data: Any = {
            "product": product, "currency": "eur", "unit_amount": amount, "recurring": {"interval": "month"}
        }  # fmt: skip
        prices.append(str(api.prices.create(data).id))
        products.append(
            {
                "product": product,
                "prices": [prices[-1]],
                "adjustable_quantity": {"enabled": True, "maximum": 9},
            }
        )
    features: Any = {
        "payment_method_update": {"enabled": True},
        "invoice_history": {"enabled": True},
        "customer_update": {"enabled": True, "allowed_updates": ["email", "address", "name"]},
        "subscription_cancel": {
            "enabled": True,
            "cancellation_reason": {"enabled": True, "options": ["unused", "other"]},
        },
        "subscription_pause": {"enabled": True},
        "subscription_update": {
            "enabled": True,
            "default_allowed_updates": ["price", "quantity", "promotion_code"],
            "products": products,
            "proration_behavior": "always_invoice",
            **update,
        },
    }
    configuration = api.billing_portal.configurations.create({"features": features})
    sub = shop.subscriber(line_items=[{"price": prices[0], "quantity": 1}])
    return Desk(shop, sub, prices, str(configuration.id))


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return desk_of(shop)


def due(page: Answer) -> int:
    found = re.search(r"Due today €([\d,]+)\.(\d\d)", page.text)
    assert found, page.text
    return int(found[1].replace(",", "") + found[2])


def test_an_upgrade_costs_exactly_what_was_shown(desk: Desk) -> None:
    middle = desk.sub.items.data[0].current_period_start + 10 * 86400
    desk.shop.control(f"customers/{desk.sub.customer}/advance", to=middle + 12345)
    address = f"{desk.link()}/change/{desk.sub.id}"
    form = desk.shop.visitor.get(address)
    assert "Small: €10.00 per month" in form.text
    page = desk.post(address, price=desk.prices[1], quantity="2")
    assert "Confirm the change" in page.text
    shown = due(page)
    assert len(desk.invoices()) == 1  # nothing was done yet
    assert desk.again().items.data[0].price.id == desk.prices[0]
    assert desk.post(address, page, do="confirm").status == 303
    newest = desk.invoices()[0]
    assert (newest.billing_reason, newest.amount_paid) == ("subscription_update", shown)
    item = desk.again().items.data[0]
    assert (item.price.id, item.quantity) == (desk.prices[1], 2)


def test_a_promotion_code_is_taken_off_a_change(desk: Desk) -> None:
    api = desk.shop.client.v1
    coupon = api.coupons.create({"percent_off": 50, "duration": "forever"})
    code = api.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    address = f"{desk.link()}/change/{desk.sub.id}"
    wrong = desk.post(address, price=desk.prices[1], quantity="1", promotion_code="NOTHING")
    assert (wrong.status, "This code is not valid." in wrong.text) == (422, True)
    page = desk.post(address, price=desk.prices[1], quantity="1", promotion_code=str(code.code))
    shown = due(page)
    assert desk.post(address, page, do="confirm").status == 303
    assert desk.invoices()[0].amount_paid == shown
    assert len(desk.again().discounts) == 1


def test_a_change_needs_a_choice_and_a_quantity_within_its_limits(desk: Desk) -> None:
    address = f"{desk.link()}/change/{desk.sub.id}"
    for fields, words in (
        ({"price": desk.prices[0], "quantity": "1"}, "This is the plan that you have"),
        ({"price": "price_other", "quantity": "1"}, "Choose a plan"),
        ({"price": desk.prices[1], "quantity": "10"}, "Choose from 1 to 9"),
    ):
        page = desk.post(address, **fields)
        assert (page.status, words in page.text) == (422, True), words


def test_a_downgrade_waits_for_the_end_of_the_period_where_the_shop_says_so(shop: Shop) -> None:
    desk = desk_of(shop, schedule_at_period_end={"conditions": [{"type": "decreasing_item_amount"}]})
    address = f"{desk.link()}/change/{desk.sub.id}"
    page = desk.post(address, price=desk.prices[1], quantity="1")
    desk.post(address, page, do="confirm")
    page = desk.post(address, price=desk.prices[0], quantity="1")
    assert "Until then nothing changes" in page.text
    desk.post(address, page, do="confirm")
    assert desk.again().items.data[0].price.id == desk.prices[1]
    end = desk.again().items.data[0].current_period_end
    desk.shop.control(f"customers/{desk.sub.customer}/advance", to=end + 7200)
    assert desk.again().items.data[0].price.id == desk.prices[0]
    assert desk.invoices()[0].amount_paid == 1000


def test_the_flow_of_a_confirmed_update_shows_that_change_alone(desk: Desk) -> None:
    item = {"id": desk.sub.items.data[0].id, "price": desk.prices[1], "quantity": 3}
    link = desk.link(
        type="subscription_update_confirm",
        subscription_update_confirm={"subscription": desk.sub.id, "items": [item]},
        after_completion={"type": "redirect", "redirect": {"return_url": f"{SHOP}/done"}},
    )
    page = desk.shop.visitor.get(link)
    assert "Then: Large × 3" in page.text
    shown = due(page)
    done = desk.post(f"{link}/change/{desk.sub.id}", page, do="confirm")
    assert (done.status, done.location) == (303, f"{SHOP}/done")
    assert desk.invoices()[0].amount_paid == shown
    assert desk.again().items.data[0].quantity == 3


def test_a_plan_is_paused_and_resumed(desk: Desk) -> None:
    link = desk.link(type="subscription_pause", subscription_pause={"subscription": desk.sub.id})
    assert "Pause Small" in desk.shop.visitor.get(link).text
    assert desk.post(f"{link}/pause/{desk.sub.id}").status == 303
    assert desk.again().status == "paused"
    home = desk.link()
    assert "Paused: nothing is charged." in desk.shop.visitor.get(home).text
    assert desk.post(f"{home}/resume/{desk.sub.id}").status == 303
    assert desk.again().status == "active"


def test_whoever_stays_takes_the_offered_coupon(desk: Desk) -> None:
    coupon = desk.shop.client.v1.coupons.create({"percent_off": 25, "duration": "forever", "name": "Stay"})
    offer = {"type": "coupon_offer", "coupon_offer": {"coupon": coupon.id}}
    link = desk.link(
        type="subscription_cancel", subscription_cancel={"subscription": desk.sub.id, "retention": offer}
    )
    page = desk.shop.visitor.get(link)
    assert "Stay: 25% off for as long as you stay." in page.text
    assert [each["value"] for each in page.document.all("input", name="feedback")] == ["unused", "other"]
    assert desk.post(f"{link}/keep/{desk.sub.id}").status == 303
    now = desk.again()
    assert (len(now.discounts), now.cancel_at_period_end) == (1, False)


def test_a_plan_may_end_at_once(desk: Desk) -> None:
    features: Any = {"subscription_cancel": {"enabled": True, "mode": "immediately"}}
    own = desk.shop.client.v1.billing_portal.configurations.create({"features": features})
    desk.configuration = str(own.id)
    address = f"{desk.link()}/cancel/{desk.sub.id}"
    assert "Small ends now." in desk.shop.visitor.get(address).text
    assert desk.post(address).status == 303
    assert desk.again().status == "canceled"


def test_what_the_configuration_does_not_allow_is_out_of_reach(desk: Desk) -> None:
    own = desk.shop.client.v1.billing_portal.configurations.create(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    desk.configuration = str(own.id)
    home = desk.link()
    page = desk.shop.visitor.get(home)
    for words in ("Change plan", "Cancel plan", "Pause plan", "Update payment method", "Update information"):
        assert words not in page.text
    for path in ("card", "details", f"cancel/{desk.sub.id}", f"pause/{desk.sub.id}", f"change/{desk.sub.id}"):
        assert desk.post(f"{home}/{path}", **card()).status == 303
    now = desk.again()
    assert (now.status, now.cancel_at_period_end) == ("active", False)


def test_payment_methods_are_made_default_and_removed(desk: Desk) -> None:
    home = desk.link()
    first = desk.sub.default_payment_method
    desk.post(f"{home}/card", **card("5555 5555 5555 4444"))
    assert "Make default" in desk.shop.visitor.get(home).text
    assert desk.post(f"{home}/methods/{first}/default").status == 303
    assert desk.again().default_payment_method == first
    refused = desk.post(f"{home}/methods/{first}/remove")
    assert (refused.status, "set another default first" in refused.text) == (422, True)
    methods = desk.shop.client.v1.payment_methods.list({"customer": desk.sub.customer}).data
    (other,) = [each.id for each in methods if each.id != first]
    assert desk.post(f"{home}/methods/{other}/remove").status == 303
    assert desk.shop.client.v1.payment_methods.retrieve(other).customer is None


def test_the_customer_changes_what_the_shop_lets_them(desk: Desk) -> None:
    link = desk.link(type="customer_update")
    page = desk.shop.visitor.get(link)
    assert not page.document.all("input", name="phone")
    wrong = desk.post(f"{link}/details", email="nobody", name="Alice")
    assert (wrong.status, wrong.document.field("name")["value"]) == (422, "Alice")
    filled = {
        "email": "new@example.com",
        "name": "Alice",
        "line1": "Main St 1",
        "city": "Berlin",
        "phone": "1",
    }
    assert desk.post(f"{link}/details", **filled).status == 303
    customer: Any = desk.shop.client.v1.customers.retrieve(desk.sub.customer)
    assert (customer.email, customer.address.city, customer.phone) == ("new@example.com", "Berlin", None)


def test_a_downgrade_names_the_credit_that_it_leaves(desk: Desk) -> None:
    address = f"{desk.link()}/change/{desk.sub.id}"
    desk.post(address, desk.post(address, price=desk.prices[1], quantity="1"), do="confirm")
    page = desk.post(address, price=desk.prices[0], quantity="1")
    assert due(page) == 0
    found = re.search(r"Credit for later invoices €([\d]+)\.(\d\d)", page.text)
    assert found, page.text
    desk.post(address, page, do="confirm")
    assert desk.invoices()[0].total == -int(found[1] + found[2])


def test_a_scheduled_change_is_told_at_home(shop: Shop) -> None:
    desk = desk_of(shop, schedule_at_period_end={"conditions": [{"type": "decreasing_item_amount"}]})
    home = desk.link()
    address = f"{home}/change/{desk.sub.id}"
    desk.post(address, desk.post(address, price=desk.prices[1], quantity="1"), do="confirm")
    assert "The plan changes on" not in shop.visitor.get(home).text
    desk.post(address, desk.post(address, price=desk.prices[0], quantity="1"), do="confirm")
    assert "The plan changes on" in shop.visitor.get(home).text


def test_a_plan_whose_payment_failed_says_what_to_do(shop: Shop) -> None:
    invoice = shop.open_invoice()
    page = shop.visitor.get(shop.portal(str(invoice.customer)))
    assert "A payment failed. Pay the open invoice, or update the payment method." in page.text


def test_an_error_of_the_choice_of_a_plan_leads_to_the_first_choice(desk: Desk) -> None:
    page = desk.post(f"{desk.link()}/change/{desk.sub.id}", price=desk.prices[0], quantity="1")
    assert "#price" in page.document.links
    assert [each["name"] for each in page.document.all("input", id="price")] == ["price"]
    assert page.document.all("fieldset", **{"aria-describedby": "price-error"})


def test_an_expired_link_leads_back_to_the_shop(shop: Shop) -> None:
    link = shop.portal(shop.customer())
    shop.visitor.post("/clock/everybody", {"step": "hour"})
    page = shop.visitor.get(link)
    assert (page.status, "This link has expired." in page.text) == (410, True)
    assert f"{SHOP}/billing" in page.document.links
    assert not page.document.all("input", name="email")


def test_an_expired_link_opens_again_for_whoever_knows_the_address(shop: Shop) -> None:
    params: Any = {"customer": shop.customer(), "after_expiration": {"type": "customer_login"}}
    link = str(shop.client.v1.billing_portal.sessions.create(params).url)
    shop.visitor.post("/clock/everybody", {"step": "hour"})
    assert shop.visitor.get(link).document.field("email")
    wrong = shop.visitor.post(f"{link}/revive", {"email": "bob@example.com"})
    assert (wrong.status, "#email" in wrong.document.links) == (422, True)
    assert shop.visitor.post(f"{link}/revive", {"email": "Alice@example.com"}).status == 303
    assert "Your billing" in shop.visitor.get(link).text

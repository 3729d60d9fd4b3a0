"""A shop beside the pages: it makes what a page shows, over the real API, with the real SDK."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import stripe

from tests import plain_http
from tests.sandbox.pages.visitor import GOOD, SHOP, Answer, Visitor, card

RETURN = f"{SHOP}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}"
CANCEL = f"{SHOP}/subscribe/pro"
JSON = {"Content-Type": "application/json"}


@dataclass
class Shop:
    """``visitor`` is the browser, ``client`` the shop's own server."""

    base: str
    visitor: Visitor = field(init=False)
    client: stripe.StripeClient = field(init=False)

    def __post_init__(self) -> None:
        self.visitor = Visitor(self.base)
        self.client = plain_http.client("sk_test_pages_of_the_sandbox", self.base, max_network_retries=0)

    def price(self, amount: int = 2900, interval: str | None = "month") -> str:
        """A price of a product called Pro, in euros."""
        product = self.client.v1.products.create({"name": "Pro"})
        params: dict[str, Any] = {"product": product.id, "unit_amount": amount, "currency": "eur"}
        if interval:
            params["recurring"] = {"interval": interval}
        return str(self.client.v1.prices.create(params).id)  # type: ignore[arg-type]

    def customer(self, email: str = "alice@example.com") -> str:
        return str(self.client.v1.customers.create({"email": email}).id)

    def session(self, mode: str = "subscription", **changes: Any) -> Any:
        """An open Checkout Session for Pro."""
        price = self.price(interval="month" if mode == "subscription" else None)
        params = {
            "mode": mode,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": RETURN,
            "cancel_url": CANCEL,
        }
        if "customer" not in changes:
            params["customer"] = self.customer()
        return self.client.v1.checkout.sessions.create({**params, **changes})  # type: ignore[arg-type]

    def again(self, session: Any) -> Any:
        """The session as it is now."""
        return self.client.v1.checkout.sessions.retrieve(session.id)

    def pay(self, session: Any, number: str = GOOD, **changes: str) -> Answer:
        """Fill and submit the card form of a session."""
        return self.visitor.post(session.url.split("#")[0], card(number, **changes))

    def subscriber(self, number: str = GOOD, **changes: Any) -> Any:
        """Somebody who subscribed through Checkout; the subscription."""
        session = self.session(**changes)
        assert self.pay(session, number).status == 303
        return self.client.v1.subscriptions.retrieve(str(self.again(session).subscription))

    def subscription(self, id_: str) -> Any:
        return self.client.v1.subscriptions.retrieve(id_)

    def subscriptions(self, customer: str) -> list[Any]:
        return list(self.client.v1.subscriptions.list({"customer": customer, "status": "all"}).data)

    def portal(self, customer: str, **flow: Any) -> str:
        """The address of a new portal session."""
        params: dict[str, Any] = {"customer": customer, "return_url": f"{SHOP}/billing"}
        if flow:
            params["flow_data"] = flow
        return str(self.client.v1.billing_portal.sessions.create(params).url)  # type: ignore[arg-type]

    def control(self, path: str, **body: Any) -> Any:
        """A call of the sandbox's own control API."""
        answer = self.visitor.send("POST", f"/sandbox/{path}", json.dumps(body), JSON)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def open_invoice(self, number: str = GOOD) -> Any:
        """The unpaid renewal invoice of somebody whose card failed."""
        subscription = self.subscriber(number)
        customer = str(subscription.customer)
        self.control(f"customers/{customer}/card", number="4000000000000341")
        self.control(f"customers/{customer}/advance", to=subscription.items.data[0].current_period_end + 7200)
        (invoice,) = self.client.v1.invoices.list({"customer": customer, "status": "open"}).data
        return invoice

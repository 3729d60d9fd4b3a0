"""One write of each operation of the registry, made from scratch at a sandbox, and how often Stripe did it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask

from billing import cards, checkout, deletions, one_click, opening, pauses, people, plan_change, plans, second
from billing.extensions import db
from billing.installation import public_id
from billing.models import CheckoutSession, Deletion, Invoice, PlanPrice, Subscription, User
from billing.quoting import Quote
from billing.write_request import WriteRequest
from tests.story import config_of
from tests.support import Sandbox, make_user

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Wanted:
    """``effects``: how often Stripe did what ``request`` asks for."""

    request: WriteRequest
    effects: Callable[[], int]


class Wishes:
    """Builds wishes for people, products and subscriptions that nobody else has."""

    def __init__(self, app: Flask, sandbox: Sandbox) -> None:
        self._app, self._sandbox, self._api = app, sandbox, sandbox.stripe
        self._installation = public_id(db.session())
        product = self._api.products.create({"name": "Thing"})["id"]
        self._price = self._new_price({"currency": "eur", "product": product})
        self._plan = self._new_price(
            {"currency": "eur", "product": product, "recurring": {"interval": "month"}}
        )

    def of(self, operation: str) -> Wanted:
        return BUILDERS[operation](self, next(_numbers))

    def _new_price(self, params: dict[str, Any]) -> str:
        return str(self._api.prices.create({"unit_amount": 1500, **params})["id"])

    def _person(self, number: int, *, customer: bool = True) -> User:
        email = f"wisher{number}@example.com"  # nobody else’s at this sandbox
        made = self._api.customers.create(
            {
                "email": email,
                "payment_method": "pm_card_visa",
                "invoice_settings": {"default_payment_method": "pm_card_visa"},
            }
        )["id"] if customer else None  # fmt: skip
        return make_user(db.session(), email, customer=made)

    def customer(self, number: int) -> Wanted:
        user = self._person(number, customer=False)
        request = people.create_customer(user, self._installation)
        listed = {"email": user.email, "limit": 100}
        return Wanted(request, lambda: len(self._api.customers.list(listed)["data"]))

    def move(self, number: int) -> Wanted:
        user = self._person(number)
        user.email = f"moved{number}@example.com"
        db.session.commit()
        request = people.move_customer(user, f"{number}")
        db.session.rollback()
        customer = request.target or ""
        return Wanted(
            request, lambda: int(self._api.customers.retrieve(customer)["email"] == request.params["email"])
        )

    def removal(self, number: int) -> Wanted:
        user = self._person(number)
        customer = str(user.stripe_customer_id)
        request = deletions.remove_request(customer, Deletion(id=number, user_id=user.id, tries=0))
        db.session.rollback()
        return Wanted(request, lambda: int("deleted" in self._api.customers.retrieve(customer).to_dict()))

    def product(self, number: int) -> Wanted:
        params = {
            "name": f"Thing {number}",
            "metadata": {"plan": f"thing-{number}", "installation": self._installation},
        }
        request = WriteRequest("product.create", f"product:thing-{number}", params)
        return Wanted(request, lambda: self._count(self._api.products.list({"limit": 100}), params["name"]))

    def _count(self, page: Any, name: Any) -> int:
        return sum(one["name"] == name for one in page["data"])

    def price(self, number: int) -> Wanted:
        product = self._api.products.create({"name": f"Priced {number}"})["id"]
        params = {
            "product": product,
            "unit_amount": 700,
            "currency": "eur",
            "lookup_key": f"thing-{self._installation}-{number}",
            "metadata": {"plan": "thing"},
            "transfer_lookup_key": False,
        }
        request = WriteRequest("price.create", f"price:thing-{number}:700", params)
        return Wanted(request, lambda: len(self._api.prices.list({"product": product})["data"]))

    def renaming(self, number: int) -> Wanted:
        product = self._api.products.create({"name": f"Old {number}"})["id"]
        request = WriteRequest(
            "product.update", f"product-update:{product}", {"name": f"New {number}"}, product
        )
        return Wanted(
            request, lambda: int(self._api.products.retrieve(product)["name"] == request.params["name"])
        )

    def archiving(self, number: int) -> Wanted:
        product = self._api.products.create({"name": f"Left {number}"})["id"]
        price = self._new_price({"currency": "eur", "product": product})
        request = WriteRequest("price.update", f"price-archive:{price}", {"active": False}, price)
        return Wanted(request, lambda: int(not self._api.prices.retrieve(price)["active"]))

    def _row(self, user: User) -> CheckoutSession:
        """The person's place, taken as the check page takes it."""
        order = checkout.Order("payment", "credits-100", "100 credits", self._price)
        row = checkout.begin(db.session(), user, order)
        assert isinstance(row, CheckoutSession)
        db.session.commit()
        return row

    def session(self, number: int) -> Wanted:
        user = self._person(number)
        row, config = self._row(user), config_of(self._app)
        request = opening.create_request(row, user, "100 credits", config, self._installation)
        listed = {"customer": user.stripe_customer_id, "limit": 100}
        db.session.rollback()
        return Wanted(request, lambda: len(self._api.checkout.sessions.list(listed)["data"]))

    def expiry(self, number: int) -> Wanted:
        user = self._person(number)
        row = self._row(user)
        made = self._api.checkout.sessions.create(
            {
                "mode": "payment",
                "customer": user.stripe_customer_id,
                "line_items": [{"price": self._price, "quantity": 1}],
                "success_url": "http://127.0.0.1:9/ok",
            }
        )["id"]
        row.stripe_id, row.status = made, "open"
        db.session.commit()
        request = opening.expire_request(row)
        db.session.rollback()
        return Wanted(request, lambda: int(self._api.checkout.sessions.retrieve(made)["status"] == "expired"))

    def portal(self, number: int) -> Wanted:
        user = self._person(number)
        params = {"customer": user.stripe_customer_id, "return_url": "http://127.0.0.1:9/billing"}
        request = WriteRequest(
            "billing_portal.session.create", f"portal:{user.id}:{number}", params, user_id=user.id
        )
        db.session.rollback()
        return Wanted(request, lambda: self._portals(params["customer"]))

    def _portals(self, customer: Any) -> int:
        """There is no list of them: those that were answered and were not a replay."""
        return sum(
            one["path"] == "/v1/billing_portal/sessions"
            and one["params"].get("customer") == customer
            and one["status"] == 200
            and not one["replayed"]
            for one in self._sandbox.look("requests?limit=200")["requests"]
        )

    def _subscription(self, user: User, **more: Any) -> str:
        params = {"customer": user.stripe_customer_id, "items": [{"price": self._plan}], **more}
        return str(self._api.subscriptions.create(params)["id"])

    def keep(self, number: int) -> Wanted:
        user = self._person(number)
        stripe_id = self._subscription(user, cancel_at_period_end=True)
        params = {"cancel_at_period_end": False}
        request = WriteRequest("subscription.update", f"keep:{stripe_id}:1", params, stripe_id, user.id)
        db.session.rollback()
        return Wanted(
            request,
            lambda: int(not self._api.subscriptions.retrieve(stripe_id)["cancel_at_period_end"]),
        )

    def cancel(self, number: int) -> Wanted:
        user = self._person(number)
        stripe_id = self._subscription(user)
        params = {"cancellation_details": {"comment": second.WORDS}}
        name = f"second-cancel:{stripe_id}"
        request = WriteRequest("subscription.cancel", name, params, stripe_id, user.id)
        db.session.rollback()
        return Wanted(
            request, lambda: int(self._api.subscriptions.retrieve(stripe_id)["status"] == "canceled")
        )

    def pause(self, number: int) -> Wanted:
        user = self._person(number)
        stripe_id = self._subscription(user)
        request = pauses.pause_request(stripe_id, f"once-{number}", user.id)
        db.session.rollback()
        return Wanted(request, lambda: int(self._api.subscriptions.retrieve(stripe_id)["status"] == "paused"))

    def resume(self, number: int) -> Wanted:
        user = self._person(number)
        stripe_id = self._subscription(user)
        self._api.subscriptions.pause(stripe_id)
        row = Subscription(stripe_id=stripe_id, user_id=user.id)
        request = pauses.resume_request(row, f"{number}")
        db.session.rollback()
        return Wanted(request, lambda: int(self._api.subscriptions.retrieve(stripe_id)["status"] == "active"))

    def payment(self, number: int) -> Wanted:
        user = self._person(number)
        owner = {"customer": str(user.stripe_customer_id)}
        made = self._api.invoices.create({**owner, "currency": "eur"})
        self._api.invoice_items.create({**owner, "invoice": made["id"], "amount": 500, "currency": "eur"})
        self._api.invoices.finalize_invoice(made["id"], {"auto_advance": False})
        method = self._api.payment_methods.list(owner)["data"][0]["id"]
        owed = Invoice(stripe_id=made["id"], user_id=user.id)
        request = cards.pay_request(owed, method)
        db.session.rollback()
        return Wanted(request, lambda: int(self._api.invoices.retrieve(made["id"])["status"] == "paid"))

    def schedule(self, number: int) -> Wanted:
        user = self._person(number)
        params = {"from_subscription": self._subscription(user)}
        request = WriteRequest("subscription_schedule.create", f"schedule:{number}", params, user_id=user.id)
        listed = {"customer": user.stripe_customer_id}
        db.session.rollback()
        return Wanted(request, lambda: len(self._api.subscription_schedules.list(listed)["data"]))

    def _schedule(self, user: User) -> dict[str, Any]:
        made = self._api.subscription_schedules.create({"from_subscription": self._subscription(user)})
        return made.to_dict(for_json=True)

    def phases(self, number: int) -> Wanted:
        user = self._person(number)
        made = self._schedule(user)
        product = self._api.products.create({"name": f"Next {number}"})["id"]
        price = self._new_price({"currency": "eur", "product": product, "recurring": {"interval": "month"}})
        end = made["phases"][0]["end_date"]
        quoted = Quote("", "", price, 1, ("", 1), "period_end", 0, "eur", 1500, end, "month", end)
        request = plan_change.phases_request(made, quoted, f"once-{number}", user.id)
        db.session.rollback()

        def effects() -> int:
            phases = self._api.subscription_schedules.retrieve(made["id"])["phases"]
            return int(phases[-1]["items"][0]["price"] == price)

        return Wanted(request, effects)

    def release(self, number: int) -> Wanted:
        user = self._person(number)
        made = self._schedule(user)
        request = plan_change.leave_request(made, user.id)
        db.session.rollback()
        return Wanted(
            request,
            lambda: int(self._api.subscription_schedules.retrieve(made["id"])["status"] == "released"),
        )

    def voiding(self, number: int) -> Wanted:
        user = self._person(number)
        owner = {"customer": str(user.stripe_customer_id)}
        made = self._api.invoices.create(
            {**owner, "collection_method": "send_invoice", "days_until_due": 30, "currency": "eur"}
        )
        self._api.invoice_items.create({**owner, "invoice": made["id"], "amount": 500, "currency": "eur"})
        self._api.invoices.finalize_invoice(made["id"])
        request = plan_change.void_request(made["id"], user.id)
        db.session.rollback()
        return Wanted(request, lambda: int(self._api.invoices.retrieve(made["id"])["status"] == "void"))

    def purchase(self, number: int) -> Wanted:
        user, config = self._person(number), config_of(self._app)
        listed = {"customer": user.stripe_customer_id}
        method = self._api.payment_methods.list({"customer": str(user.stripe_customer_id)})["data"][0]["id"]
        price = PlanPrice(lookup_key="credits-100_eur", item="credits-100", amount=1500, currency="eur")
        product = plans.Product(
            "credits-100", "100 credits", "", plans.Price("credits-100", 1500, "eur", None)
        )
        token = f"purchase-{number:020d}"
        request = one_click.request(user, product, price, method, token, config, self._installation)
        db.session.rollback()
        return Wanted(request, lambda: len(self._api.payment_intents.list(listed)["data"]))

    def refund(self, number: int) -> Wanted:
        user = self._person(number)
        intent = self._api.payment_intents.create(
            {
                "amount": 2000,
                "currency": "eur",
                "customer": user.stripe_customer_id,
                "payment_method": "pm_card_visa",
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            }
        )["id"]
        name = f"second-refund:in_{number}"
        params = {"payment_intent": intent, "reason": "duplicate", "metadata": {"write": name}}
        request = WriteRequest("refund.create", name, params, user_id=user.id)
        db.session.rollback()
        return Wanted(request, lambda: len(self._api.refunds.list({"payment_intent": intent})["data"]))


BUILDERS: dict[str, Callable[[Wishes, int], Wanted]] = {
    "customer.create": Wishes.customer,
    "customer.update": Wishes.move,
    "customer.delete": Wishes.removal,
    "product.create": Wishes.product,
    "product.update": Wishes.renaming,
    "price.create": Wishes.price,
    "price.update": Wishes.archiving,
    "checkout.session.create": Wishes.session,
    "checkout.session.expire": Wishes.expiry,
    "billing_portal.session.create": Wishes.portal,
    "subscription.update": Wishes.keep,
    "subscription.cancel": Wishes.cancel,
    "subscription.pause": Wishes.pause,
    "subscription.resume": Wishes.resume,
    "subscription_schedule.create": Wishes.schedule,
    "subscription_schedule.update": Wishes.phases,
    "subscription_schedule.release": Wishes.release,
    "invoice.pay": Wishes.payment,
    "invoice.void": Wishes.voiding,
    "refund.create": Wishes.refund,
    "payment_intent.create": Wishes.purchase,
}

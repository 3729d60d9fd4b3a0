"""The flows of ours that are killed at every boundary: what comes before each, and what must come of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import delete

from billing import catalogue, grants, healing, inbox
from billing.extensions import db
from billing.models import CheckoutSession, Grant, PastPrice, PlanPrice, StripeEvent, StripeWrite
from billing.payloads import Object
from tests import draining, registry, shelf
from tests.deaths import Way
from tests.histories import about, at_stripe, with_us
from tests.mortal import Life
from tests.second_plans import another
from tests.second_plans import at_stripe as held_of
from tests.story import FAILS_LATER, count, events
from tests.support import deliver, make_user, signed
from tests.test_leaving import hidden
from tests.test_plan_change import offer


class FirstPayment(Way):
    """Somebody has paid, and a worker hears of it: rows, and a receipt."""

    flow = "bell"
    boundaries = 20

    def prepare(self) -> None:
        assert self.alice.pay(self.alice.order()).status == 303
        store(self.history.news())

    def done(self) -> Any:
        assert with_us(self.alice)["subscriptions"] == at_stripe(self.alice)["subscriptions"]
        return self.news()


class FailedRenewal(FirstPayment):
    """A renewal has failed, and a worker hears of it: rows, and the first of the dunning mails."""

    def prepare(self) -> None:
        subscribe(self)
        self.alice.use_card(FAILS_LATER)
        for _ in range(3):
            self.alice.sandbox.control(f"customers/{self.alice.customer}/advance", to="next")
        store(self.history.news())


class Intake(Way):
    """A delivery. Whatever was answered 2xx is there; what was not is delivered again, as Stripe does."""

    flow = "intake"
    boundaries = 6

    def prepare(self) -> None:
        subscribe(self)

    def args(self) -> dict[str, Any]:
        self.event = about(self.alice, self.alice.row.stripe_id)
        body = json.dumps(self.event)
        return {"body": body, "header": signed(body.encode(), self.config.stripe_webhook_secrets[0].value)}

    def again(self, life: Life) -> None:
        stored = count(StripeEvent, event_id=self.event["id"])
        assert stored == 1 or not life.said, "it was answered as taken"
        if life.said != ["200"]:
            assert life.said == []
            assert deliver(self.desk, self.event).status_code == 200

    def done(self) -> Any:
        [event] = events(event_id=self.event["id"])
        return event.state, event.attempts, self.changes()


class Reconciler(Way):
    """Somebody has paid, and nothing of it ever came: the clock's turn finds it in Stripe's list, page by page."""

    flow = "clock"
    boundaries = 25

    def prepare(self) -> None:
        assert self.alice.pay(self.alice.order()).status == 303

    def again(self, life: Life) -> None:
        """The next turn, an hour later."""
        healing.make(db.session(), self.config, "clock")

    def hear(self) -> None:
        """It never came."""

    def done(self) -> Any:
        return self.news()


class Order(Way):
    """Somebody's first order: a customer, a Session, and nothing of it twice when they press again."""

    flow = "press"
    boundaries = 9

    def args(self) -> dict[str, Any]:
        return self.press("/checkout", plan="pro", interval="month")

    def again(self, life: Life) -> None:
        draining.drain(self.desk, delivers=False)
        self.session = self.alice.order()

    def done(self) -> Any:
        opened = self.alice.sandbox.stripe.checkout.sessions.list({"customer": self.alice.customer})["data"]
        assert [one["id"] for one in opened] == [self.session]
        names = sorted(row.operation for row in db.session.query(StripeWrite))
        return registry.customers(self.alice) == [self.alice.customer], count(CheckoutSession), names


class Cancel(Way):
    """Somebody leaves: it is asked for once, if it was ever written down; else they press again."""

    flow = "press"
    boundaries = 5

    def prepare(self) -> None:
        subscribe(self)
        self.form = hidden(self.alice.get("/billing/cancel").text)

    def args(self) -> dict[str, Any]:
        return self.press("/billing/cancel", reason="unused", **self.form)

    def again(self, life: Life) -> None:
        if self.written() == 0:
            assert life.said == [], "it was not even written down"
            self.alice.post("/billing/cancel", reason="unused", **self.form)

    def done(self) -> Any:
        return self.alice.standing.code, self.written(), self.effects(), self.news()[2]


class Change(Way):
    """Somebody moves to a dearer plan: the difference is charged once, whoever died and who presses again."""

    flow = "press"
    boundaries = 5

    def prepare(self) -> None:
        subscribe(self)

    def args(self) -> dict[str, Any]:
        self.form = offer(self.alice, "team").fields
        return self.press("/billing/change/team", **self.form)

    def again(self, life: Life) -> None:
        draining.drain(self.desk, delivers=False)
        if self.written() == 0:
            assert life.said == [], "it was not even written down"
        self.alice.post("/billing/change/team", **self.form)

    def done(self) -> Any:
        row, charges = self.alice.row, self.scene.at_stripe("charge")
        coming = (row.coming or {}).get("kind")
        return row.plan, coming, [one["paid"] for one in charges], self.written(), self.effects()


class Card(Way):
    """Somebody buys credits with their saved card: charged once and given once, whoever died and who presses again."""

    flow = "press"
    boundaries = 5
    path = "/buy/credits-100/card"

    def prepare(self) -> None:
        subscribe(self)
        page = self.alice.get("/buy/credits-100").text
        self.form = hidden(page.partition("Pay another way")[0].rpartition("<form")[0])

    def args(self) -> dict[str, Any]:
        return self.press(self.path, **self.form)

    def again(self, life: Life) -> None:
        draining.drain(self.desk, delivers=False)
        assert self.alice.post(self.path, **self.form).status_code == 303

    def done(self) -> Any:
        [page] = self.alice.get(f"/orders/{self.form['once']}").text.split("<h1>")[1:]
        given = grants.balance(db.session(), self.alice.id)
        return given, self.written(), self.effects(), page.partition("</h1>")[0]


class Purchase(Way):
    """Something was bought once, and a part of it paid back, and all of that is heard of: rows, entries and mails."""

    flow = "sweep"
    boundaries = 7

    def prepare(self) -> None:
        assert self.alice.pay(self.alice.buy()).status == 303
        [intent] = self.alice.sandbox.stripe.payment_intents.list({"customer": self.alice.customer})["data"]
        self.alice.sandbox.stripe.refunds.create({"payment_intent": intent["id"], "amount": 500})
        store(self.history.news())

    def done(self) -> Any:
        rows, changes, mails = self.news()
        [paid] = rows["payments"]
        entries = [(one.key, one.amount) for one in db.session.query(Grant).order_by(Grant.id)]
        return paid["status"], paid["amount_refunded"], entries, changes, mails


class Second(Way):
    """Somebody has two plans: the newer one is ended and paid back, once."""

    flow = "sweep"
    boundaries = 15

    def prepare(self) -> None:
        self.config = replace(self.config, second_subscription="refund")
        self.desk.extensions["config"] = self.config
        make_user(db.session(), "admin@example.com", is_admin=True)
        subscribe(self)
        self.plan = self.alice.row.stripe_id
        self.second = another(self.alice)
        store(self.history.news())

    def done(self) -> Any:
        changes = self.changes().count("subscription.second")
        kept = self.alice.row.stripe_id == self.plan
        return held_of(self.alice, self.second), kept, self.effects(), changes


class Push(Way):
    """A file is brought to Stripe: each product and price is made once, and the old ones are done with."""

    flow = "push"
    boundaries = 25
    item = "mortal"

    def prepare(self) -> None:
        for model in (PlanPrice, PastPrice, StripeWrite):  # else what others sold would be archived
            db.session.execute(delete(model))
        db.session.commit()
        catalogue.push(db.session(), shelf.first_file(self.item))

    def args(self) -> dict[str, Any]:
        return {"item": self.item}

    def again(self, life: Life) -> None:
        catalogue.push(db.session(), shelf.second_file(self.item), archive=True)

    def done(self) -> Any:
        """What is at Stripe and what we remember of it; how many writes that took."""
        api, rows = self.alice.sandbox.stripe.prices, db.session.query(PlanPrice).order_by(PlanPrice.item)
        found: list[Any] = [self.written(), self.effects()]
        for row in rows:
            there = api.list({"product": row.product_id, "expand": ["data.product"]})["data"]
            sold = sorted((one["unit_amount"], one["active"], one["id"] == row.price_id) for one in there)
            found.append((row.item, there[0]["product"]["name"], row.amount, sold))
        return found, [one.amount for one in db.session.query(PastPrice)]


WAYS: list[type[Way]] = [
    Reconciler,
    Intake,
    FirstPayment,
    FailedRenewal,
    Order,
    Cancel,
    Change,
    Second,
    Push,
    Card,
    Purchase,
]


def subscribe(way: Way) -> None:
    """Alice has a plan, and all of that was heard of and mailed."""
    assert way.alice.pay(way.alice.order()).status == 303
    way.history.deliver(way.history.news())
    draining.drain(way.desk, delivers=False)


def store(told: list[Object]) -> None:
    """As if they had been delivered."""
    for event in told:
        inbox.store(db.session(), event, json.dumps(event), source="webhook", handled=True)
    db.session.commit()

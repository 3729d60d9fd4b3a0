"""A flow of ours that is killed at every boundary, and what must be so whenever others have cleaned up."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from flask import Flask
from redis import Redis
from sqlalchemy import delete, func, select, text, update

from billing import catalogue, claims, grants, healing, inbox, outbox
from billing.config import Config
from billing.extensions import db
from billing.models import (
    AuditEntry,
    CheckoutSession,
    Grant,
    Invoice,
    Notice,
    PastPrice,
    Payment,
    PlanPrice,
    StripeEvent,
    StripeWrite,
    Subscription,
    SyncRun,
)
from billing.payloads import Object
from local.mailsink import MailSink
from tests import registry, shelf
from tests.histories import History, about, at_stripe, cursor_at, forget, later, picture, with_us
from tests.mortal import NAME, Life, Nursery
from tests.mortal_flows import recover
from tests.second_plans import another
from tests.second_plans import at_stripe as held_of
from tests.story import FAILS_LATER, HOUR, apply_all, config_of, count, events, shopper
from tests.support import deliver, make_user, signed, wait_until
from tests.test_leaving import hidden

# Until every claim and lease of somebody who died is over.
LONGER = max(claims.CLAIM, outbox.LEASE, registry.LEASE_OVER).total_seconds() + 1

_numbers = itertools.count(1)


class Way:
    """One flow. ``fresh`` before each run, ``done`` after recovery: what must be equal to the calm run's."""

    flow = ""
    # At least so many must be found: else the runner has lost a door.
    boundaries = 0
    # Mails of the last run of which nobody knows whether they left.
    unknown = 0

    def __init__(self, desk: Flask, mails: MailSink, redis_url: str) -> None:
        self.desk, self.mails = desk, mails
        self.alice = shopper(desk)
        self.config: Config = replace(config_of(desk), redis_url=redis_url)
        self.prepare()

    def prepare(self) -> None:
        """Once."""

    def fresh(self) -> dict[str, Any]:
        """The next run's arguments."""
        raise NotImplementedError

    def again(self, life: Life) -> None:
        """What those do who got no answer: Stripe delivers again, a person presses again."""

    def done(self) -> Any:
        raise NotImplementedError

    def run(self, nursery: Nursery, *deaths: int | None) -> tuple[Life, Any]:
        """The flow with its deaths: the first on its way, the next ones among those who recover. Its end."""
        args = self.fresh()
        self._begin()
        lives = [nursery.run(self.config, self.flow, args, deaths[0])]
        for at in deaths[1:]:
            time_passes()
            lives.append(nursery.run(self.config, "recovery", {}, at))
        time_passes()
        assert rows_without_a_cause() == 0, "a row was written, and its event not closed with it"
        self.again(lives[0])
        time_passes()
        recover(self.config)
        apply_all()
        self._check()
        return lives[0], self.done()

    def _begin(self) -> None:
        with Redis.from_url(self.config.redis_url) as inside:
            inside.flushdb()  # a bell that waits is not rung again, which is a boundary less
        db.session.execute(delete(Notice))
        db.session.commit()
        self._mark = db.session.execute(select(func.coalesce(func.max(AuditEntry.id), 0))).scalar_one()
        self._asked = {one["id"] for one in self._requests()}
        self.mails.messages.clear()
        db.session.rollback()

    def _check(self) -> None:
        """What must be so after any death."""
        waiting = (StripeEvent.PENDING, StripeEvent.PARKED)
        assert [event.event_id for event in events() if event.state in waiting] == []
        assert count(StripeWrite, state="done") == count(StripeWrite), "a write was left open"
        assert [name for name, times in self.effects().items() if times > 1] == []
        self.unknown = 0
        for notice in db.session.query(Notice):
            left = [one for one in self.mails.messages if one.message["Message-ID"] == notice.message_id]
            assert (notice.state, len(left)) in (("sent", 1), ("unknown", 0), ("unknown", 1))
            self.unknown += notice.state == "unknown"
        assert self.changes().count("mail.unknown") == self.unknown

    def effects(self) -> Counter[str]:
        """How often Stripe did each write since the run began: its key, or what a DELETE names."""
        news = [one for one in self._requests() if one["id"] not in self._asked and one["method"] != "GET"]
        did = [one for one in news if one["status"] < 300 and not one["replayed"]]
        return Counter(one["idempotency_key"] or one["path"] for one in did)

    def _requests(self) -> list[dict[str, Any]]:
        """The newest ones: more than a run makes."""
        found: list[dict[str, Any]] = self.alice.sandbox.look("requests?limit=100")["requests"]
        return found

    def changes(self) -> list[str]:
        """The kinds of audit entry since the run began."""
        db.session.rollback()
        found = select(AuditEntry.kind).where(AuditEntry.id > self._mark).order_by(AuditEntry.kind)
        return list(db.session.execute(found).scalars())

    def news(self) -> tuple[Any, list[str], list[str]]:
        """Rows, kinds of change, kinds of mail: what events did."""
        changes = [kind for kind in self.changes() if kind != "mail.unknown"]
        kinds = db.session.execute(select(Notice.kind).order_by(Notice.kind)).scalars()
        return picture(self.alice), changes, list(kinds)


class FirstPayment(Way):
    """Somebody has paid, and a worker hears of it: rows, and a receipt."""

    flow = "bell"
    boundaries = 20

    def prepare(self) -> None:
        history = History(self.desk)
        assert self.alice.pay(self.alice.order()).status == 303
        self.told = history.news()

    def fresh(self) -> dict[str, Any]:
        forget()
        opened = {"status": "open", "payment_status": None, "subscription": None, "payment_intent": None}
        db.session.execute(update(CheckoutSession).values(**opened))
        db.session.commit()
        store(self.told)
        return {}

    def done(self) -> Any:
        assert with_us(self.alice)["subscriptions"] == at_stripe(self.alice)["subscriptions"]
        return self.news()


class FailedRenewal(FirstPayment):
    """A renewal has failed, and a worker hears of it: rows, and the first of the dunning mails."""

    def prepare(self) -> None:
        self.alice.subscribe()
        self.alice.use_card(FAILS_LATER)
        history = History(self.desk)
        for _ in range(3):
            self.alice.sandbox.control(f"customers/{self.alice.customer}/advance", to="next")
        self.told = history.news()


class Intake(FirstPayment):
    """A delivery. Whatever was answered 2xx is there; what was not is delivered again, as Stripe does."""

    flow = "intake"
    boundaries = 6

    def fresh(self) -> dict[str, Any]:
        super().fresh()
        apply_all()
        recover(self.config)
        [plan] = at_stripe(self.alice)["subscriptions"]
        self.event = about(self.alice, plan)
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


class Reconciler(FirstPayment):
    """Somebody has paid, and nothing of it ever came: the clock's turn finds it in Stripe's list."""

    flow = "clock"
    boundaries = 25

    def prepare(self) -> None:
        before = int(time.time())
        wait_until(lambda: int(time.time()) > before, "the next second")
        self.began = before + 1
        super().prepare()

    def fresh(self) -> dict[str, Any]:
        super().fresh()
        db.session.execute(delete(StripeEvent))
        db.session.execute(delete(SyncRun))  # a pass is due, and a whole one
        # Stripe's list begins with this story: what is older are other tests' events
        cursor_at(self.began + HOUR - int(time.time()))
        return {}

    def again(self, life: Life) -> None:
        """The next turn, an hour later."""
        healing.make(db.session(), self.config, "clock")


class Order(Way):
    """Somebody's first order: a customer, a Session, and nothing of it twice when they press again."""

    flow = "order"
    boundaries = 9

    def fresh(self) -> dict[str, Any]:
        self.person = shopper(self.desk, f"person{next(_numbers)}@example.com")
        return {"user_id": self.person.id}

    def again(self, life: Life) -> None:
        recover(self.config)
        self.session = self.person.order()

    def done(self) -> Any:
        stripe = self.person.sandbox.stripe
        opened = stripe.checkout.sessions.list({"customer": self.person.customer})["data"]
        assert [one["id"] for one in opened] == [self.session]
        rows = db.session.query(CheckoutSession).filter_by(user_id=self.person.id)
        written = db.session.query(StripeWrite).filter_by(user_id=self.person.id)
        names = sorted(row.operation for row in written)
        return registry.customers(self.person) == [self.person.customer], rows.count(), names


class Keep(Way):
    """Somebody takes back the end of their plan: it is taken back, once, if it was ever asked for."""

    flow = "keep"
    boundaries = 5

    def prepare(self) -> None:
        self.alice.subscribe()
        self.plan, self.history = self.alice.row.stripe_id, History(self.desk)

    def fresh(self) -> dict[str, Any]:
        self.alice.sandbox.stripe.subscriptions.update(self.plan, {"cancel_at_period_end": True})
        self._hear()
        assert self.alice.row.cancel_at_period_end
        recover(self.config)
        self.written = count(StripeWrite)
        return {"user_id": self.alice.id}

    def again(self, life: Life) -> None:
        if count(StripeWrite) == self.written:
            assert life.said == [], "it was not even written down"
            self.alice.post("/billing/resume")

    def done(self) -> Any:
        self._hear()
        return self.alice.row.ends_at, count(StripeWrite) - self.written, sum(self.effects().values())

    def _hear(self) -> None:
        self.history.deliver(self.history.news())
        apply_all()


class Card(Way):
    """Somebody buys credits with their saved card: charged once and given once, whoever died and who presses again."""

    flow = "card"
    boundaries = 5

    def prepare(self) -> None:
        self.alice.subscribe()
        self.history = History(self.desk)

    def fresh(self) -> dict[str, Any]:
        self.had, self.written = grants.balance(db.session(), self.alice.id), count(StripeWrite)
        page = self.alice.get("/buy/credits-100").text
        self.form = hidden(page.partition("Pay another way")[0].rpartition("<form")[0])
        return {"user_id": self.alice.id, "form": self.form}

    def again(self, life: Life) -> None:
        recover(self.config)
        assert self.alice.post("/buy/credits-100/card", **self.form).status_code == 303

    def done(self) -> Any:
        self.history.deliver(self.history.news())
        apply_all()
        recover(self.config)
        db.session.rollback()
        given = grants.balance(db.session(), self.alice.id) - self.had
        [page] = self.alice.get(f"/orders/{self.form['once']}").text.split("<h1>")[1:]
        return (
            given,
            count(StripeWrite) - self.written,
            sum(self.effects().values()),
            page.partition("</h1>")[0],
        )


class Purchase(FirstPayment):
    """Something was bought once, and a part of it paid back, and all of that is heard of: rows, entries and mails."""

    flow = "sweep"
    boundaries = 8

    def prepare(self) -> None:
        history = History(self.desk)
        assert self.alice.pay(self.alice.buy()).status == 303
        [intent] = self.alice.sandbox.stripe.payment_intents.list({"customer": self.alice.customer})["data"]
        self.alice.sandbox.stripe.refunds.create({"payment_intent": intent["id"], "amount": 500})
        self.told = history.news()

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
        self.alice.subscribe()
        self.plan, self.history = self.alice.row.stripe_id, History(self.desk)

    def fresh(self) -> dict[str, Any]:
        self.second = another(self.alice)
        store(self.history.news())
        return {}

    def done(self) -> Any:
        writes, changes = sum(self.effects().values()), self.changes().count("subscription.second")
        self.history.deliver(self.history.news())
        apply_all()
        recover(self.config)
        return held_of(self.alice, self.second), self.alice.row.stripe_id == self.plan, writes, changes


class Push(Way):
    """A file is brought to Stripe: each product and price is made once, and the old ones are done with."""

    flow = "push"
    boundaries = 25

    def fresh(self) -> dict[str, Any]:
        self.item = f"mortal{next(_numbers)}"
        for model in (PlanPrice, PastPrice, StripeWrite):  # else what others sold would be archived
            db.session.execute(delete(model))
        db.session.commit()
        catalogue.push(db.session(), shelf.first_file(self.item))
        self.written = count(StripeWrite)
        return {"item": self.item}

    def again(self, life: Life) -> None:
        catalogue.push(db.session(), shelf.second_file(self.item), archive=True)

    def done(self) -> Any:
        """What is at Stripe and what we remember of it, without the names of this run; how many writes that took."""
        api, rows = self.alice.sandbox.stripe.prices, db.session.query(PlanPrice).order_by(PlanPrice.item)
        found: list[Any] = [count(StripeWrite) - self.written, sum(self.effects().values())]
        for row in rows:
            there = api.list({"product": row.product_id, "expand": ["data.product"]})["data"]
            sold = sorted((one["unit_amount"], one["active"], one["id"] == row.price_id) for one in there)
            found.append((row.item.removeprefix(self.item), there[0]["product"]["name"], row.amount, sold))
        return found, [one.amount for one in db.session.query(PastPrice)]


def store(told: list[Object]) -> None:
    """As if they had been delivered."""
    for event in told:
        inbox.store(db.session(), event, json.dumps(event), source="webhook", handled=True)
    db.session.commit()


def time_passes() -> None:
    """Whoever died is gone from the database, and everything that they held is over."""
    wait_until(lambda: not _alive(), "the dead to be gone")
    later(LONGER)
    registry.time_passes(registry.LEASE_OVER)
    by = {"by": LONGER}
    back = "lease_until = lease_until - make_interval(secs => :by)"
    db.session.execute(text(f"update notices set {back} where state = 'sending'"), by)
    db.session.commit()


def _alive() -> int:
    db.session.rollback()  # one transaction sees one list of who is there
    there = text("select count(*) from pg_stat_activity where application_name = :name")
    return int(db.session.execute(there, {"name": NAME}).scalar_one())


def rows_without_a_cause() -> int:
    """Rows that stand on an event that is not applied: one transaction writes both, or neither."""
    found = 0
    for model in (Subscription, Invoice, Payment):
        closed = select(StripeEvent.event_id).where(StripeEvent.state == StripeEvent.APPLIED)
        left = select(func.count()).select_from(model).where(model.cause_event_id.not_in(closed))
        found += int(db.session.execute(left).scalar_one())
    db.session.rollback()
    return found

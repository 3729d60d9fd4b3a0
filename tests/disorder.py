"""Every order in which the events of a history may be delivered, and every delay, without walking each of them.

What an application does depends on three things: our rows, what Stripe answers at that step, and the event.
So a *place* is (step of the history, our rows). From each place that can be reached, every event that has
happened is applied once, for real; places with equal rows are one. Which orders lead where is then counted
on that map: a *stop* is (step, events delivered so far, our rows).

One connection, one transaction, and a savepoint for each application, which is rolled back to try another
one: what the code commits is only a savepoint's release.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from billing import inbox, jobs, outbox, refresh
from billing.extensions import db
from billing.models import Notice, StripeEvent
from billing.payloads import Object
from tests.histories import at_stripe, with_us
from tests.moments import Moments
from tests.story import Shopper, config_of

# Columns that no handler reads and that tell of us: which row, written when, by which event, under which fence.
OURS = "{id,user_id,fetch_no,fetched_at,cause_event_id,created_at,fulfilled_at,completed_at,refunded_at}"
KEYS = {
    "subscriptions": "stripe_id",
    "invoices": "stripe_id",
    "payments": "payment_intent",
    "checkout_sessions": "id",
    "disputes": "stripe_id",
    "refunds": "stripe_id",
    "fraud_warnings": "stripe_id",
}
MIRRORS = ", ".join(
    f"'{table}', (select jsonb_agg(to_jsonb(t) - cast(:ours as text[]) order by {key}) from {table} t)"
    for table, key in KEYS.items()
)
# A mail that says “kept” or “changed” is named for the fence under which it was owed.
NOTICES = (
    "select coalesce(jsonb_agg(array[regexp_replace(dedupe_key, '^((kept|change):.*):\\d+$', '\\1'), kind, state]"
    " order by kind, dedupe_key), '[]') from notices"
)
ROWS = text(
    f"select jsonb_build_object({MIRRORS}, 'notices', ({NOTICES}),"
    " 'fulfilled', (select count(fulfilled_at) from payments),"
    " 'writes', (select jsonb_agg(array[name, state] order by name) from stripe_writes"
    # Whoever looks between the new card and Stripe's own retry keeps a payment, which then comes to nothing.
    " where name not like 'pay:%'))"
)
OWED = text("select exists (select from notices where state in ('queued', 'sending'))")
Place = tuple[int, str]
Stop = tuple[int, frozenset[int], str]


@dataclass
class Map:
    """``applied[place, event]``: our rows afterwards. Events are numbered in the order in which they happened."""

    moments: Moments
    events: list[Object] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    applied: dict[tuple[Place, int], str] = field(default_factory=dict)
    begin: str = ""
    # Places at the history's end whose subscriptions and invoices are exactly Stripe's.
    right: set[str] = field(default_factory=set)
    # Our rows after one look of the reconciler, for each place at the history's end.
    healed: dict[str, str] = field(default_factory=dict)

    def happened(self, step: int) -> list[int]:
        return [number for number, at in enumerate(self.steps) if at <= step]

    def onward(self, stop: Stop) -> list[Stop]:
        """What may come next: time, or any event that happened and was not delivered."""
        step, told, rows = stop
        found = [(step + 1, told, rows)] if step < self.moments.last else []
        untold = [event for event in self.happened(step) if event not in told]
        return found + [(step, told | {event}, self.applied[(step, rows), event]) for event in untold]

    def ends(self, stop: Stop) -> Counter[str]:
        """In how many ways each end is reached from here: an order of deliveries, woven into the history."""

        @cache
        def ways(here: Stop) -> Counter[str]:
            onward = self.onward(here)
            return sum((ways(one) for one in onward), Counter()) if onward else Counter({here[2]: 1})

        return ways(stop)


class Explorer:
    """Fills a map by applying events for real."""

    def __init__(self, shopper: Shopper, moments: Moments) -> None:
        self._shopper, self._config = shopper, config_of(shopper.desk)
        self._map = Map(moments)
        for step, news in enumerate(moments.news):
            self._map.events += news
            self._map.steps += [step] * len(news)
        self._seen: set[Place] = set()
        self._again: set[str] = set()
        self._truth = at_stripe(shopper)

    def explore(self) -> Map:
        db.session.rollback()
        with db.engine.connect() as connection, self._map.moments.playing() as self._player:
            outer = connection.begin()
            self._map.begin = _rows(connection)
            self._visit(connection, (0, self._map.begin))
            self._visit(connection, (self._map.moments.last, self._map.begin))
            outer.rollback()
        return self._map

    def _visit(self, connection: Connection, place: Place) -> None:
        if place in self._seen:
            return
        self._seen.add(place)
        step, rows = place
        for event in self._map.happened(step):
            self._player.step = step
            with connection.begin_nested() as tried:
                after = self._apply(connection, self._map.events[event], step)
                self._map.applied[place, event] = after
                self._visit(connection, (step, after))
                tried.rollback()
        if step < self._map.moments.last:
            self._visit(connection, (step + 1, rows))
        else:
            self._end(connection, rows)

    def _apply(self, connection: Connection, event: Object, step: int) -> str:
        """Deliver the event; where it was delivered on the way here, its row is applied once more."""
        with _session(connection) as session:
            before = _mails(session)
            new = inbox.store(session, event, json.dumps(event), source="webhook", handled=True)
            session.commit()
            if not new:
                jobs.run_again(session, event["id"])
            elif event["id"] in self._again:
                jobs.apply_one(session, event["id"])
            else:
                assert jobs.apply_due(session) == 1
            told = select(StripeEvent.state, StripeEvent.reason).where(StripeEvent.event_id == event["id"])
            state, reason = session.execute(told).one()
            assert state in (StripeEvent.APPLIED, StripeEvent.IGNORED), reason
            if session.scalar(OWED):  # else there is nothing to send
                outbox.send_due(session, self._config)
            self._check_mails(session, before, step)
            rows = _rows(session.connection())
            if event["id"] not in self._again:  # the inbox looks at no other row: once is enough
                self._again.add(event["id"])
                assert not inbox.store(session, event, json.dumps(event), source="webhook", handled=True)
                session.commit()
                assert jobs.apply_due(session) == 0, "a second delivery is no work"
        return rows

    def _check_mails(self, session: Session, before: set[str], step: int) -> None:
        """Each mail that left now says what Stripe says now."""
        for notice in session.query(Notice).filter(Notice.dedupe_key.not_in(before)):
            assert notice.state == "sent", (notice.kind, notice.state)
            assert true_of(notice, self._map.moments.truth[step].__getitem__), (notice.kind, step)
            if notice.kind in ("recovered", "receipt"):
                warned = any(key.startswith(f"dun:{notice.facts['invoice']}:") for key in before)
                assert warned == (notice.kind == "recovered")

    def _end(self, connection: Connection, rows: str) -> None:
        with connection.begin_nested() as tried, _session(connection) as session:
            if with_us(self._shopper, session) == self._truth:
                self._map.right.add(rows)
            self._player.step = self._map.moments.last
            for one in self._truth["subscriptions"]:
                refresh.subscription(session, one, self._customer, self._config, "reconciler")
            self._map.healed[rows] = _rows(session.connection())
            session.close()
            tried.rollback()

    @property
    def _customer(self) -> str:
        return str(self._map.events[0]["data"]["object"]["customer"])


def _session(connection: Connection) -> Session:
    return Session(bind=connection, join_transaction_mode="create_savepoint")


def _rows(connection: Connection) -> str:
    return json.dumps(connection.execute(ROWS, {"ours": OURS}).scalar_one(), sort_keys=True)


def _mails(session: Session) -> set[str]:
    return {key for (key,) in session.query(Notice.dedupe_key)}


def true_of(notice: Notice, at_stripe: Callable[[str], Any]) -> bool:
    """Whether what the mail says is so, by Stripe's objects."""
    facts, kind = notice.facts, notice.kind
    if "stage" in facts:
        invoice = at_stripe(facts["invoice"])
        return bool(invoice["status"] == "open" and min(invoice["attempt_count"], 3) == facts["stage"])
    if notice.dedupe_key.startswith("paid:"):
        return at_stripe(notice.dedupe_key.partition(":")[2])["status"] in ("paid", "succeeded")
    if "refund" in facts or "dispute" in facts:
        return bool(at_stripe(facts.get("refund") or facts["dispute"])["status"] == facts["status"])
    plan = at_stripe(facts["subscription"])
    if kind in ("ended", "dun5"):
        return plan["status"] in ("canceled", "unpaid")
    ends = bool(plan["cancel_at"] or plan["cancel_at_period_end"])
    trial = plan["status"] == "trialing"
    so = {"cancel_set": ends, "kept": not ends, "trial_start": trial, "trial_end": trial}
    so["changed"] = kind == "changed" and plan["items"]["data"][0]["price"]["id"] == facts["price_id"]
    return plan["status"] != "canceled" and so[kind]

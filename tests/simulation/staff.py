"""Everybody else: Stripe's deliverer, our worker and clocks, an admin, and somebody at Stripe's dashboard."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from billing import jobs, timetable
from billing.extensions import db
from sandbox import sending, signing
from sandbox.api import form, server
from sandbox.errors import ApiError
from tests.simulation.hours import hours

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_ATTEMPTS = 12
# Duties that change nothing, and would take a sixth of the time.
ONLY_TELLS = {"lights"}


class Deliverer:
    """Carries Stripe's events to us: in any order, twice, late or never."""

    def __init__(self, world: World) -> None:
        self.world, self._store = world, world.ground.house.store
        self._client = world.ground.app.test_client()
        self._busy: set[int] = set()
        self.lost = 0

    def owed(self, *, all_: bool = False) -> list[Any]:
        until = float("inf") if all_ else hours.now
        sql = "SELECT * FROM deliveries WHERE state='pending' AND next_at<=? ORDER BY id"
        return [row for row in self._store.rows(sql, (until,)) if row["id"] not in self._busy]

    def acts(self, row: Any = None) -> None:
        world = self.world
        row = row or world.chance.choice(self.owed())
        if world.weather.strikes("delivery: lost"):
            world.note(f"{row['type']} is lost")
            self._settle(row, "dropped")
            self.lost += 1
            return
        self._busy.add(row["id"])
        world.begin(f"web: {row['type']}", lambda: self._deliver(row))

    def _deliver(self, row: Any) -> None:
        world = self.world
        try:
            endpoint = self._store.get("webhook_endpoint", row["endpoint"])
            event = sending.rendered(row["event"], endpoint)
            self._look(event)
            if world.weather.strikes("delivery: forged"):
                self._must_refuse(event | {"type": "invoice.paid"}, "whsec_of_somebody_else_0123456789")
            if world.weather.strikes("delivery: of live mode"):
                self._must_refuse(event | {"id": event["id"] + "l", "livemode": True}, endpoint["_secret"])
            sent = hours.now
            status = self._post(event, endpoint["_secret"])
            if status == 400 and hours.now - sent > 300:
                world.hit("delivery too old")
            elif status == 200:
                world.acked.add(event["id"])
            elif status != 503:
                world.fails(f"a delivery was answered {status}")
            again = status != 200 or world.weather.strikes("delivery: twice")
            if again or world.weather.strikes("delivery: answer lost"):
                self._again(row)
            else:
                self._settle(row, "delivered")
        finally:
            self._busy.discard(row["id"])

    def _look(self, event: dict[str, Any]) -> None:
        if event["id"] in self.world.acked:
            self.world.hit("duplicate event")
        over = "select 1 from subscriptions where stripe_id = %s and status = 'canceled'"
        if self.world.rows(over, event["data"]["object"]["id"]):
            self.world.hit("late event after the end")

    def _post(self, event: dict[str, Any], secret: str) -> int:
        body = json.dumps(event).encode()
        header = signing.header(body, [secret], int(hours.now))
        answer = self._client.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": header})
        self.world.note(f"delivered {event['type']}: {answer.status_code}")
        return answer.status_code

    def _must_refuse(self, event: dict[str, Any], secret: str) -> None:
        status = self._post(event, secret)
        if status != 400:
            self.world.fails(f"what is not ours was answered {status}")

    def _settle(self, row: Any, state: str) -> None:
        with self._store.transaction():
            self._store.write("UPDATE deliveries SET state=? WHERE id=?", (state, row["id"]))

    def _again(self, row: Any) -> None:
        tried = row["attempts"] + 1
        self.lost += tried > MOST_ATTEMPTS
        wait = self.world.chance.choice((1, 30, 600, 7200))
        with self._store.transaction():
            self._store.write(
                "UPDATE deliveries SET attempts=?, next_at=?, state=? WHERE id=?",
                (tried, hours.now + wait, "failed" if tried > MOST_ATTEMPTS else "pending", row["id"]),
            )


class Worker:
    """Answers the bell."""

    def __init__(self, world: World) -> None:
        self.world, self._bell = world, world.ground.app.extensions["bell"]

    def is_called(self) -> bool:
        return self._bell.waiting > 0 and not self.world.weather.is_away("redis", hours.now)

    def acts(self) -> None:
        self._bell.waiting -= 1
        self.world.begin("worker", jobs.answer_bell)


class Clock:
    """One of two clock processes; whichever has the lease leads. Killed, it begins anew with nothing."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self._process: Any = None
        self._begin()

    def _begin(self) -> None:
        self._plan, self._lease = [one for one in timetable.duties() if one.name not in ONLY_TELLS], None

    def idle(self) -> bool:
        return self._process is None or self._process.done

    def acts(self) -> None:
        if self._process is not None and self._process.killed:
            self._begin()
        self._process = self.world.begin(self.name, self._tick)

    def _tick(self) -> None:
        """What ``timetable.run`` does in a tick and its lanes, one duty after the other."""
        before = self._lease.fence if self._lease else None
        try:
            self._lease = timetable._lead(db.session(), self._lease)
        except SQLAlchemyError:
            self._lease = None
            return
        if self._lease is None:
            return
        if before is None and self._lease.fence > 1:
            self.world.hit("another clock leads")
        timetable._work(db.session(), self._plan, threading.Event())


class Dashboard:
    """Somebody at Stripe's dashboard, who asks none of us."""

    def __init__(self, world: World) -> None:
        self.world = world

    def acts(self) -> None:
        way = self.world.chance.choice(
            (self.refunds, self.refunds, self.edits, self.cancels, self.sells, self.answers, self.deletes)
        )
        what = way()
        if what:
            self.world.note(f"dashboard: {what}")

    def _do(self, method: str, path: str, tree: dict[str, Any]) -> int:
        try:
            return server.perform_in_dashboard(method, f"/v1/{path}", form.encoded(tree))[0]
        except ApiError as problem:
            return problem.status

    def _one(self, kind: str, **where: Any) -> dict[str, Any] | None:
        found = [one for one in self.world.at_stripe(kind) if all(one.get(k) == v for k, v in where.items())]
        return self.world.chance.choice(found) if found else None

    def refunds(self) -> str | None:
        charge = self._one("charge", status="succeeded", refunded=False)
        if charge is None:
            return None
        left = charge["amount"] - charge["amount_refunded"]
        amount = self.world.chance.choice((left, max(1, left // 3)))
        self.world.hit("whole refund" if amount == charge["amount"] else "partial refund")
        status = self._do("POST", "refunds", {"charge": charge["id"], "amount": str(amount)})
        return f"refunds {amount} of {charge['amount']}: {status}"

    def edits(self) -> str | None:
        plan = self._one("subscription")
        if plan is None:
            return None
        change = self.world.chance.choice(
            (
                {"cancel_at_period_end": "true"},
                {"cancel_at_period_end": "false"},
                {"metadata": {"note": "seen"}},
            )
        )
        return f"edits {change}: {self._do('POST', 'subscriptions/' + plan['id'], change)}"

    def cancels(self) -> str | None:
        plan = self._one("subscription")
        if plan is None or self.world.chance.random() < 0.5:
            return None
        return f"cancels: {self._do('DELETE', 'subscriptions/' + plan['id'], {})}"

    def sells(self) -> str | None:
        """A second subscription beside the one that somebody has."""
        plan = self._one("subscription", status="active")
        if plan is None or self.world.chance.random() < 0.5:
            return None
        price = plan["items"]["data"][0]["price"]["id"]
        tree = {"customer": plan["customer"], "items": {"0": {"price": price}}, "metadata": plan["metadata"]}
        method = plan.get("default_payment_method")
        if method:
            tree["default_payment_method"] = method
        status = self._do("POST", "subscriptions", tree)
        if status == 200:
            self.world.hit("second subscription")
        return f"sells a second one: {status}"

    def answers(self) -> str | None:
        dispute = self._one("dispute", status="needs_response")
        if dispute is None:
            return None
        word = self.world.chance.choice(("winning_evidence", "losing_evidence"))
        tree = {"evidence": {"uncategorized_text": word}, "submit": "true"}
        return f"answers a dispute with {word}: {self._do('POST', 'disputes/' + dispute['id'], tree)}"

    def deletes(self) -> str | None:
        """A customer, who may order again."""
        customer = self._one("customer", _deleted=None)
        if customer is None or self.world.chance.random() < 0.7:
            return None
        self.world.hit("customer deleted at Stripe")
        return f"deletes {customer['email']}: {self._do('DELETE', 'customers/' + customer['id'], {})}"

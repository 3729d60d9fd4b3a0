"""What happens at Stripe, kept from us: the events of a history, for a test to deliver as it likes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from billing import jobs, refresh
from billing.clock import now
from billing.extensions import db
from billing.models import (
    CheckoutSession,
    FraudWarning,
    Grant,
    Installation,
    Invoice,
    Notice,
    Payment,
    Refund,
    StripeEvent,
    Subscription,
)
from billing.payloads import Object
from local.ports import free_port
from tests.story import Shopper, config_of
from tests.support import Sandbox, deliver, make_event, wait_until

ROOT = Path(__file__).parent.parent
# What a row says of our own doing: when and by which event it was written, not what Stripe holds.
OURS = {
    "id",
    "user_id",
    "fetch_no",
    "fetched_at",
    "cause_event_id",
    "created_at",
    "superseded_at",
    "completed_at",
    "refunded_at",
}
# What the reconciler writes down of itself: how far it came, and whose turn it was.
ITS_OWN = ("events_cursor", "reconciled_at", "token", "until", "fence")
MIRRORS: tuple[Any, ...] = (Subscription, Invoice, Payment, CheckoutSession)


@contextmanager
def sandbox_in(folder: Path) -> Iterator[Sandbox]:
    """A sandbox of one module's own: what the reconciler finds in its list are that module's events alone."""
    port = free_port()
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--data", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    sandbox = Sandbox(f"http://127.0.0.1:{port}", folder)
    try:
        wait_until(lambda: sandbox.answers() or process.poll() is not None, "the sandbox to answer")
        assert process.poll() is None, (folder / "log").read_text()
        yield sandbox
    finally:
        process.terminate()
        process.wait(timeout=20)


class History:
    """Stripe's events since it was begun. Stripe delivers none of them: the test does.

    ``last``: the newest one told.
    """

    def __init__(self, desk: Flask) -> None:
        self._desk = desk
        self._sandbox: Sandbox = desk.extensions["sandbox"]
        self._sandbox.control("trouble", delivery="drop")
        self.last = self._newest()

    def news(self) -> list[Object]:
        """Every event that is acted on and was not told before, oldest first."""
        found: list[Object] = []
        cursor = {"ending_before": self.last} if self.last else {}
        while page := self._sandbox.stripe.events.list({"limit": 100, **cursor}).to_dict(for_json=True)[
            "data"
        ]:
            found += reversed(page)
            cursor = {"ending_before": page[0]["id"]}
        self.last = found[-1]["id"] if found else self.last
        return [event for event in found if event["type"] in jobs.HANDLERS]

    def deliver(self, events: Iterable[Object]) -> None:
        """Deliver them in this order, signed, over HTTP."""
        for event in events:
            assert deliver(self._desk, event).status_code == 200

    def _newest(self) -> str | None:
        page = self._sandbox.stripe.events.list({"limit": 1})["data"]
        return page[0]["id"] if page else None


def picture(shopper: Shopper) -> dict[str, list[dict[str, Any]]]:
    """All that our rows say of what Stripe holds of a person."""
    db.session.rollback()
    found: dict[str, list[dict[str, Any]]] = {}
    for model in MIRRORS:
        names = [column.key for column in model.__table__.columns if column.key not in OURS]
        rows = db.session.query(model).filter_by(user_id=shopper.id).order_by(model.id)
        found[model.__tablename__] = [{name: getattr(row, name) for name in names} for row in rows]
    return found


def forget() -> None:
    """As if none of it had been heard of: no event, and nothing that events wrote but the record of changes."""
    db.session.rollback()
    for model in (Notice, Invoice, Subscription, Payment, Grant, Refund, FraudWarning, StripeEvent):
        db.session.execute(delete(model))
    db.session.commit()


def at_stripe(shopper: Shopper) -> dict[str, Any]:
    """What Stripe holds of a person's subscriptions and invoices, read without our code."""
    stripe, customer = shopper.sandbox.stripe, shopper.customer
    subscriptions = stripe.subscriptions.list({"customer": customer, "status": "all"}).to_dict()["data"]
    invoices = stripe.invoices.list({"customer": customer, "limit": 100}).to_dict()["data"]
    return {
        "subscriptions": {
            one["id"]: (
                one["status"],
                one["items"]["data"][0]["current_period_end"],
                one["cancel_at"],
                one["ended_at"],
                one["latest_invoice"],
                _late_since(one, invoices),
            )
            for one in subscriptions
        },
        "invoices": {
            one["id"]: (one["status"], one["attempt_count"], one["amount_paid"], one["next_payment_attempt"])
            for one in invoices
            if one["status"] != "draft"
        },
    }


def _late_since(subscription: Object, invoices: list[Object]) -> int | None:
    """When the first try of what is unpaid failed, where that matters."""
    tried = [one["status_transitions"]["finalized_at"] for one in invoices if one["status"] == "open"]
    return min(tried) if subscription["status"] in ("past_due", "unpaid") else None


def with_us(shopper: Shopper, session: Session | None = None) -> dict[str, Any]:
    """The same of our rows; as ``session`` sees them, if one is given."""
    if session is None:
        session = db.session()
        session.rollback()
    subscriptions = session.query(Subscription).filter_by(user_id=shopper.id)
    invoices = session.query(Invoice).filter_by(user_id=shopper.id)
    return {
        "subscriptions": {
            row.stripe_id: (
                row.status,
                _seconds(row.current_period_end),
                _seconds(row.cancel_at),
                _seconds(row.ended_at),
                row.latest_invoice,
                _seconds(row.first_failed_at),
            )
            for row in subscriptions
        },
        "invoices": {
            row.stripe_id: (
                row.status,
                row.attempt_count,
                row.amount_paid,
                _seconds(row.next_payment_attempt),
            )
            for row in invoices
            if row.status != "draft"
        },
    }


def _seconds(moment: Any) -> int | None:
    return int(moment.timestamp()) if moment else None


def about(shopper: Shopper, subscription: str, kind: str = "customer.subscription.updated") -> Object:
    """A new event that says no more than that this subscription of the person changed."""
    return make_event(kind, {"id": subscription, "object": "subscription", "customer": shopper.customer})


def later(seconds: float) -> None:
    """So much time passes for whatever waits: every event, every claim, every lease."""
    db.session.rollback()
    by = {"by": timedelta(seconds=seconds)}
    moved = "next_attempt_at = next_attempt_at - :by, lease_until = lease_until - :by"
    db.session.execute(text(f"update stripe_events set {moved} where state = 'pending'"), by)
    db.session.commit()  # whoever is at work holds a lease while it wants its events
    db.session.execute(text("update leases set until = until - :by"), by)
    db.session.commit()


def cursor_at(seconds: int | None) -> None:
    """The reconciler's last pass was so many seconds from now; None: there was none."""
    cursor = None if seconds is None else int(now().timestamp()) + seconds
    db.session.execute(update(Installation).values(events_cursor=cursor))
    db.session.commit()


def everything(shopper: Shopper, *, full: bool = False) -> tuple[int, int]:
    """One pass of the reconciler: events that it missed, rows that it looked at again."""
    done = refresh.everything(db.session(), config_of(shopper.desk), full=full)
    return done.missed, done.looked

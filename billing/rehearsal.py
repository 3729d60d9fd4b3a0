"""What a look at Stripe would change, without changing it.

The same fetch and the same write as in ``jobs``, under the same lease, in a transaction that is rolled back.
What differs before and after it, row by row, is what would happen: to rows, and which mails would be owed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from billing import comparing, inbox, jobs, leases, reconcile, refresh, sweep
from billing.claims import Due
from billing.clock import now
from billing.comparing import Finding
from billing.config import Config
from billing.errors import StaleLease
from billing.extensions import Model
from billing.installation import public_id
from billing.models import (
    CheckoutSession,
    Dispute,
    FraudWarning,
    Grant,
    Invoice,
    Notice,
    Payment,
    Refund,
    StripeEvent,
    Subscription,
    User,
)
from billing.payloads import Object, about
from billing.syncing import Cause

LEASE_WAIT_SECONDS = 10.0
# Each table with the column that names a row to people.
NAMED_BY: dict[type[Model], str] = {
    Subscription: "stripe_id",
    Invoice: "stripe_id",
    CheckoutSession: "stripe_id",
    Payment: "payment_intent",
    Dispute: "stripe_id",
    Grant: "key",
    Refund: "stripe_id",
    FraudWarning: "stripe_id",
    Notice: "dedupe_key",
}
# Marks of the write itself: they change at every look and mean nothing to people.
MARKS = frozenset(
    {"id", "fetch_no", "fetched_at", "cause_event_id", "created_at", "next_attempt_at", "message_id"}
)
Rows = dict[str, dict[str, Any]]
NEW = "new"


@dataclass(frozen=True)
class Change:
    """One field of one row: ``row`` is a table and Stripe's id. A row that would be made has one change, NEW."""

    row: str
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        if self.field == NEW:
            return f"{self.row}: would be made ({self.after})"
        return f"{self.row}: {self.field} {self.before} → {self.after}"


def of_event(session: Session, event_id: str) -> list[Change] | None:
    """What running a stored event again would change; None where nothing is ever done for it.

    Raises StripeError where Stripe does not answer, StaleLease where its customer is being written all the time.
    """
    event = session.get(StripeEvent, event_id)
    if event is None or event.type not in jobs.HANDLERS or event.subject is None:
        return None
    return _look(session, Due(*(getattr(event, name) for name in Due._fields)), lambda: event_id)


def of_subscription(session: Session, stripe_id: str, customer: str | None, config: Config) -> list[Change]:
    """What looking at one subscription would change. Raises as ``of_event`` does."""

    def ask() -> str:
        return inbox.ask_for_refresh(session, stripe_id, customer, livemode=config.livemode, actor="operator")

    return _look(session, Due("", inbox.REFRESH, stripe_id, stripe_id, customer, "operator", now()), ask)


def of_person(session: Session, user: User, config: Config) -> Iterator[Change]:
    """What looking at everything that Stripe has for the person would change."""
    customer = user.stripe_customer_id
    session.rollback()  # no transaction is open while Stripe is asked
    looked = reconcile.at_stripe(customer) if customer else []
    for stripe_id in looked:
        yield from of_subscription(session, stripe_id, customer, config)
    for finding in sweep.findings(session, full=True, customer=customer) if customer else ():
        if finding.stripe_id not in looked and finding.subscription not in looked:
            yield from of_finding(session, finding, config)


def of_everything(session: Session, config: Config) -> Iterator[Change]:
    """What a full pass would change: by events that never came, by what differs, by rows grown old. A difference
    that a missed event explains is said twice, since nothing is healed in between."""
    for event in refresh.missed(session):
        yield from of_missed(session, event)
    for finding in sweep.findings(session, full=True):
        yield from of_finding(session, finding, config)
    old = reconcile.stale(session, now(), refresh.fresh(config))
    session.rollback()
    for stripe_id, customer in old:
        yield from of_subscription(session, stripe_id, customer, config)


def of_finding(session: Session, found: Finding, config: Config) -> list[Change]:
    """What looking at an object that differs from its row would change."""
    name = f"{found.kind} {found.stripe_id}"
    if comparing.GONE in found.differs:
        return [Change(name, "row", "there", f"removed ({comparing.GONE})")]
    if comparing.STRAY in found.differs:
        return [Change(name, "alert", "none", comparing.STRAY)]

    def ask() -> str:
        return sweep.ask(session, found, config, "operator")

    subject = found.subscription or found.stripe_id
    kind = inbox.REFRESHES[found.kind]
    return _look(session, Due("", kind, subject, found.stripe_id, found.customer, "operator", now()), ask)


def of_missed(session: Session, event: Object) -> list[Change]:
    """What an event that never reached us would change."""
    ids = about(event)
    if ids.subject is None or event["type"] not in jobs.HANDLERS:
        return []
    due = Due(event["id"], event["type"], ids.subject, ids.object_id, ids.customer, "events_api", now())

    def store() -> str:
        inbox.store(session, event, json.dumps(event), source="events_api", handled=True)
        return str(event["id"])

    return _look(session, due, store)


def recent(session: Session, days: int) -> Iterator[tuple[str, list[Change]]]:
    """Every object that the events of the last days were about, with what the present code would change.

    Nothing, where the code that wrote the rows and this code agree: so an upgrade is tried before it serves.
    """
    newest = (
        select(StripeEvent.event_id, StripeEvent.subject)
        .where(
            StripeEvent.received_at > now() - timedelta(days=days),
            StripeEvent.type.in_(jobs.HANDLERS),
            StripeEvent.subject.is_not(None),
            StripeEvent.state != StripeEvent.PENDING,
        )
        .order_by(StripeEvent.subject, StripeEvent.received_at.desc())
        .ext(distinct_on(StripeEvent.subject))
    )
    found = session.execute(newest).all()
    session.rollback()
    for event_id, subject in found:
        yield str(subject), of_event(session, event_id) or []


def _look(session: Session, event: Due, cause: Callable[[], str], owner: str | None = None) -> list[Change]:
    """``cause`` gives the id of the event that the rows would stand on; what it stores goes with the rollback.

    Under the lease nobody writes between our two pictures, so the difference is ours alone.
    """
    session.rollback()
    owner = owner or event.lease_name
    lease = leases.take(session, owner, wait=LEASE_WAIT_SECONDS)
    if lease is None:
        raise StaleLease(f"{owner} is being written just now; try again")
    try:
        sync = jobs.sync_of(event)
        fetched = jobs.fetch(session, sync, event.subject or "", [event.object_id] if event.object_id else [])
        rightful = sync.customer(fetched) or owner
        if rightful == owner:
            leases.hold(session, lease)
            because = Cause(
                cause(), lease.fence, public_id(session), now(), frozenset({event.type}), "rehearsal"
            )
            outcome = sync.write(session, fetched, because)
            session.flush()
            after = _picture(session, outcome.user_id)
            session.rollback()
            told = [Change(f"Stripe {one.operation}", NEW, "none", one.name) for one in outcome.writes]
            return [*_difference(_picture(session, outcome.user_id), after), *told]
    finally:
        session.rollback()
        leases.free(session, lease)
    return _look(session, event, cause, rightful)


def _picture(session: Session, user_id: int | None) -> Rows:
    """Every row of the person in the tables that events write."""
    rows: Rows = {}
    if user_id is None:
        return rows
    for model, key in NAMED_BY.items():
        columns = [column for column in model.__table__.columns if column.name not in MARKS]
        owned = select(*columns).where(model.__table__.c.user_id == user_id)
        for row in session.execute(owned).mappings():
            rows[f"{model.__tablename__} {row[key]}"] = dict(row)
    return rows


def _difference(before: Rows, after: Rows) -> list[Change]:
    return [change for row, fields in after.items() for change in _of_row(row, before.get(row), fields)]


def _of_row(row: str, before: dict[str, Any] | None, after: dict[str, Any]) -> Iterable[Change]:
    if before is None:
        return [
            Change(row, NEW, "none", _words(after.get("status") or after.get("kind") or after.get("state")))
        ]
    return [
        Change(row, field, _words(before[field]), _words(value))
        for field, value in after.items()
        if before[field] != value
    ]


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else str(value)

"""Looking at Stripe again, through the same door as every event: a row in the inbox, then ``jobs``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import deadline, inbox, jobs, pace, reconcile, stripe_reads, sweep
from billing.clock import database_now, now
from billing.config import Config
from billing.installation import current
from billing.models import CheckoutSession, Installation, StripeEvent, Subscription, User
from billing.payloads import Object

BATCH = 100
# What is left of old rows after this long is taken up, oldest first, by the next pass.
PASS_SECONDS = 40 * 60.0
# Somebody who comes back from Stripe's page waits for a look so long; then the worker goes on with it.
ARRIVAL_SECONDS = 2.0


class Pass(NamedTuple):
    """``missed`` events, objects ``compared``, and rows ``looked`` at because they differed or were old."""

    missed: int
    compared: int
    looked: int


def subscription(
    session: Session, stripe_id: str, customer: str | None, config: Config, actor: str
) -> StripeEvent:
    """Fetch one subscription now and write what Stripe says. Returns the event with what became of it."""
    event_id = inbox.ask_for_refresh(session, stripe_id, customer, livemode=config.livemode, actor=actor)
    session.commit()
    jobs.apply_one(session, event_id)
    return session.get_one(StripeEvent, event_id, populate_existing=True)


def payment(session: Session, payment_intent: str, customer: str | None, config: Config, actor: str) -> bool:
    """Look at one payment and its refunds now, through the inbox. Whether what Stripe says is on our rows."""
    event_id = inbox.ask_for_refresh(
        session, payment_intent, customer, livemode=config.livemode, actor=actor, kind="payment_intent"
    )
    session.commit()
    jobs.apply_one(session, event_id)
    return session.get_one(StripeEvent, event_id, populate_existing=True).state == StripeEvent.APPLIED


class Asked(NamedTuple):
    """A question about a Checkout Session that is in the inbox: its event, our row, and whose it is."""

    event_id: str
    row_id: int
    customer: str | None


def ask_of_session(session: Session, row: CheckoutSession, customer: str | None, config: Config) -> Asked:
    """Put it into the inbox that somebody came back from this Checkout Session; commits."""
    event_id = inbox.ask_for_refresh(
        session, row.stripe_id or "", customer, livemode=config.livemode, actor="arrival", kind="checkout.session"
    )  # fmt: skip
    session.commit()
    return Asked(event_id, row.id, customer)


def answer_of_session(session: Session, asked: Asked, config: Config) -> bool:
    """Look at the Session, and at the subscription that it made where we don't know that it has begun.

    Whether all of it was written within ``ARRIVAL_SECONDS``; what was not stays in the inbox for the worker.
    """
    with deadline.within(ARRIVAL_SECONDS):
        jobs.apply_one(session, asked.event_id)
        event = session.get_one(StripeEvent, asked.event_id, populate_existing=True)
        made = session.get_one(CheckoutSession, asked.row_id, populate_existing=True).subscription
        if event.state == StripeEvent.APPLIED and made and not _has_begun(session, made):
            event = subscription(session, made, asked.customer, config, "arrival")
    return event.state == StripeEvent.APPLIED


def purchase(session: Session, payment_intent: str, customer: str | None, config: Config) -> None:
    """Look at a one-off payment for somebody who waits; what takes too long stays in the inbox for the worker."""
    kind, livemode = "payment_intent", config.livemode
    event_id = inbox.ask_for_refresh(
        session, payment_intent, customer, livemode=livemode, actor="arrival", kind=kind
    )
    session.commit()
    with deadline.within(ARRIVAL_SECONDS):
        jobs.apply_one(session, event_id)


def _has_begun(session: Session, subscription: str) -> bool:
    known = select(Subscription.status).where(Subscription.stripe_id == subscription)
    return session.execute(known).scalar() not in (None, "incomplete")


def person(session: Session, user: User, config: Config, actor: str, *, running_only: bool = False) -> int:
    """Look at every subscription that Stripe has for the person, or at those that are not over. How many there are."""
    customer = user.stripe_customer_id
    if customer is None:
        return 0
    session.rollback()  # no transaction is open while Stripe is asked
    ids = reconcile.at_stripe(customer, running_only=running_only)
    for stripe_id in ids:
        subscription(session, stripe_id, customer, config, actor)
    return len(ids)


def everything(session: Session, config: Config, *, full: bool = False) -> Pass:
    """One pass of the reconciler, in no hurry: missed events, then whatever differs, then rows grown old.

    ``full``: what has ended or is long past is compared too.
    """
    found = current(session)
    if found is None:
        return Pass(0, 0, 0)
    stop = time.monotonic() + PASS_SECONDS
    with pace.unhurried():
        missed = _catch_up(session, found)
        while time.monotonic() < stop and jobs.apply_due(session):
            pass
        compared, differed = sweep.repair(session, config, full=full)
        old = _old(session, config, stop)
        old += _overdue(session, config, stop) if full else 0
    found.reconciled_at = database_now(session)
    session.commit()
    return Pass(missed, compared, differed + old)


def _old(session: Session, config: Config, stop: float) -> int:
    looked = 0
    for stripe_id, customer in reconcile.stale(session, now(), fresh(config)):
        if time.monotonic() > stop:
            break
        subscription(session, stripe_id, customer, config, "reconciler")
        looked += 1
    return looked


def _overdue(session: Session, config: Config, stop: float) -> int:
    looked = 0
    for stripe_id, customer in reconcile.overdue_sessions(session, now()):
        if time.monotonic() > stop:
            break
        event_id = inbox.ask_for_refresh(
            session,
            stripe_id,
            customer,
            livemode=config.livemode,
            actor="reconciler",
            kind="checkout.session",
        )
        session.commit()
        jobs.apply_one(session, event_id)
        looked += 1
    return looked


def fresh(config: Config) -> timedelta:
    """How old a row may be before Stripe is asked again."""
    return timedelta(hours=config.fresh_hours)


def missed(session: Session) -> Iterator[Object]:
    """Stripe's events that we don't have, none of them stored."""
    found = current(session)
    events = _listed(session, found, now()) if found else iter(())
    while batch := list(islice(events, BATCH)):
        unknown = reconcile.unknown(session, batch)
        session.rollback()
        yield from unknown


def _catch_up(session: Session, found: Installation) -> int:
    """Store what Stripe's list has and we don't, batch by batch; the cursor moves when the list was read whole."""
    started, stored = database_now(session), 0  # a cursor that was ahead would pass over events
    events = _listed(session, found, started)
    while batch := list(islice(events, BATCH)):
        stored += reconcile.store_missed(session, batch)
        session.commit()
    found.events_cursor = int(started.timestamp())
    session.commit()
    return stored


def _listed(session: Session, found: Installation, moment: datetime) -> Iterator[Object]:
    types = [name for name in jobs.HANDLERS if not inbox.is_ours(name)]
    since = reconcile.since(found.events_cursor, moment)
    session.rollback()  # no transaction is open while Stripe is asked
    return stripe_reads.list_events(types, since)

"""Applying what is due: one fetch for all that waits, failures kept and retried, nobody held up by another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing import claims, inbox, jobs, outbox
from billing.clock import now
from billing.extensions import db
from billing.models import Notice, StripeEvent, Subscription, User
from billing.syncing import Cause, Outcome
from tests.admin_rows import audit_of, stripe_event
from tests.histories import about, later
from tests.registry import over_a_wire
from tests.snapshots import Moments
from tests.story import FAILS_LATER, Shopper, apply_all, config_of, count, events, shopper
from tests.support import deliver, make_event
from tests.wire import Reply, Wire, cut, error


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask, moments: Moments) -> Shopper:
    """Somebody who has just paid. Nothing of it is applied."""

    def prepare() -> Shopper:
        found = shopper(desk)
        assert found.pay(found.order()).status == 303
        found.sandbox.flush()
        return found

    return moments.of("alice", prepare)


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    """What is asked of Stripe, and may be answered otherwise."""
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        yield found


def due() -> list[StripeEvent]:
    return events(state=StripeEvent.PENDING)


def plan_of(alice: Shopper) -> str:
    [found] = alice.sandbox.stripe.subscriptions.list({"customer": alice.customer})["data"]
    return str(found["id"])


def read(wire: Wire, what: str) -> int:
    """How often one kind of object was asked for."""
    return len([sent for sent in wire.seen if sent.path.startswith(f"/v1/{what}/")])


def test_one_fetch_serves_every_event_of_an_object_that_was_waiting(alice: Shopper, wire: Wire) -> None:
    waiting = due()
    [customer] = {event.customer_id for event in waiting}
    assert len([event for event in waiting if event.subject == plan_of(alice)]) >= 4
    apply_all()
    # once for all that was told of it, and once because its customer was told to have changed; each brings the invoice
    assert (read(wire, "subscriptions"), read(wire, "invoices")) == (2, 0)
    assert due() == []
    assert {event.attempts for event in events(customer_id=customer) if event.applied_at} == {1}


def test_an_invoice_that_is_open_is_asked_for_itself(alice: Shopper, wire: Wire) -> None:
    """What its payment says lies deeper than Stripe expands with the subscription."""
    apply_all()
    alice.use_card(FAILS_LATER)
    while alice.row.status == "active":
        alice.advance()
    [bill] = [one for one in alice.invoices if one.status == "open"]
    asked = {sent.path.partition("?")[0] for sent in wire.seen if sent.path.startswith("/v1/invoices/")}
    assert (bill.decline_code, asked) == ("generic_decline", {f"/v1/invoices/{bill.stripe_id}"})


def test_what_an_event_claims_is_never_believed(alice: Shopper) -> None:
    """Only its ids are read: the state is asked of Stripe, with the version that we know."""
    lie = about(alice, plan_of(alice))
    lie["data"]["object"] |= {"status": "canceled", "items": None, "ended_at": 1}
    assert deliver(alice.desk, {**lie, "api_version": "2019-02-19"}).status_code == 200
    apply_all()
    assert (alice.row.status, alice.row.plan, alice.row.ended_at) == ("active", "pro", None)


def test_an_applied_event_owes_one_mail_however_often_it_is_run_again(alice: Shopper) -> None:
    config = config_of(alice.desk)
    for _ in range(3):
        for event in events(subject=plan_of(alice)):
            jobs.run_again(db.session(), event.event_id)
            outbox.send_due(db.session(), config)
    assert alice.mails() == ["receipt"]
    assert count(Notice) == 1


def test_more_events_than_one_batch_are_applied_in_one_go(alice: Shopper) -> None:
    news = [about(alice, plan_of(alice)) for _ in range(claims.BATCH + 10)]
    for event in news:
        inbox.store(db.session(), event, "{}", source="webhook", handled=True)
    db.session.commit()
    assert jobs.apply_due(db.session()) > claims.BATCH
    assert due() == []


def test_an_event_about_somebody_elses_customer_is_kept_with_the_reason(alice: Shopper) -> None:
    """Other programs sell on the same Stripe account: their customers are not in our table."""
    plan = plan_of(alice)
    db.session.execute(update(User).values(stripe_customer_id=None))
    db.session.commit()
    apply_all()
    kept = [event for event in events(subject=plan) if event.type in jobs.HANDLERS]
    assert {event.state for event in kept} == {StripeEvent.IGNORED}
    assert {event.reason for event in kept} == {"not ours: no customer of this installation"}
    assert (count(Subscription), count(Notice)) == (0, 0)


def test_a_type_that_only_a_newer_version_knows_waits_for_it(app: Flask, db_session: Session) -> None:
    row = stripe_event(db_session, "customer.subscription.teleported", state=StripeEvent.PENDING)
    assert jobs.apply_due(db_session) == 0
    assert [event.event_id for event in due()] == [row.event_id]


def test_an_event_that_always_fails_is_tried_ever_more_slowly_then_parked_with_an_alert(
    alice: Shopper,
) -> None:
    apply_all()
    poison = about(alice, "sub_that_stripe_does_not_know")
    deliver(alice.desk, poison)
    waits = [min(5 * 2**tries, 4 * 3600) for tries in range(claims.MAX_ATTEMPTS)]
    for tries, wait in enumerate(waits, 1):
        before = now()
        assert jobs.apply_due(db.session()) == 1
        [event] = events(event_id=poison["id"])
        assert (event.attempts, event.reason) == (tries, "Stripe answered 404 (resource_missing)")
        assert before <= event.next_attempt_at - timedelta(seconds=wait) <= now()
        assert jobs.apply_due(db.session()) == 0, "it waits"
        later(wait)
    assert sum(waits[:-1]) > 24 * 3600
    assert event.state == StripeEvent.PARKED
    assert jobs.apply_due(db.session()) == 0
    [alert] = audit_of(db.session(), "event.parked")
    assert (alert.alert, alert.cause_event_id) == (True, poison["id"])


def test_an_event_that_fails_holds_up_neither_its_owner_nor_anybody_else(desk: Flask, alice: Shopper) -> None:
    bob = shopper(desk, "bob@example.com")
    bob.pay(bob.order())
    for somebody in (alice, bob):
        deliver(desk, about(somebody, "sub_that_stripe_does_not_know"))
    bob.sandbox.flush()
    apply_all()
    assert [(somebody.row.status, somebody.standing.access) for somebody in (alice, bob)] == [
        ("active", True)
    ] * 2
    assert {event.subject for event in due()} == {"sub_that_stripe_does_not_know"}


class Bug:
    """A handler of ours that always fails: a bug is no part of the product, so it is put in by hand."""

    def fetch(self, stripe_id: str, hints: list[str]) -> Any:
        raise ZeroDivisionError

    def write(self, session: Session, fetched: Any, cause: Cause) -> Outcome:
        raise AssertionError("nothing was fetched")


def test_among_a_hundred_good_events_those_of_a_type_that_always_fails_hold_up_none(
    desk: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = Bug()
    monkeypatch.setitem(jobs.HANDLERS, "invoice.voided", jobs.Sync(bug.fetch, bug.write, lambda found: None))
    people = [shopper(desk, f"person{number}@example.com") for number in range(5)]
    for person in people:
        assert person.pay(person.order()).status == 303
    people[0].sandbox.flush()
    news = []
    for person in people:
        [plan] = person.sandbox.stripe.subscriptions.list({"customer": person.customer})["data"]
        news += [
            make_event("invoice.voided", {"id": "in_1", "object": "invoice", "customer": person.customer})
        ]
        news += [about(person, plan["id"]) for _ in range(20)]
    for event in news:
        inbox.store(db.session(), event, "{}", source="webhook", handled=True)
    db.session.commit()
    while jobs.apply_due(db.session()):
        pass
    assert [(person.row.status, person.standing.access) for person in people] == [("active", True)] * 5
    assert count(StripeEvent, type="customer.subscription.updated", state=StripeEvent.APPLIED) == 100
    failed = due()
    assert [event.type for event in failed] == ["invoice.voided"] * 5
    assert min(event.attempts for event in failed) >= 1
    assert {event.reason for event in failed} == {"ZeroDivisionError"}


def test_a_parked_event_can_be_run_again_once_its_cause_is_gone(alice: Shopper) -> None:
    [first] = events(subject=plan_of(alice), type="invoice.paid")
    values = {"state": StripeEvent.PARKED, "attempts": claims.MAX_ATTEMPTS, "reason": "Stripe answered 404"}
    db.session.execute(update(StripeEvent).values(**values))
    db.session.commit()
    assert jobs.apply_due(db.session()) == 0
    again = jobs.run_again(db.session(), first.event_id)
    assert again is not None
    assert (again.state, again.reason) == (StripeEvent.APPLIED, None)
    assert alice.row.cause_event_id == first.event_id


def test_what_nothing_is_done_for_is_not_run_again(db_session: Session) -> None:
    row = stripe_event(db_session, "customer.created", state=StripeEvent.IGNORED)
    assert jobs.run_again(db_session, row.event_id) is None
    assert jobs.run_again(db_session, "evt_nobody_has") is None
    assert count(StripeEvent, state=StripeEvent.IGNORED) == 1


AWAY: dict[str, Any] = {
    "500": lambda sent: error(500),
    "throttled": lambda sent: error(429, code="rate_limit"),
    "key refused": lambda sent: error(401),
    "locked": lambda sent: error(400, code="lock_timeout"),
    "no answer": cut,
    "not json": lambda sent: Reply(200, b"<html>We'll be right back</html>"),
}


def test_stripe_being_away_parks_nothing_and_is_made_up_for_when_it_is_back(
    alice: Shopper, wire: Wire
) -> None:
    waiting = len(due())
    for way, answer in AWAY.items():
        wire.answer = answer
        assert (way, jobs.apply_due(db.session())) == (way, waiting)
        found = due()
        assert (way, {event.attempts for event in found}, len(found)) == (way, {0}, waiting)
        assert all(event.reason for event in found)
        assert alice.subscription is None
        assert jobs.apply_due(db.session()) == 0, "it waits a little"
        later(claims.AWAY.total_seconds() + 1)
    wire.answer = wire.pass_on
    apply_all()
    assert (alice.row.status, due()) == ("active", [])

"""Catching up with Stripe's list of events: what no webhook brought is found, once, and written down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import text

from billing import refresh
from billing.clock import now
from billing.errors import StripeUnavailable
from billing.extensions import db
from billing.installation import current
from billing.models import AuditEntry, Installation, StripeEvent
from tests.histories import ITS_OWN, at_stripe, cursor_at, everything, with_us
from tests.registry import over_a_wire
from tests.story import HOUR, Shopper, config_of, count, events, shopper
from tests.told import DAY
from tests.watching import all_rows
from tests.wire import Reply, Sent, Wire, error, ok


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    """Stripe's list begins now: what is older are other tests' events."""
    cursor_at(HOUR)
    return shopper(desk)


@pytest.fixture
def unheard(desk: Flask, alice: Shopper) -> Shopper:
    """Alice has paid, and Stripe delivers no event of hers, now or ever."""
    alice.sandbox.control("trouble", delivery="drop")
    assert alice.pay(alice.order()).status == 303
    return alice


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        yield found


def asked_since(wire: Wire) -> list[int]:
    """From which moment on each read of Stripe's list of events was."""
    lists = [urlsplit(sent.path) for sent in wire.seen if sent.path.startswith("/v1/events?")]
    return [int(parse_qs(one.query)["created[gte]"][0]) for one in lists]


def test_events_that_were_lost_for_ever_are_found_in_stripes_list_and_written_down(unheard: Shopper) -> None:
    assert unheard.standing.access is False
    missed, stale = everything(unheard)
    assert (missed > 0, stale) == (True, 0)
    assert {event.source for event in events(customer_id=unheard.customer)} == {"events_api"}
    assert count(StripeEvent, state=StripeEvent.PENDING) == 0
    assert with_us(unheard) == at_stripe(unheard)
    assert unheard.standing.access is True
    [entry] = db.session.query(AuditEntry).filter_by(kind="subscription.status")
    assert (entry.actor, entry.user_id, entry.after["status"]) == ("events_api", unheard.id, "active")
    [cause] = events(event_id=entry.cause_event_id)
    assert (cause.source, cause.state, cause.user_id) == ("events_api", StripeEvent.APPLIED, unheard.id)


def test_a_second_pass_finds_nothing_and_writes_nothing(unheard: Shopper) -> None:
    everything(unheard)
    cursor_at(HOUR)
    before = all_rows(db.session(), but=ITS_OWN)
    assert everything(unheard) == (0, 0)
    assert all_rows(db.session(), but=ITS_OWN) == before


def test_an_event_that_did_come_is_not_found_again(alice: Shopper) -> None:
    alice.subscribe()
    everything(alice)
    heard = events(customer_id=alice.customer)
    assert {event.source for event in heard} == {"webhook"}
    assert {event.attempts for event in heard if event.applied_at} == {1}


def test_each_pass_reads_from_an_hour_before_the_last_whole_pass_and_says_when_it_was(
    unheard: Shopper, wire: Wire
) -> None:
    cursor_at(None)
    nothing = ok(object="list", data=[], has_more=False, url="/v1/events")
    wire.answer = lambda sent: nothing if sent.path.startswith("/v1/events?") else wire.pass_on(sent)
    first = now()
    everything(unheard)
    found = current(db.session())
    assert found is not None
    assert found.reconciled_at is not None
    assert found.reconciled_at >= first
    cursor = db.session.query(Installation.events_cursor).scalar()
    everything(unheard)
    [month, hour] = asked_since(wire)
    assert int(first.timestamp()) <= month + 30 * DAY <= cursor
    assert hour == cursor - HOUR


def test_a_pass_that_was_cut_short_moves_no_cursor_and_the_next_one_finds_it_all(
    unheard: Shopper, wire: Wire
) -> None:
    """Stripe goes away between two pages of its list, so that the older half was never seen."""
    for number in range(110):
        unheard.sandbox.stripe.customers.create({"email": f"filler{number}@example.com"})

    cursor = db.session.query(Installation.events_cursor).scalar()

    def after_one_page(sent: Sent) -> Reply | None:
        return error(500) if "starting_after" in sent.path else wire.pass_on(sent)

    wire.answer = after_one_page
    with pytest.raises(StripeUnavailable):
        everything(unheard)
    db.session.rollback()
    assert db.session.query(Installation.events_cursor).scalar() == cursor
    assert unheard.standing.access is False
    wire.answer = wire.pass_on
    everything(unheard)
    assert unheard.standing.access is True


@pytest.mark.parametrize("asking", ["/v1/events", "/v1/subscriptions?"])
def test_no_transaction_is_open_while_stripe_is_asked(unheard: Shopper, wire: Wire, asking: str) -> None:
    """PostgreSQL ends a transaction that idles, and one with rows in it would hold up their webhooks."""
    arrived, go = threading.Event(), threading.Event()

    def hold(sent: Sent) -> Reply | None:
        if sent.path.startswith(asking):
            arrived.set()
            go.wait(60)
        return wire.pass_on(sent)

    def look() -> None:
        with unheard.desk.app_context():
            if asking == "/v1/events":
                everything(unheard)
            else:
                refresh.person(db.session(), unheard.user, config_of(unheard.desk), "operator")

    wire.answer = hold
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        assert arrived.wait(30)
        db.session.rollback()
        idle = text(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and state like 'idle in transaction%' and pid <> pg_backend_pid()"
        )
        open_ones = db.session.execute(idle).scalar_one()
        go.set()
        looking.result(timeout=60)
    assert open_ones == 0

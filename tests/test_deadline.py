"""Talk with Stripe has an end: a page gives up in time, says so, and the completer finishes what it began."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from billing import deadline, jobs, leases, refresh, registry, stripe_client, stripe_reads, web, writes
from billing.errors import StripeUnavailable, WriteUnknown
from billing.extensions import db
from billing.models import CheckoutSession, StripeWrite
from tests.registry import LEASE_OVER, customer_of, customers, over_a_wire, perform, sweep, time_passes
from tests.story import Shopper, config_of, count, shopper
from tests.support import Sandbox
from tests.wire import Reply, Sent, Wire, cut

# The longest that production lets anybody wait; here it is shorter, nothing else.
SHORT = 0.4
TRIES_OF_THE_SDK = 2


@pytest.fixture
def silent(desk: Flask, sandbox_process: Sandbox) -> Iterator[Wire]:
    """A Stripe that takes every request and answers none, until ``calm``."""
    over = threading.Event()
    with over_a_wire(desk, sandbox_process) as wire:

        def wait(sent: Sent) -> Reply | None:
            over.wait(60)
            return None

        wire.answer = wait
        yield wire
        over.set()


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


def test_work_inside_other_work_has_no_more_time_than_that_and_afterwards_none_is_set() -> None:
    assert deadline.left() == math.inf
    with deadline.within(50):
        with deadline.within(1000):
            assert deadline.left() <= 50
        with deadline.within(10):
            assert deadline.left() <= 10
        assert 10 < deadline.left() <= 50
    deadline.begin(30)
    assert deadline.left() <= 30
    deadline.forget()
    assert deadline.left() == math.inf


def test_a_call_is_left_at_the_deadline_and_the_sdk_s_own_retry_is_not_sent(
    desk: Flask, silent: Wire
) -> None:
    with deadline.within(SHORT), pytest.raises(StripeUnavailable):
        stripe_reads.get_account()
    assert len(silent.seen) == 1 < TRIES_OF_THE_SDK


def test_each_try_is_given_what_is_left_and_never_more_than_usual() -> None:
    usual = (3, 8)
    transport = stripe_client._Transport(timeout=usual)
    assert transport._timeout == usual
    with deadline.within(1000):
        assert transport._timeout == usual
    with deadline.within(5):
        connect, read = transport._timeout
        assert (connect, read <= 5) == (3, True)
    with deadline.within(0), pytest.raises(TimeoutError):
        assert transport._timeout


def test_a_call_that_begins_after_the_deadline_is_not_sent(desk: Flask, silent: Wire) -> None:
    with deadline.within(0), pytest.raises(StripeUnavailable, match="the time for it is over"):
        stripe_reads.get_account()
    assert silent.seen == []


WORK: dict[str, tuple[Any, str, Callable[[Shopper], object]]] = {
    "fetching for an event": (
        jobs,
        "FETCH_SECONDS",
        lambda person: jobs.fetch(db.session(), jobs.SUBSCRIPTION, "sub_x", []),
    ),
    "one write": (writes, "SEND_SECONDS", lambda person: perform(customer_of(person))),
}


@pytest.mark.parametrize("work", WORK)
def test_worker_and_completer_have_a_deadline_too(
    silent: Wire, alice: Shopper, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    module, name, begin = WORK[work]
    monkeypatch.setattr(module, name, SHORT)
    with pytest.raises(StripeUnavailable):
        begin(alice)
    assert len(silent.seen) == 1


def test_the_seconds_fit_into_each_other() -> None:
    connecting = stripe_client.CONNECT_READ_TIMEOUT[0]
    assert web.STRIPE_SECONDS + connecting <= 25, "a page is answered before Heroku's router gives up"
    assert writes.PATIENCE_SECONDS < web.STRIPE_SECONDS
    assert 0 < 2 * sum(stripe_client.PAUSES) < 5, "each may be twice as long"
    assert writes.SEND_SECONDS + connecting < registry.LEASE.total_seconds(), (
        "nobody else may send it meanwhile"
    )
    assert jobs.FETCH_SECONDS + connecting < 60, "the lease of its customer"
    assert jobs.WORK_SECONDS + jobs.FETCH_SECONDS + connecting < 90, "the worker's job"


def test_a_page_that_waits_for_another_process_gives_up_at_its_deadline(
    desk: Flask, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, tries = customer_of(alice), []
    registry.record(db.session(), request)
    assert registry.lease(db.session(), registry.BY_NAME, request.name) is not None
    real = registry.lease

    def counted(*args: Any) -> Any:
        tries.append(args)
        return real(*args)

    monkeypatch.setattr(registry, "lease", counted)
    with deadline.within(0), pytest.raises(WriteUnknown):
        perform(request)
    assert len(tries) == 1


def test_a_page_that_waits_for_a_worker_who_has_the_customer_gives_up_at_its_deadline(
    desk: Flask, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.subscribe()
    assert leases.take(db.session(), alice.customer) is not None
    real, waits = leases.take, []

    def seen(*args: Any, **how: Any) -> Any:
        waits.append(how.get("wait", 0))
        return real(*args, **how)

    monkeypatch.setattr(leases, "take", seen)
    with deadline.within(0.01):
        config = config_of(desk)
        event = refresh.subscription(db.session(), alice.row.stripe_id, alice.customer, config, "customer")
    assert (event.state, len(waits), max(waits) <= 0.01) == ("pending", 1, True)


def test_an_order_gives_up_in_time_and_the_completer_opens_it_for_the_next_press(
    desk: Flask, silent: Wire, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "STRIPE_SECONDS", SHORT)
    answer = alice.post("/checkout", plan="pro", interval="month")
    assert (answer.status_code, len(silent.seen)) == (503, 1)
    assert "Stripe isn’t answering right now." in answer.text
    assert "You haven’t been charged" in answer.text
    assert deadline.left() == math.inf, "the next request in this thread has time of its own"
    monkeypatch.undo()
    silent.answer = silent.pass_on
    assert sweep() == 1
    assert customers(alice) == [alice.customer]
    session_id = alice.order("pro")
    assert count(CheckoutSession, stripe_id=session_id) == count(CheckoutSession) == 1


def test_a_plan_that_is_to_be_kept_is_still_being_worked_on_when_the_page_gives_up(
    desk: Flask, alice: Shopper, sandbox_process: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.subscribe()
    api = alice.sandbox.stripe.subscriptions
    api.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    assert alice.post("/billing/check").status_code == 303
    over = threading.Event()
    with over_a_wire(desk, sandbox_process) as wire:
        wire.answer = lambda sent: cut(sent) if over.wait(60) else None
        with monkeypatch.context() as shorter:
            shorter.setattr(web, "STRIPE_SECONDS", SHORT)
            answer = alice.post("/billing/resume")
        over.set()
        assert answer.status_code == 503
        assert "We’re checking with Stripe" in answer.text
        assert len(wire.seen) == 1
        wire.answer = wire.pass_on
        assert sweep() == 1
    assert api.retrieve(alice.row.stripe_id)["cancel_at_period_end"] is False


def test_a_minute_of_throttling_delays_every_order_and_drops_and_doubles_none(
    desk: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the pauses are shorter than in production.
    monkeypatch.setattr(stripe_client, "PAUSES", (0.01, 0.01))
    people = [shopper(desk, f"person{number}@example.com") for number in range(5)]
    sandbox = people[0].sandbox
    sandbox.control("trouble", api="error_429", api_path="/v1/")
    for person in people:
        assert person.post("/buy/credits-100").status_code == 503
    time_passes(LEASE_OVER)
    writes.finish_open(db.session())
    assert count(StripeWrite, operation="customer.create", state="in_flight") == len(people)
    sandbox.calm()
    sweep()
    assert sweep() == 0
    for person in people:
        assert person.buy()
        assert customers(person) == [person.customer]
        listed = sandbox.stripe.checkout.sessions.list({"customer": person.customer})["data"]
        assert len(listed) == 1
    assert {row.state for row in db.session.query(StripeWrite)} == {"done"}

"""What became of a lost write, where more than the write itself is at stake: a second payment, a changed mind."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, tzinfo
from typing import Any

import psycopg
import pytest
from flask import Flask

from billing import ending, healing, inbox, opening, registry, sightings, stripe_reads, writes
from billing.clock import now
from billing.errors import StripeUnavailable, WriteUnknown
from billing.extensions import db
from billing.installation import public_id
from billing.models import AuditEntry, CheckoutSession, StripeWrite
from billing.resolutions import RESOLUTIONS
from billing.stripe_client import OPERATIONS
from billing.write_request import WriteRequest
from tests.registry import LEASE_OVER, audited, customer_of, over_a_wire, perform, row_of, sweep, time_passes
from tests.story import Shopper, catch_up, config_of, count, shopper
from tests.support import Sandbox, make_event
from tests.test_leaving import hidden
from tests.wire import Reply, Sent, Wire, cut, error


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    return shopper(desk)


@pytest.fixture
def wire(desk: Flask, sandbox_process: Sandbox) -> Iterator[Wire]:
    with over_a_wire(desk, sandbox_process) as found:
        yield found


def open_at_stripe(person: Shopper) -> list[str]:
    listed = person.sandbox.stripe.checkout.sessions.list({"customer": person.customer, "status": "open"})
    return [one["id"] for one in listed["data"]]


def test_every_operation_says_what_became_of_it() -> None:
    assert set(RESOLUTIONS) == set(OPERATIONS)


def test_a_session_that_is_found_when_another_one_was_opened_is_closed_and_can_never_be_paid(
    alice: Shopper,
) -> None:
    alice.sandbox.control("trouble", api="applied_then_500", api_path="/v1/checkout/sessions", times=1)
    assert alice.post("/buy/credits-100").status_code == 503
    bought = alice.buy()
    assert len(open_at_stripe(alice)) == 2
    assert sweep() == 1, "it is found"
    assert sweep() == 1, "and closed"
    assert sweep() == 0
    assert open_at_stripe(alice) == [bought]
    assert count(CheckoutSession, status="open", superseded_at=None) == 1


def test_a_session_whose_place_was_freed_while_it_was_made_is_not_shown_but_another_one(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """As when the same press in another tab was answered with a 5xx meanwhile."""
    made: list[Sent] = []

    def free_the_place(sent: Sent) -> Any:
        if sent.method == "POST" and sent.path == "/v1/checkout/sessions":
            made.append(sent)
            if len(made) == 1:
                with psycopg.connect(config_of(desk).database_url.replace("+psycopg", "")) as other:
                    other.execute("update checkout_sessions set superseded_at = now()")
        return wire.pass_on(sent)

    wire.answer = free_the_place
    shown = alice.buy()
    assert len(made) == 2
    while sweep():
        pass
    assert open_at_stripe(alice) == [shown]


def test_what_a_person_wished_an_hour_ago_is_not_done_to_them_now(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    alice.subscribe()
    api = alice.sandbox.stripe.subscriptions
    api.update(alice.row.stripe_id, {"cancel_at_period_end": True})
    catch_up(desk)
    wire.answer = cut
    assert alice.post("/billing/resume").status_code == 503
    wire.answer = wire.pass_on
    wire.seen.clear()
    assert sweep(timedelta(hours=1, minutes=1)) == 1
    assert wire.writes == []
    assert api.retrieve(alice.row.stripe_id)["cancel_at_period_end"] is True
    assert (count(StripeWrite, state="failed"), audited("write.failed")) == (1, [False])
    assert alice.post("/billing/resume").status_code == 303
    assert alice.post("/billing/resume").status_code == 303
    assert api.retrieve(alice.row.stripe_id)["cancel_at_period_end"] is False, "asked for anew, it is done"


def asks_for_the_end(person: Shopper, wire: Wire, trouble: Callable[[Sent], None]) -> tuple[Any, str]:
    """They ask for the end of their plan, and this happens to what is sent. Stripe’s subscriptions, and the plan’s."""
    asked = hidden(person.get("/billing/cancel").text)
    wire.answer = lambda sent: trouble(sent) if sent.method == "POST" else wire.pass_on(sent)
    assert person.post("/billing/cancel", **asked).status_code == 503
    wire.answer = wire.pass_on
    return person.sandbox.stripe.subscriptions, person.row.stripe_id


def an_end_without_an_answer(person: Shopper, wire: Wire) -> tuple[Any, str]:
    """Stripe does it, and nobody hears."""
    return asks_for_the_end(person, wire, wire.lose_answer)


def test_an_end_that_was_seen_and_taken_back_at_the_dashboard_is_not_made_again_a_day_later(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """Whoever asked to leave must not be charged since Stripe was away, so an end is made however late; but this one
    was made, only its answer was lost, and somebody has decided otherwise since."""
    alice.subscribe()
    api, plan = an_end_without_an_answer(alice, wire)
    catch_up(desk)
    assert alice.row.cancel_at_period_end is True
    api.update(plan, {"cancel_at_period_end": False})
    wire.seen.clear()
    assert sweep(timedelta(hours=30)) == 1
    assert wire.writes == []
    assert api.retrieve(plan)["cancel_at_period_end"] is False
    catch_up(desk)
    assert alice.row.cancel_at_period_end is False
    assert count(StripeWrite, state="done", target=plan) == 1


def test_an_end_of_which_only_stripes_event_tells_is_not_made_again_either(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """It was taken back before we could ask Stripe, so our rows have never shown it; its event names our key."""
    alice.subscribe()
    api, plan = an_end_without_an_answer(alice, wire)
    alice.sandbox.flush()
    api.update(plan, {"cancel_at_period_end": False})
    catch_up(desk)
    assert count(AuditEntry, kind="subscription.changed") == 0, "it was never seen"
    assert sweep(timedelta(days=31)) == 1
    assert api.retrieve(plan)["cancel_at_period_end"] is False
    assert count(StripeWrite, state="done", target=plan) == 1


def test_an_end_of_which_only_the_event_of_another_tab_tells_is_not_made_again_either(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """The second tab found all as it wanted it, so Stripe made no event of its write."""
    alice.subscribe()
    api, plan = alice.sandbox.stripe.subscriptions, alice.row.stripe_id
    first, second = (end_request(alice, plan, token) for token in ("one", "two"))
    perform(first)
    wire.answer = lambda sent: wire.lose_answer(sent) if sent.method == "POST" else wire.pass_on(sent)
    with pytest.raises(StripeUnavailable):
        perform(second)
    wire.answer = wire.pass_on
    api.update(plan, {"cancel_at_period_end": False})
    catch_up(desk)
    assert count(AuditEntry, kind="subscription.changed") == 0, "it was never seen"
    wire.seen.clear()
    assert sweep(timedelta(hours=30)) == 1
    assert (wire.writes, row_of(second).state) == ([], "done")
    assert api.retrieve(plan)["cancel_at_period_end"] is False


def end_request(person: Shopper, plan: str, token: str) -> WriteRequest:
    """As of a page with this token."""
    [request] = ending.requests(stripe_reads.get_subscription(plan), token, {}, person.id)
    return request


# After this long a key is not sent again, and Stripe's list is still waited for.
OLD = timedelta(hours=25)


def test_an_end_whose_event_is_only_in_stripes_list_waits_until_that_was_read(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """It was taken back, and no event of either was delivered: only the reconciler can hear of it."""
    alice.subscribe()
    alice.sandbox.control("trouble", delivery="drop")
    api, plan = an_end_without_an_answer(alice, wire)
    alice.sandbox.flush()
    api.update(plan, {"cancel_at_period_end": False})
    alice.sandbox.flush()
    wire.seen.clear()
    assert sweep(OLD) == 1
    assert (wire.writes, count(StripeWrite, state="in_flight", target=plan)) == ([], 1)
    healing.make(db.session(), config_of(desk), "clock")
    assert sweep() == 1
    assert (wire.writes, count(StripeWrite, state="done", target=plan)) == ([], 1)
    assert api.retrieve(plan)["cancel_at_period_end"] is False


def an_end_that_never_came(person: Shopper, wire: Wire) -> tuple[Any, str]:
    """Stripe never hears of it."""
    return asks_for_the_end(person, wire, cut)


def test_an_end_that_stripes_list_does_not_tell_of_is_made_however_late(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    """What somebody put into our inbox tells nothing that Stripe does not."""
    alice.subscribe()
    api, plan = an_end_that_never_came(alice, wire)
    thing = {"id": plan, "object": "subscription", "customer": alice.customer, "cancel_at_period_end": True}
    forged = make_event("customer.subscription.updated", thing)
    forged["data"]["previous_attributes"] = {"cancel_at_period_end": False}
    inbox.store(db.session(), forged, json.dumps(forged), source="webhook", handled=False)
    db.session.commit()
    assert sweep(OLD) == 1
    assert api.retrieve(plan)["cancel_at_period_end"] is False
    healing.make(db.session(), config_of(desk), "clock")
    assert sweep() == 1
    assert api.retrieve(plan)["cancel_at_period_end"] is True
    assert count(StripeWrite, state="done", target=plan) == 1


@pytest.mark.parametrize("why", ["the list is not read for hours", "the plan renews soon"])
def test_whoever_asked_to_leave_is_not_charged_for_the_sake_of_a_list(
    desk: Flask, alice: Shopper, wire: Wire, why: str
) -> None:
    alice.subscribe()
    api, plan = an_end_that_never_came(alice, wire)
    if why == "the plan renews soon":
        alice.row.current_period_end = now() + timedelta(hours=1)
        db.session.commit()
    assert sweep(OLD if why == "the plan renews soon" else timedelta(hours=28)) == 1
    assert api.retrieve(plan)["cancel_at_period_end"] is True


def test_a_card_is_changed_though_an_end_waits_and_the_taking_back_of_it_is_not_made_first(
    alice: Shopper, wire: Wire
) -> None:
    alice.subscribe()
    _, plan = an_end_that_never_came(alice, wire)
    later = [
        WriteRequest("subscription.update", f"later:{name}", {name: value}, plan, alice.id)
        for name, value in (("default_payment_method", "pm_1"), ("cancel_at_period_end", False))
    ]
    for one in later:
        registry.record(db.session(), one)
    db.session.commit()
    held = [registry.must_wait(db.session(), row_of(one).id) for one in later]
    assert held == [False, True]


ASKED = 1_800_000_000


@pytest.mark.parametrize(
    ("before", "after", "created", "key", "tells"),
    [
        (False, True, ASKED + 90_000, None, True),
        (False, True, ASKED - 1, None, True),
        (False, True, ASKED - 2, None, False),
        (None, True, ASKED + 5, None, False),
        (True, False, ASKED + 5, None, False),
        (True, None, ASKED + 5, "another", False),
        (None, None, ASKED - 600, "ours", True),
    ],
)
def test_what_tells_that_an_end_was_made_is_our_request_or_a_change_to_it_since_it_was_asked_for(
    before: bool | None, after: bool | None, created: int, key: str | None, tells: bool
) -> None:
    """A first end that was taken back does not stand for a second one that was lost."""
    event = {
        "created": created,
        "request": {"id": "req_1", "idempotency_key": key} if key else "req_1",
        "data": {"object": {"cancel_at_period_end": after}},
    }
    if before is not None:
        event["data"]["previous_attributes"] = {"cancel_at_period_end": before}  # type: ignore[index]
    assert sightings.Sought("sub_1", "ours", True, ASKED).is_told_by(event) is tells


def test_a_price_whose_lookup_key_another_price_took_meanwhile_does_not_take_it_back(
    desk: Flask, sandbox_process: Sandbox, wire: Wire
) -> None:
    api, key = sandbox_process.stripe, f"taken-{public_id(db.session())}"
    product = api.products.create({"name": "Taken"})["id"]
    params = {"product": product, "unit_amount": 700, "currency": "eur", "lookup_key": key}
    request = WriteRequest("price.create", f"price:{key}:700", {**params, "transfer_lookup_key": True})
    wire.answer = lambda sent: error(500)
    with pytest.raises(StripeUnavailable):
        perform(request)
    wire.answer = wire.pass_on
    newer = api.prices.create({**params, "unit_amount": 900})["id"]
    assert sweep() == 1
    assert (row_of(request).state, row_of(request).error) == ("failed", "superseded")
    assert [one["id"] for one in api.prices.list({"product": product})["data"]] == [newer]


def test_a_session_that_was_paid_before_it_could_be_closed_stays_the_persons_own(
    desk: Flask, alice: Shopper, wire: Wire
) -> None:
    session_id = alice.buy()
    row = db.session.query(CheckoutSession).filter_by(stripe_id=session_id).one()
    request = opening.expire_request(row)
    wire.answer = lambda sent: error(500)
    with pytest.raises(StripeUnavailable):
        perform(request)
    wire.answer = wire.pass_on
    assert alice.pay(session_id).status == 303
    assert sweep() == 1
    assert (row_of(request).state, row_of(request).error) == ("failed", "complete")
    catch_up(desk)
    assert count(CheckoutSession, stripe_id=session_id, status="complete", superseded_at=None) == 1


@pytest.mark.parametrize("skew", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=2)])
def test_a_process_whose_clock_is_wrong_neither_takes_over_a_lease_nor_gives_up_a_key(
    desk: Flask, wire: Wire, alice: Shopper, monkeypatch: pytest.MonkeyPatch, skew: timedelta
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wrong:
            return super().now(tz) + skew

    request = customer_of(alice)
    registry.record(db.session(), request)
    row = registry.lease(db.session(), registry.BY_NAME, request.name)
    assert row is not None
    monkeypatch.setattr("billing.clock.datetime", Wrong)
    assert registry.lease(db.session(), registry.BY_NAME, request.name) is None
    monkeypatch.undo()
    time_passes(LEASE_OVER)
    monkeypatch.setattr("billing.clock.datetime", Wrong)
    first = row_of(request).idempotency_key
    assert writes.finish_open(db.session()) == 1
    assert [sent.key for sent in wire.writes] == [first]
    assert row_of(request).state == "done"


@pytest.mark.parametrize("lost", ["its answer", "the call itself"])
def test_whoever_slept_while_they_asked_what_became_of_a_write_does_not_send_it_once_more(
    desk: Flask, wire: Wire, alice: Shopper, lost: str
) -> None:
    """Another process has taken it over, asked too, and sent it by another key. What the sleeper was told is older."""
    request, looked, go = customer_of(alice), threading.Event(), threading.Event()
    wire.answer = lambda sent: error(500)
    with pytest.raises(StripeUnavailable):
        perform(request)

    def slowly(sent: Sent) -> Reply | None:
        first, reply = not looked.is_set(), wire.pass_on(sent)
        if first:
            looked.set()
            go.wait(60)
        return error(500) if first and lost == "its answer" else reply

    wire.answer = slowly
    with ThreadPoolExecutor(1) as pool:
        sleeper = pool.submit(perform_elsewhere, desk, request)
        assert looked.wait(30)
        time_passes(LEASE_OVER)
        assert sweep() == 1
        done = row_of(request).idempotency_key
        go.set()
        assert isinstance(sleeper.exception(timeout=60), WriteUnknown)
    row = row_of(request)
    assert (row.state, row.idempotency_key, row.lease_until) == ("done", done, None)
    assert len([sent for sent in wire.writes if sent.key == done]) == 1
    assert alice.customer == row.stripe_object_id


def perform_elsewhere(desk: Flask, request: WriteRequest) -> Any:
    with desk.app_context():
        return perform(request)

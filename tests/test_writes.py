"""Every write to Stripe: its row first, committed; then the call; and one end, whatever happens between."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text

from billing import stripe_client, writes
from billing.errors import (
    StripeDeclined,
    StripeError,
    StripeKeyRefused,
    StripeRefused,
    StripeUnavailable,
    WriteConflict,
    WriteUnknown,
)
from billing.extensions import db
from billing.installation import public_id
from billing.lights import conditions
from billing.models import StripeWrite
from billing.write_request import WriteRequest
from tests.registry import (
    LEASE_OVER,
    ask_at,
    assert_made_once,
    audited,
    customer_of,
    customers,
    open_for_the_completer,
    over_a_wire,
    perform,
    row_of,
    sweep,
    time_passes,
)
from tests.story import Shopper, config_of, count, shopper
from tests.support import Sandbox
from tests.wire import Reply, Sent, Wire, cut, error, flat


@pytest.fixture
def wire(app: Flask, sandbox_process: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    # Only the pauses are shorter than in production.
    monkeypatch.setattr(stripe_client, "PAUSES", (0.01, 0.01))
    with over_a_wire(app, sandbox_process) as found:
        yield found


@pytest.fixture
def alice(app: Flask) -> Shopper:
    return shopper(app)


def test_when_the_call_leaves_its_row_with_key_hash_and_bytes_is_committed_and_nothing_is_open(
    app: Flask, wire: Wire, alice: Shopper
) -> None:
    url = config_of(app).database_url.replace("+psycopg", "")
    there: list[Any] = []

    def look(sent: Sent) -> Reply | None:
        with psycopg.connect(url) as other:
            row = other.execute(
                "select state, operation, params, params_sha256, first_sent_at is not null"
                " from stripe_writes where idempotency_key = %s",
                [sent.key],
            ).fetchone()
            idle = other.execute(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and state like 'idle in transaction%'"
            ).fetchone()
            there.append((row, idle))
        return wire.pass_on(sent)

    wire.answer = look
    perform(customer_of(alice))
    [(row, idle)] = there
    assert row is not None
    state, operation, params, sha256, sent_before = row
    assert (state, operation, sent_before) == ("in_flight", "customer.create", True)
    assert sha256 == hashlib.sha256(f"customer.create\n\n{params}".encode()).hexdigest()
    assert wire.writes[0].fields == flat(json.loads(params))
    assert wire.writes[0].key == f"dunlin:{public_id(db.session())}:customer:{alice.id}"
    assert idle == (0,)


def test_one_name_twice_is_one_effect_and_the_same_answer(wire: Wire, alice: Shopper) -> None:
    request = customer_of(alice)
    first, second = perform(request), perform(request)
    assert first == second
    assert customers(alice) == [first["id"]] == [alice.customer]
    assert len({(sent.key, sent.body) for sent in wire.writes}) == 1
    assert (row_of(request).state, row_of(request).stripe_object_id) == ("done", first["id"])


OTHERS: list[dict[str, Any]] = [
    {"params": {"email": "mallory@example.com"}},
    {"operation": "product.create"},
    {"target": "cus_other"},
]


def test_one_name_with_something_else_in_it_is_a_conflict_and_never_sent(wire: Wire, alice: Shopper) -> None:
    request = customer_of(alice)
    made = perform(request)
    for other in OTHERS:
        with pytest.raises(WriteConflict):
            perform(replace(request, **other))
    assert len(wire.writes) == 1
    assert audited("write.conflict") == [True] * len(OTHERS), "it is a bug of ours: an admin is told"
    assert perform(request) == made, "the first one must not be left with a lease"


def test_many_at_once_make_one_object(app: Flask, wire: Wire, alice: Shopper) -> None:
    request, start = customer_of(alice), threading.Barrier(24)
    answers: list[str] = []

    def work() -> None:
        with app.app_context():
            start.wait(30)
            try:
                answers.append(perform(request)["id"])
            except WriteUnknown:
                answers.append("still being sent by another")

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24
    assert set(answers) - {"still being sent by another"} == {alice.customer}
    assert customers(alice) == [alice.customer]
    assert count(StripeWrite, name=request.name) == 1
    assert len({(sent.key, sent.body) for sent in wire.writes}) == 1


def test_a_row_that_a_rival_is_making_is_met_by_either_of_its_unique_columns(alice: Shopper) -> None:
    """PostgreSQL looks for the name before it inserts, and waits for nobody; a rival's row may then stand in the way of
    the key."""
    request = customer_of(alice)
    writes.record(db.session(), request)
    db.session.execute(text("update stripe_writes set name = 'as if its name were not there yet'"))
    db.session.commit()
    writes.record(db.session(), request)
    db.session.commit()
    assert count(StripeWrite) == 1


def test_while_one_process_is_sending_a_write_nobody_else_sends_it(
    app: Flask, wire: Wire, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, arrived, over = customer_of(alice), threading.Event(), threading.Event()

    def hold(sent: Sent) -> Reply | None:
        arrived.set()
        over.wait(60)
        return wire.pass_on(sent)

    def work() -> None:
        with app.app_context():
            perform(request)

    wire.answer = hold
    first = threading.Thread(target=work)
    first.start()
    try:
        assert arrived.wait(30)
        db.session.execute(text("update stripe_writes set created_at = created_at - interval '1 hour'"))
        db.session.commit()
        assert writes.finish_open(db.session()) == 0
        # Only the patience is shorter than in production, where it is twelve seconds.
        monkeypatch.setattr(writes, "PATIENCE_SECONDS", 0.2)
        with pytest.raises(WriteUnknown):
            perform(request)
        assert len(wire.writes) == 1
    finally:
        over.set()
        first.join()
    assert row_of(request).state == "done"
    assert perform(request)["id"] == alice.customer


def refuse(*said: Any, **more: Any) -> Any:
    return lambda sent: error(*said, **more)


KEY_IS_STILL_GOOD = {
    "no answer": cut,
    "too many": refuse(429, code="rate_limit"),
    "the first is still running": refuse(409, code="idempotency_key_in_use", type="idempotency_error"),
}
STRIPE_MAY_KEEP_IT = {
    "500": refuse(500),
    "a page of a proxy": lambda sent: Reply(502, b"<html>Bad gateway", {"Stripe-Should-Retry": "false"}),
}


def test_a_write_without_an_answer_stays_open_and_is_then_made_once_by_its_key(
    app: Flask, wire: Wire
) -> None:
    for number, trouble in enumerate(KEY_IS_STILL_GOOD):
        person, wire.answer = shopper(app, f"person{number}@example.com"), KEY_IS_STILL_GOOD[trouble]
        request = customer_of(person)
        wire.seen.clear()
        with pytest.raises(StripeUnavailable):
            perform(request)
        assert open_for_the_completer(request), trouble
        wire.answer = wire.pass_on
        assert sweep() == 1, trouble
        assert_made_once(wire, person, request)


def test_after_a_5xx_the_customer_is_looked_for_before_another_key_is_taken(app: Flask, wire: Wire) -> None:
    """Stripe would repeat the answer that it kept for the first key."""
    for number, trouble in enumerate(STRIPE_MAY_KEEP_IT):
        person, wire.answer = shopper(app, f"person{number}@example.com"), STRIPE_MAY_KEEP_IT[trouble]
        request = customer_of(person)
        with pytest.raises(StripeUnavailable):
            perform(request)
        first = row_of(request).idempotency_key
        assert open_for_the_completer(request), trouble
        wire.seen.clear()
        wire.answer = wire.pass_on
        assert sweep() == 1, trouble
        assert [(sent.method, sent.key) for sent in wire.seen] == [("GET", None), ("POST", f"{first}#2")]
        assert row_of(request).idempotency_key == f"{first}#2"
        assert_made_once(wire, person, request)


def test_a_write_that_stripe_did_with_its_answer_lost_is_not_done_again(wire: Wire, alice: Shopper) -> None:
    wire.answer = wire.lose_answer
    request = customer_of(alice)
    with pytest.raises(StripeUnavailable):
        perform(request)
    assert open_for_the_completer(request)
    assert len(customers(alice)) == 1
    assert alice.customer == ""
    wire.answer = wire.pass_on
    assert sweep() == 1
    assert_made_once(wire, alice, request)


def test_a_write_that_stripe_sits_on_is_given_up_and_made_once(
    app: Flask, wire: Wire, alice: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the wait is shorter than in production, where it is eight seconds.
    monkeypatch.setattr(stripe_client, "CONNECT_READ_TIMEOUT", (3, 0.3))
    ask_at(app, wire)
    alice.sandbox.control("trouble", api="hang", api_path="/v1/customers")
    request = customer_of(alice)
    with pytest.raises(StripeUnavailable):
        perform(request)
    assert row_of(request).state == "in_flight"
    alice.sandbox.calm()
    assert sweep() == 1
    assert_made_once(wire, alice, request)


def test_a_customer_that_stripe_made_behind_a_500_that_it_keeps_is_found(wire: Wire, alice: Shopper) -> None:
    alice.sandbox.control("trouble", api="applied_then_500", api_path="/v1/customers")
    request = customer_of(alice)
    with pytest.raises(StripeUnavailable):
        perform(request)
    alice.sandbox.calm()
    assert sweep() == 1
    assert_made_once(wire, alice, request)


def test_a_key_that_was_refused_leaves_the_write_open_for_the_next_key_even_days_later(
    app: Flask, wire: Wire, alice: Shopper
) -> None:
    ask_at(app, wire, stripe_secret_key="sk_test_revoked")
    request = customer_of(alice)
    with pytest.raises(StripeKeyRefused):
        perform(request)
    assert open_for_the_completer(request)
    assert sweep(timedelta(days=2)) == 1
    assert audited("stripe.key_refused") == [True], "once, not at every try"
    ask_at(app, wire)
    assert sweep() == 1
    assert_made_once(wire, alice, request)


A_NO = {
    "declined": (402, {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}),
    "failed": (400, {"type": "invalid_request_error", "code": "email_invalid"}),
}


def test_a_definite_no_ends_the_write_for_everybody(app: Flask, wire: Wire) -> None:
    for state, (status, said) in A_NO.items():
        wire.seen.clear()
        wire.answer = refuse(status, **said)
        request = customer_of(shopper(app, f"{state}@example.com"))
        with pytest.raises(StripeDeclined if state == "declined" else StripeRefused):
            perform(request)
        row = row_of(request)
        assert (row.state, row.error) == (state, said.get("decline_code", said["code"]))
        wire.answer = wire.pass_on
        assert sweep() == 0
        with pytest.raises(StripeRefused) as again:
            perform(request)
        assert again.value.code == row_of(request).error
        assert len(wire.writes) == 1
        assert audited(f"write.{state}") == [False]


def a_product() -> WriteRequest:
    name = f"Thing {secrets.token_hex(4)}"
    return WriteRequest("product.create", f"product:{name}", {"name": name, "metadata": {"plan": name}})


def products(person: Shopper, request: WriteRequest) -> list[str]:
    found = person.sandbox.stripe.products.list({"limit": 100})["data"]
    return [one["id"] for one in found if one["name"] == request.params["name"]]


def lost(wire: Wire, request: WriteRequest) -> None:
    """Stripe did it, and the answer never came."""
    wire.answer = wire.lose_answer
    with pytest.raises(StripeUnavailable):
        perform(request)
    wire.answer = wire.pass_on


def test_a_write_whose_key_is_too_old_is_unknown_while_stripe_cant_be_asked_and_then_known_by_itself(
    wire: Wire, alice: Shopper
) -> None:
    request = a_product()
    lost(wire, request)
    sent = len(wire.writes)
    wire.answer = lambda sent: error(429, code="rate_limit")
    assert sweep(timedelta(hours=23, minutes=1)) == 1
    for _ in range(2):
        with pytest.raises(WriteUnknown):
            perform(request)
    assert sweep() == 1, "it is tried again and again"
    assert (row_of(request).state, row_of(request).lease_until) == ("unknown", None)
    assert (audited("write.unknown"), conditions(db.session())["writes unknown"]) == ([True], True)
    wire.answer = wire.pass_on
    assert sweep() == 1
    assert (row_of(request).state, row_of(request).stripe_object_id) == ("done", *products(alice, request))
    assert (audited("write.found"), conditions(db.session())["writes unknown"]) == ([False], False)
    assert len(wire.writes) == sent, "the old key is never sent"
    assert sweep() == 0


def test_a_write_is_sent_again_within_the_23_hours(wire: Wire, alice: Shopper) -> None:
    request = a_product()
    lost(wire, request)
    assert sweep(timedelta(hours=22, minutes=58)) == 1
    assert row_of(request).stripe_object_id in products(alice, request)
    assert len(products(alice, request)) == 1
    assert len({(sent.key, sent.body) for sent in wire.writes}) == 1


def test_a_customer_whose_key_is_too_old_is_found_or_made_under_another_key(
    wire: Wire, alice: Shopper
) -> None:
    made, bob = customer_of(alice), shopper(alice.desk, "bob@example.com")
    cut_off = customer_of(bob)
    lost(wire, made)
    wire.answer = cut
    with pytest.raises(StripeUnavailable):
        perform(cut_off)
    wire.answer = wire.pass_on
    wire.seen.clear()
    assert sweep(timedelta(days=30)) == 2
    assert [sent.key for sent in wire.writes] == [f"dunlin:{public_id(db.session())}:customer:{bob.id}#2"]
    for person, request in ((alice, made), (bob, cut_off)):
        assert row_of(request).state == "done"
        assert customers(person) == [person.customer]
    assert audited("write.unknown") == []


def test_a_done_write_is_not_asked_for_again_after_23_hours_and_stays_done(
    wire: Wire, alice: Shopper
) -> None:
    request = customer_of(alice)
    perform(request)
    time_passes(timedelta(hours=24))
    with pytest.raises(WriteUnknown):
        perform(request)
    assert (len(wire.writes), row_of(request).state, audited("write.unknown")) == (1, "done", [])


def test_trouble_at_a_replay_does_not_undo_what_is_done(wire: Wire, alice: Shopper) -> None:
    request = customer_of(alice)
    made = perform(request)
    for status in (500, 400, 402, 401):
        wire.answer = refuse(status)
        with pytest.raises(StripeError):
            perform(request)
        assert row_of(request).state == "done", status
    assert audited("write.failed") == audited("write.declined") == []
    wire.answer = wire.pass_on
    assert perform(request) == made


def test_the_completer_leaves_alone_what_somebody_is_sending_and_what_is_young(
    wire: Wire, alice: Shopper
) -> None:
    wire.answer = refuse(500)
    with pytest.raises(StripeUnavailable):
        perform(customer_of(alice))
    sent = len(wire.writes)
    assert writes.finish_open(db.session()) == 0
    time_passes(LEASE_OVER)
    db.session.execute(text("update stripe_writes set lease_until = now() + interval '30 seconds'"))
    db.session.commit()
    assert writes.finish_open(db.session()) == 0
    assert len(wire.writes) == sent
    assert sweep() == 1


def test_one_write_in_trouble_does_not_keep_the_others_open(app: Flask, wire: Wire, alice: Shopper) -> None:
    bob = shopper(app, "bob@example.com")
    wire.answer = cut
    for person in (alice, bob):
        with pytest.raises(StripeUnavailable):
            perform(customer_of(person))
    wire.answer = lambda sent: None if sent.fields["email"] == alice.email else wire.pass_on(sent)
    assert sweep() == 2
    assert (alice.customer, customers(bob)) == ("", [bob.customer])
    assert row_of(customer_of(alice)).state == "in_flight"

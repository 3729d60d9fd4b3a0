"""What the webhook stores before it answers, what it answers, and what becomes of each type."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing import inbox
from billing.config import Config
from billing.jobs import HANDLERS
from billing.models import StripeEvent
from tests.conftest import WEBHOOK_SECRET
from tests.intake import PATH, RECEIVED, Witness, paid, stored, the_row
from tests.story import events
from tests.support import deliver, make_event, signed
from tests.watching import Bell, Lines, all_rows

pytestmark = pytest.mark.usefixtures("bell")

# What the product promises to act on, by name: a type that falls out of the table is missed here.
ACTED_ON = """
customer.updated
checkout.session.completed checkout.session.expired
checkout.session.async_payment_succeeded checkout.session.async_payment_failed
customer.subscription.created customer.subscription.updated customer.subscription.deleted
customer.subscription.paused customer.subscription.resumed customer.subscription.trial_will_end
customer.subscription.pending_update_applied customer.subscription.pending_update_expired
invoice.paid invoice.payment_succeeded invoice.payment_failed invoice.payment_action_required
invoice.finalized invoice.voided invoice.marked_uncollectible
payment_intent.succeeded payment_intent.payment_failed payment_intent.canceled
charge.refunded refund.created refund.updated refund.failed
charge.dispute.created charge.dispute.updated charge.dispute.closed
charge.dispute.funds_withdrawn charge.dispute.funds_reinstated
radar.early_fraud_warning.created radar.early_fraud_warning.updated
test_helpers.test_clock.ready
""".split()


# Stored first, then answered.


@pytest.mark.parametrize("kind", ["invoice.paid", "nobody.knows_this"])
def test_the_row_is_committed_before_the_first_byte_of_the_answer(
    app: Flask, config: Config, kind: str
) -> None:
    event = paid(type=kind)
    with Witness(app, config, event) as witness:
        deliver(app, event)
    assert witness.seen == [("200 OK", 1)]


def test_the_row_is_committed_before_a_worker_is_woken(app: Flask, config: Config) -> None:
    event = paid()
    found: list[int] = []

    class Looking(Bell):
        def enqueue(self, *args: object, **kwargs: object) -> None:
            found.append(stored(config, event))

    Looking(app)
    deliver(app, event)
    assert found == [1]


def test_an_event_that_is_stored_is_answered_with_exactly_this(app: Flask) -> None:
    answer = deliver(app, paid())
    assert (answer.status_code, answer.get_json()) == (200, RECEIVED)
    assert answer.content_type == "application/json"


def test_a_row_holds_the_body_byte_for_byte_and_what_it_is_about(app: Flask, bell: Bell) -> None:
    text = (
        '{ "object":"event",\t"id":"evt_odd", "type":"invoice.payment_failed", "livemode":false,\r\n'
        '"api_version":"2026-10-28.endive", "created":1795000000, "name":"Zoë \\u00e9 ☂", "a":1, "a":2,'
        '"data":{"object":{"id":"in_7","object":"invoice","customer":"cus_7","parent":'
        '{"subscription_details":{"subscription":"sub_7"}}}}}\n'
    )
    assert deliver(app, {}, body=text.encode()).status_code == 200
    [row] = events(event_id="evt_odd")
    assert row.payload == text
    assert (row.subject, row.object_id, row.customer_id) == ("sub_7", "in_7", "cus_7")
    assert (row.type, row.api_version, row.livemode) == ("invoice.payment_failed", "2026-10-28.endive", False)
    assert row.stripe_created == datetime.fromtimestamp(1795000000, UTC)
    assert (row.state, row.source, row.attempts, row.reason) == ("pending", "webhook", 0, None)
    assert bell.rung == 1


# Again.


def test_of_two_deliveries_with_different_bodies_the_first_stays_and_both_are_taken(
    app: Flask, bell: Bell
) -> None:
    first = paid(pending_webhooks=2)
    second = {
        **first,
        "pending_webhooks": 1,
        "type": "invoice.voided",
        "data": {"object": {"id": "in_other"}},
    }
    for event in (first, second):
        answer = deliver(app, event)
        assert (answer.status_code, answer.get_json()) == (200, RECEIVED)
    row = the_row(first)
    assert (json.loads(row.payload), row.subject, row.type) == (first, "in_1", "invoice.paid")
    assert bell.rung == 1


def test_a_delivery_that_was_listened_to_and_is_sent_again_has_no_second_effect_and_is_soon_worth_nothing(
    app: Flask, db_session: Session, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock is put forward by hand: the signature's five minutes can't be waited for."""
    body = json.dumps(paid()).encode()
    captured = {"Stripe-Signature": signed(body, WEBHOOK_SECRET)}

    def replayed() -> int:
        return app.test_client().post(PATH, data=body, headers=captured).status_code

    assert replayed() == 200
    rows, began = all_rows(db_session), time.time()
    monkeypatch.setattr(time, "time", lambda: began + 290)
    assert [replayed() for _ in range(3)] == [200] * 3
    monkeypatch.setattr(time, "time", lambda: began + 302)
    assert [replayed() for _ in range(3)] == [400] * 3
    assert (all_rows(db_session), bell.rung) == (rows, 1)


def test_an_event_that_was_dealt_with_is_not_due_again_when_it_comes_again(
    app: Flask, db_session: Session, bell: Bell
) -> None:
    event = paid()
    deliver(app, event)
    row = the_row(event)
    row.state, row.attempts = StripeEvent.APPLIED, 1
    db_session.commit()
    assert deliver(app, event).status_code == 200
    again = the_row(event)
    assert (again.state, again.attempts, bell.rung) == ("applied", 1, 1)


# What it is about decides what becomes of it.


@pytest.mark.parametrize("kind", ACTED_ON)
def test_each_type_that_we_act_on_waits_for_a_worker_who_is_woken(app: Flask, bell: Bell, kind: str) -> None:
    event = make_event(kind, {"id": "thing_1", "object": kind.rpartition(".")[0], "customer": "cus_1"})
    assert deliver(app, event).status_code == 200
    row = the_row(event)
    assert (row.state, row.type, row.subject) == ("pending", kind, "thing_1")
    assert bell.rung == 1


def test_no_type_is_acted_on_beyond_those_that_are_promised() -> None:
    assert set(HANDLERS) == {*ACTED_ON, *inbox.REFRESHES.values()}


@pytest.mark.parametrize("kind", ["invoice.upcoming", "customer.created", "a.type.of.next.year"])
def test_a_type_that_we_do_not_act_on_is_kept_and_answered_and_wakes_nobody(
    app: Flask, bell: Bell, kind: str
) -> None:
    event = paid(type=kind)
    answer = deliver(app, event)
    assert (answer.status_code, answer.get_json()) == (200, RECEIVED)
    row = the_row(event)
    assert (row.state, row.reason) == ("ignored", "type not handled")
    assert bell.rung == 0


@pytest.mark.parametrize("kind", [*inbox.REFRESHES, "of_next_year"])
def test_our_own_request_for_a_look_can_not_come_from_outside(app: Flask, bell: Bell, kind: str) -> None:
    name = inbox.REFRESHES.get(kind, "dunlin.of_next_year")
    event = make_event(name, {"id": "thing_1", "object": kind, "customer": "cus_1"})
    assert deliver(app, event).status_code == 200
    assert the_row(event).state == "ignored"
    assert bell.rung == 0


@pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": {"object": "invoice"}}])
def test_an_event_that_names_no_object_is_kept_and_says_so(app: Flask, data: Any) -> None:
    event = paid(data=data)
    assert deliver(app, event).status_code == 200
    row = the_row(event)
    assert (row.state, row.reason, row.subject) == ("ignored", "no object named", None)


@pytest.mark.parametrize("version", ["2020-08-27", "2027-01-27.fennel", None])
def test_an_event_of_another_api_version_is_kept_to_be_applied_and_warned_about(
    app: Flask, bell: Bell, version: str | None
) -> None:
    event = paid(api_version=version)
    with Lines() as log:
        assert deliver(app, event).status_code == 200
    row = the_row(event)
    assert (row.state, row.api_version, bell.rung) == ("pending", version, 1)
    [line] = [json.loads(line) for line in log.lines]
    assert (line["level"], line["what"]) == ("WARNING", "event of another API version")
    assert (line["event"], line["version"]) == (event["id"], version)


def test_an_event_of_our_api_version_is_no_reason_for_a_warning(app: Flask, bell: Bell) -> None:
    with Lines() as log:
        deliver(app, paid())
    assert log.lines == []

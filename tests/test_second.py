"""Somebody who has two running plans is let in once, an admin is told, and by policy the newer one is paid back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from billing import registry, rehearsal
from billing.extensions import db
from billing.models import AuditEntry, Dispute, Notice, StripeWrite, Subscription
from tests.registry import LEASE_OVER, over_a_wire, sweep, time_passes
from tests.second_plans import another, at_stripe
from tests.story import HOUR, Shopper, apply_all, catch_up, config_of, count, events, shopper
from tests.support import make_user
from tests.wire import Sent, Wire, cut


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask) -> Shopper:
    alice = shopper(desk)
    alice.has()
    make_user(db.session(), "admin@example.com", is_admin=True)
    return alice


@pytest.fixture
def refunding(alice: Shopper) -> Shopper:
    alice.desk.extensions["config"] = replace(config_of(alice.desk), second_subscription="refund")
    return alice


@pytest.fixture
def wire(refunding: Shopper) -> Iterator[Wire]:
    with over_a_wire(refunding.desk, refunding.sandbox) as found:
        yield found


def settle(person: Shopper) -> None:
    """Everything applied, every write sent, and what came of it applied."""
    catch_up(person.desk)
    sweep()
    catch_up(person.desk)


def names() -> list[str]:
    db.session.rollback()
    found = db.session.query(StripeWrite.name).filter(StripeWrite.name.like("second-%"))
    return [name for (name,) in found.order_by(StripeWrite.id)]


def test_by_default_an_admin_is_told_and_nothing_is_written_to_stripe(alice: Shopper) -> None:
    first, second = alice.row.stripe_id, another(alice)
    settle(alice)
    assert names() == []
    assert at_stripe(alice, second) == ("active", 0)
    [entry] = db.session.query(AuditEntry).filter_by(kind="subscription.second")
    assert (entry.alert, entry.subject, entry.before) == (True, second, {"value": first})
    assert count(Notice, kind="admin_alert") == 1
    assert alice.standing.access


def test_the_newer_plan_is_ended_and_paid_back_and_the_older_one_goes_on(refunding: Shopper) -> None:
    first, second = refunding.row.stripe_id, another(refunding)
    settle(refunding)
    assert names() == [f"second-cancel:{second}", f"second-refund:{refunding.invoices[-1].stripe_id}"]
    assert at_stripe(refunding, second) == ("canceled", 2900)
    assert at_stripe(refunding, first) == ("active", 0)
    assert refunding.row.stripe_id == first
    assert refunding.standing.access
    assert refunding.invoices[-1].amount_refunded == 2900
    mails = refunding.mails()
    assert "ended" not in mails
    assert mails[-2:] in (["second_ended", "refund"], ["refund", "second_ended"])


def test_whatever_the_order_of_the_events_the_newer_one_is_ended_once(refunding: Shopper) -> None:
    first = refunding.row.stripe_id
    second = another(refunding)
    db.session.query(Subscription).delete()
    db.session.commit()
    catch_up(refunding.desk)  # the newer one is known now, the older one not
    assert names() == []
    refunding.sandbox.stripe.subscriptions.update(first, {"metadata": {"seen": "late"}})
    settle(refunding)
    settle(refunding)
    api = refunding.sandbox.stripe
    older, newer = sorted((first, second), key=lambda one: (api.subscriptions.retrieve(one).created, one))
    assert at_stripe(refunding, newer) == ("canceled", 2900)
    assert at_stripe(refunding, older) == ("active", 0)
    assert len(names()) == 2


def test_what_would_be_written_is_said_in_a_rehearsal_and_not_written(refunding: Shopper) -> None:
    refunding.sandbox.control("trouble", delivery="drop")
    second = another(refunding)
    changes = rehearsal.of_person(db.session(), refunding.user, config_of(refunding.desk))
    told = [(change.row, change.after) for change in changes if change.row.startswith("Stripe ")]
    assert told[0] == ("Stripe subscription.cancel", f"second-cancel:{second}")
    assert told[1][0] == "Stripe refund.create"
    assert names() == []


def test_a_trial_that_is_the_second_plan_is_ended_and_nothing_is_paid_back(refunding: Shopper) -> None:
    second = another(refunding, subscription_data={"trial_period_days": 14})
    settle(refunding)
    assert names() == [f"second-cancel:{second}"]
    assert at_stripe(refunding, second) == ("canceled", 0)


def test_a_plan_that_is_past_due_may_be_what_they_left_behind_so_nothing_is_ended(refunding: Shopper) -> None:
    refunding.use_card("4000000000000341")
    end = refunding.row.current_period_end
    assert end is not None
    refunding.advance(int(end.timestamp()) + 2 * HOUR)
    assert refunding.row.status == "past_due"
    second = another(refunding)
    settle(refunding)
    assert names() == []
    assert at_stripe(refunding, second) == ("active", 0)
    assert count(AuditEntry, kind="subscription.second") >= 1


def test_no_refund_on_top_of_a_dispute(refunding: Shopper) -> None:
    refunding.sandbox.control("trouble", delivery="hold")
    session = another(refunding)
    refunding.sandbox.control("trouble", delivery="normal")
    [paid] = [
        payment.payment.payment_intent
        for payment in refunding.sandbox.stripe.subscriptions.retrieve(
            session, {"expand": ["latest_invoice.payments"]}
        ).latest_invoice.payments.data
    ]
    cause = events(type="invoice.paid")[0].event_id
    db.session.add(
        Dispute(
            stripe_id="du_1",
            user_id=refunding.id,
            payment_intent=paid,
            status="needs_response",
            reason="fraudulent",
            amount=2900,
            currency="eur",
            created=refunding.row.created,
            fetch_no=1,
            cause_event_id=cause,
        )
    )
    db.session.commit()
    settle(refunding)
    assert names() == [f"second-cancel:{session}"]
    assert at_stripe(refunding, session) == ("canceled", 0)


def test_a_cancel_whose_answer_was_lost_is_done_and_not_failed(refunding: Shopper, wire: Wire) -> None:
    """A DELETE heeds no key: told that there is nothing to cancel any more, we look whether we did it."""
    second = another(refunding)
    catch_up(refunding.desk)

    def lose_the_answer(sent: Sent) -> Any:
        answer = wire.pass_on(sent)
        return cut() if sent.method == "DELETE" else answer

    wire.answer = lose_the_answer
    sweep()
    [cancel] = db.session.query(StripeWrite).filter_by(name=f"second-cancel:{second}")
    assert cancel.state in ("in_flight", "done")
    wire.answer = wire.pass_on
    sweep()
    db.session.rollback()
    [cancel] = db.session.query(StripeWrite).filter_by(name=f"second-cancel:{second}")
    assert (cancel.state, cancel.stripe_object_id) == ("done", second)
    assert count(AuditEntry, kind="write.failed") == 0


def test_a_refund_that_nobody_answered_for_a_day_is_looked_for_before_another_is_made(
    refunding: Shopper, wire: Wire
) -> None:
    second = another(refunding)
    catch_up(refunding.desk)

    def lose_the_refund(sent: Sent) -> Any:
        answer = wire.pass_on(sent)
        return cut() if sent.path == "/v1/refunds" and sent.method == "POST" else answer

    wire.answer = lose_the_refund
    sweep()
    time_passes(registry.HORIZON + LEASE_OVER)
    refunding.sandbox.control("idempotency/age", seconds=90_000)
    wire.answer = wire.pass_on
    sweep()
    assert at_stripe(refunding, second) == ("canceled", 2900)
    [refund] = db.session.query(StripeWrite).filter(StripeWrite.name.like("second-refund:%"))
    assert (refund.state, refund.idempotency_key.partition("#")[2]) == ("done", "")
    apply_all()

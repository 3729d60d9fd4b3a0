"""What a look at Stripe would change is said before it is done, and saying it changes nothing."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text, update

from billing import leases, rehearsal
from billing.errors import StaleLease, StripeUnavailable
from billing.extensions import db
from billing.models import Notice, StripeEvent, Subscription
from billing.rehearsal import Change
from tests.admin_rows import stripe_event
from tests.histories import cursor_at, everything
from tests.registry import over_a_wire
from tests.snapshots import Moments
from tests.story import HOUR, Shopper, config_of, count, events, shopper
from tests.support import Sandbox
from tests.test_cli import flask, refused, said
from tests.watching import Lines, all_rows
from tests.wire import error


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def ended_unheard(desk: Flask, moments: Moments) -> Shopper:
    """Alice's plan runs for all we know; at Stripe it was canceled, and no event of it reaches us."""

    def prepare() -> Shopper:
        cursor_at(HOUR)
        alice = shopper(desk)
        alice.subscribe()
        alice.sandbox.control("trouble", delivery="drop")
        alice.sandbox.stripe.subscriptions.cancel(alice.row.stripe_id)
        return alice

    return moments.of("ended_unheard", prepare)


def rows() -> dict[str, str]:
    """Every table but the leases: a rehearsal takes one and gives it back, as every look does."""
    found = all_rows(db.session())
    del found["leases"]
    return found


def paid(person: Shopper) -> str:
    [event] = events(type="invoice.paid", customer_id=person.customer)
    return event.event_id


def test_a_replay_says_every_field_and_mail_that_would_change_and_changes_none(
    desk: Flask, ended_unheard: Shopper
) -> None:
    before = rows()
    row = f"subscriptions {ended_unheard.row.stripe_id}"
    changes = rehearsal.of_event(db.session(), paid(ended_unheard))
    assert changes is not None
    assert Change(row, "status", "active", "canceled") in changes
    assert {(change.row, change.field) for change in changes} >= {(row, "ended_at"), (row, "canceled_at")}
    assert [change.after for change in changes if change.row.startswith("notices ")] == ["ended"]
    assert rows() == before
    assert ended_unheard.row.status == "active"
    lines = said(flask(desk, f"replay {paid(ended_unheard)} --dry-run"))
    assert f"{row}: status active → canceled" in lines
    assert said(flask(desk, f"replay {paid(ended_unheard)}")) == [f"{paid(ended_unheard)}: applied"]
    assert ended_unheard.row.status == "canceled"
    assert said(flask(desk, f"replay {paid(ended_unheard)} --dry-run")) == ["Nothing would change."]


def test_what_was_only_rehearsed_is_not_logged_as_if_it_had_happened(ended_unheard: Shopper) -> None:
    with Lines() as log:
        assert rehearsal.of_event(db.session(), paid(ended_unheard))
    assert "subscription.status" not in log.text
    with Lines() as log:
        everything(ended_unheard)
    assert "subscription.status" in log.text


def test_a_look_at_one_person_or_at_all_says_what_it_would_change(
    desk: Flask, ended_unheard: Shopper
) -> None:
    before, stored = rows(), count(StripeEvent)
    line = f"subscriptions {ended_unheard.row.stripe_id}: status active → canceled"
    assert line in said(flask(desk, f"sync {ended_unheard.email} --dry-run"))
    assert line in said(flask(desk, "sync all --dry-run"))
    assert count(StripeEvent) == stored
    assert rows() == before
    everything(ended_unheard)
    assert said(flask(desk, "sync all --dry-run")) == ["Nothing would change."]


def test_a_row_that_is_gone_would_be_made(desk: Flask, ended_unheard: Shopper) -> None:
    stripe_id = ended_unheard.row.stripe_id
    db.session.execute(text("delete from subscriptions"))
    db.session.commit()
    assert f"subscriptions {stripe_id}: would be made (canceled)" in said(
        flask(desk, f"sync {ended_unheard.email} --dry-run")
    )
    assert count(Subscription) == 0


def test_an_upgrade_is_rehearsed_on_the_events_of_the_last_days(desk: Flask, ended_unheard: Shopper) -> None:
    everything(ended_unheard)
    [whole] = said(flask(desk, "rehearse"))
    assert whole.endswith(" objects of the last 7 days, 0 would differ.")
    assert not whole.startswith("0 ")
    db.session.execute(update(Subscription).values(plan="an older code's word"))
    db.session.commit()
    row = ended_unheard.row.stripe_id
    *lines, whole = said(flask(desk, "rehearse --days 1"))
    assert lines == [f"{row}: subscriptions {row}: plan an older code's word → pro"]
    assert whole.endswith(" objects of the last 1 days, 1 would differ.")
    assert ended_unheard.row.plan == "an older code's word"


def test_what_cannot_be_rehearsed_says_why(desk: Flask, ended_unheard: Shopper) -> None:
    nothing = stripe_event(db.session(), "product.created", state="ignored").event_id
    assert rehearsal.of_event(db.session(), nothing) is None
    sentence = f"{nothing} is not stored, or its type is not one that is acted on."
    assert refused(flask(desk, f"replay {nothing} --dry-run")) == sentence
    with over_a_wire(desk, desk.extensions["sandbox"]) as wire:
        wire.answer = lambda sent: error(500)
        with pytest.raises(StripeUnavailable):
            rehearsal.of_event(db.session(), paid(ended_unheard))
    assert rehearsal.of_event(db.session(), paid(ended_unheard)), "the lease was given back"


def test_a_rehearsal_waits_for_whoever_writes_and_says_so_when_it_takes_too_long(
    desk: Flask, ended_unheard: Shopper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "LEASE_WAIT_SECONDS", 0)
    held = leases.take(db.session(), ended_unheard.customer)
    assert held is not None
    with pytest.raises(StaleLease, match="is being written just now; try again"):
        rehearsal.of_event(db.session(), paid(ended_unheard))
    leases.free(db.session(), held)
    assert rehearsal.of_event(db.session(), paid(ended_unheard))
    assert count(Notice, kind="ended") == 0
    assert config_of(desk).livemode is False


def test_an_object_of_nobody_here_changes_nothing(desk: Flask) -> None:
    sandbox: Sandbox = desk.extensions["sandbox"]
    customer = sandbox.stripe.customers.create({"email": "stranger@example.com"})["id"]
    clock = sandbox.stripe.test_helpers.test_clocks.create(
        {"frozen_time": 1_800_000_000, "customer": customer}
    )
    kind = "test_helpers.test_clock.ready"
    kept = stripe_event(db.session(), kind, subject=clock["id"], object_id=clock["id"])
    assert rehearsal.of_event(db.session(), kept.event_id) == []

"""Looking again at what we hold: a row that is old, damaged or gone ends as Stripe's object is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text, update

from billing import jobs, reconcile, refresh
from billing.clock import now
from billing.extensions import db
from billing.models import AuditEntry, Invoice, StripeEvent
from tests.histories import ITS_OWN, about, at_stripe, cursor_at, everything, later, with_us
from tests.registry import over_a_wire
from tests.story import HOUR, Shopper, apply_all, config_of, events, shopper
from tests.support import deliver
from tests.told import DAY
from tests.watching import all_rows
from tests.wire import Reply, Sent, Wire, error


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def known(desk: Flask) -> Shopper:
    """Alice's plan runs, we know it, and whatever happens from now on has no event at all for us."""
    alice = shopper(desk)
    alice.has()
    alice.sandbox.control("trouble", delivery="drop")
    return alice


@pytest.fixture
def wire(desk: Flask) -> Iterator[Wire]:
    with over_a_wire(desk, desk.extensions["sandbox"]) as found:
        yield found


def without_events(person: Shopper) -> tuple[int, int]:
    """A pass that finds no event at all, as if Stripe had made none of what happened lately."""
    cursor_at(DAY)
    return everything(person)


def rows_are_old(hours: float) -> None:
    """Our rows were last looked at so long ago."""
    db.session.execute(
        text("update subscriptions set fetched_at = fetched_at - make_interval(secs => :by)"),
        {"by": hours * HOUR},
    )
    db.session.commit()


def test_a_change_that_stripe_made_no_event_of_is_healed_by_the_next_pass(known: Shopper) -> None:
    [plan] = at_stripe(known)["subscriptions"]
    known.sandbox.stripe.subscriptions.cancel(plan)
    assert without_events(known) == (0, 1)
    assert with_us(known) == at_stripe(known)
    assert known.standing.access is False
    entry = db.session.query(AuditEntry).order_by(AuditEntry.id.desc()).first()
    assert (entry.actor, entry.before["status"], entry.after["status"]) == (
        "reconciler",
        "active",
        "canceled",
    )
    assert entry.after.keys() == {"status", "canceled_at", "ended_at", "cancellation_reason"}
    [cause] = events(event_id=entry.cause_event_id)
    assert (cause.type, cause.source, cause.state) == ("dunlin.refresh", "reconciler", StripeEvent.APPLIED)
    rows_are_old(25)
    assert without_events(known) == (0, 0), "what has ended is not looked at again"


def test_what_an_event_writes_while_a_pass_waits_for_stripe_stays(
    known: Shopper, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is set to end when Stripe’s answer is on its way, and a worker hears of it first."""
    # only a time is changed: how long that worker stands before the lease that the pass has
    monkeypatch.setattr(jobs, "LEASE_WAIT_SECONDS", 0.1)
    db.session.execute(text("update subscriptions set card_last4 = '0000'"))
    db.session.commit()
    plan, told = known.row.stripe_id, about(known, known.row.stripe_id)

    def overtaken(sent: Sent) -> Reply | None:
        answer = wire.pass_on(sent)
        if sent.path.startswith(f"/v1/subscriptions/{plan}"):
            wire.answer = wire.pass_on
            known.sandbox.stripe.subscriptions.update(plan, {"cancel_at_period_end": True})
            with known.desk.app_context():
                deliver(known.desk, told)
                apply_all()
        return answer

    wire.answer = overtaken
    assert without_events(known) == (0, 1)
    assert wire.answer == wire.pass_on
    later(2)
    apply_all()
    assert (known.standing.code, known.row.card_last4) == ("canceling", "4242")


def test_a_row_is_old_after_a_day_and_after_two_hours_where_its_period_is_over(known: Shopper) -> None:
    def old() -> int:
        return len(reconcile.stale(db.session(), now(), timedelta(hours=24)))

    rows_are_old(23)
    assert old() == 0
    rows_are_old(2)
    assert old() == 1
    db.session.execute(
        text("update subscriptions set current_period_end = now(), fetched_at = now() - interval '1 hour'")
    )
    assert old() == 0
    rows_are_old(2)
    assert old() == 1


def test_a_look_at_what_has_not_changed_changes_nothing_and_says_nothing(known: Shopper) -> None:
    before = all_rows(db.session(), but=(*ITS_OWN, "fetched_at", "fetch_no", "cause_event_id"))
    rows_are_old(25)
    assert without_events(known) == (0, 1)
    after = all_rows(db.session(), but=(*ITS_OWN, "fetched_at", "fetch_no", "cause_event_id"))
    assert {table for table in after if after[table] != before[table]} == {"stripe_events"}


def test_stripe_being_away_leaves_the_look_to_be_taken_later(known: Shopper, wire: Wire) -> None:
    [plan] = at_stripe(known)["subscriptions"]
    known.sandbox.stripe.subscriptions.cancel(plan)
    wire.answer = lambda sent: (
        error(500) if sent.path.startswith("/v1/subscriptions/") else wire.pass_on(sent)
    )
    assert without_events(known) == (0, 1)
    [event] = events(type="dunlin.refresh")
    assert (event.state, event.attempts, known.row.status) == (StripeEvent.PENDING, 0, "active")
    wire.answer = wire.pass_on
    db.session.execute(update(StripeEvent).values(next_attempt_at=now()))
    db.session.commit()
    apply_all()
    assert known.row.status == "canceled"


DAMAGE = (
    "update subscriptions set status = 'unpaid', plan = null, cancel_at = now(), card_last4 = '0000',"
    " current_period_end = now(), first_failed_at = now(), quantity = 9",
    "update invoices set status = 'open', amount_paid = 0, attempt_count = 3, first_failed_at = now()",
    "delete from invoices",
    "delete from invoices; delete from subscriptions",
)


def test_whatever_happened_to_a_persons_rows_a_look_at_stripe_restores_them(known: Shopper) -> None:
    for damage in DAMAGE:
        db.session.execute(text(damage))
        db.session.commit()
        assert with_us(known) != at_stripe(known)
        assert refresh.person(db.session(), known.user, config_of(known.desk), "operator") == 1
        assert with_us(known) == at_stripe(known)
        assert (known.row.plan, known.row.card_last4, known.row.quantity) == ("pro", "4242", 1)
        assert known.standing.code == "active"


def test_an_older_invoice_that_was_paid_unheard_does_not_stay_open(known: Shopper) -> None:
    """It is no longer the latest one, and no event names it: nothing but our own row knows that it is open."""
    for _ in range(3):  # the renewal is announced, drafted and paid
        known.sandbox.control(f"customers/{known.customer}/advance", to="next")
    refresh.person(db.session(), known.user, config_of(known.desk), "operator")
    assert len(known.invoices) == 2
    older = known.invoices[0].stripe_id
    owed = {"status": "open", "needs_action": True, "first_failed_at": known.invoices[0].created}
    db.session.execute(update(Invoice).where(Invoice.stripe_id == older).values(**owed))
    db.session.commit()
    assert known.standing.code == "action_required"
    rows_are_old(25)
    without_events(known)
    assert with_us(known) == at_stripe(known)
    assert known.standing.code == "active"


def test_a_look_for_a_person_finds_the_subscription_that_no_event_told_of(desk: Flask) -> None:
    unheard = shopper(desk)
    unheard.sandbox.control("trouble", delivery="drop")
    assert unheard.pay(unheard.order()).status == 303
    assert refresh.person(db.session(), unheard.user, config_of(unheard.desk), "operator") == 1
    assert unheard.row.status == "active"
    [entry] = db.session.query(AuditEntry).filter_by(kind="subscription.status")
    assert entry.actor == "operator"


def test_there_is_nothing_to_look_for_where_nobody_was_ever_at_stripe(app: Flask) -> None:
    stranger = shopper(app)
    assert refresh.person(db.session(), stranger.user, config_of(app), "operator") == 0
    db.session.execute(text("delete from installation"))
    db.session.commit()
    assert everything(stranger) == (0, 0)

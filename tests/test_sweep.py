"""The sweep: whatever our rows hold, one pass brings them to what Stripe holds; what is right is only read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billing import comparing, healing, refresh, sweep
from billing.clock import now
from billing.extensions import db
from billing.models import (
    AuditEntry,
    CheckoutSession,
    Dispute,
    Invoice,
    Notice,
    Payment,
    Refund,
    Subscription,
    SyncRun,
    User,
)
from tests.histories import ITS_OWN, OURS, at_stripe, cursor_at, with_us
from tests.registry import over_a_wire
from tests.snapshots import Moments
from tests.story import HOUR, Shopper, catch_up, config_of, count, events, shopper
from tests.support import make_user
from tests.test_cli import flask, said
from tests.told import DAY
from tests.watching import all_rows
from tests.wire import Reply, Sent, Wire, error, ok

DISPUTED = "4000000000000259"
OF_ROWS: tuple[Any, ...] = (Subscription, Invoice, Payment, Dispute, Refund)
# Ours, not Stripe's: who wrote the row, and what only we know of when. Their guards and rules have tests of their own.
OUR_OWN = OURS - {"user_id"} | {"livemode", "fulfilled_at"}


@pytest.fixture
def desk(desk_again: Flask) -> Flask:
    return desk_again


@pytest.fixture
def alice(desk: Flask, moments: Moments) -> Shopper:
    """Alice has a plan, of whose first invoice something was paid back, and a purchase that her bank disputes. Of what
    happens from now on no event reaches us."""

    def prepare() -> Shopper:
        alice = shopper(desk)
        alice.subscribe()
        refunded = {"payment_intent": alice.invoices[0].payment_intent, "amount": 500}
        alice.sandbox.stripe.refunds.create(refunded)
        assert alice.pay(alice.buy(), DISPUTED).status == 303
        catch_up(desk)
        assert [count(model) for model in OF_ROWS] == [1, 1, 1, 1, 1]
        alice.sandbox.control("trouble", delivery="drop")
        return alice

    return moments.of("alice", prepare)


def pass_(person: Shopper, *, full: bool = False) -> SyncRun:
    """One pass that finds no event at all: Stripe has made none of what happened, or they are 30 days old."""
    cursor_at(24 * HOUR)
    return healing.make(db.session(), config_of(person.desk), "clock", full=full)


def held() -> dict[str, list[dict[str, Any]]]:
    """All that our rows say of what Stripe holds, whoever they belong to."""
    db.session.rollback()
    found = {}
    for model in OF_ROWS:
        names = [column.key for column in model.__table__.columns if column.key not in OUR_OWN]
        rows = [{name: getattr(row, name) for name in names} for row in db.session.query(model)]
        found[model.__tablename__] = sorted(rows, key=str)
    return found


def run(*statements: str, **values: Any) -> None:
    for statement in statements:
        db.session.execute(text(statement), values)
    db.session.commit()


def values_of(column: Any) -> list[Any]:
    kind = column.type.python_type
    wrong: dict[type, list[Any]] = {
        str: ["", "wrong", "active", "open", "2"],
        int: [0, 7, 10**9],
        bool: [True, False],
        datetime: [datetime(2001, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)],
    }
    return [*wrong.get(kind, []), *([None] if column.nullable else [])]


def updates() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """One column of one table, in every row, to some value of its type."""
    columns = [
        column
        for model in OF_ROWS
        for column in model.__table__.columns
        if column.name not in OUR_OWN | {"user_id"} and values_of(column)
    ]
    return st.sampled_from(columns).flatmap(
        lambda column: st.sampled_from(values_of(column)).map(
            lambda value: (f'update {column.table.name} set "{column.name}" = :value', {"value": value})
        )
    )


OF_BOB = [
    f"update {model.__tablename__} set user_id = (select id from users where email = 'bob@example.com')"
    for model in OF_ROWS
]
LOSSES = [
    *(f"delete from {model.__tablename__}" for model in OF_ROWS),
    "delete from notices",
    "delete from leases",
    """update subscriptions set pause_collection = '{"behavior": "void"}'""",
    *OF_BOB,
]
DAMAGE = st.lists(
    st.one_of(updates(), st.sampled_from(LOSSES).map(lambda one: (one, {}))), min_size=1, max_size=4
)


RIGHT: dict[str, Any] = {}


@settings(
    deadline=None,
    database=None,
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(damage=[(statement, {}) for statement in ("delete from leases", *OF_BOB)])
@given(damage=DAMAGE)
def test_whatever_is_done_to_the_rows_one_full_pass_brings_them_to_what_stripe_holds(
    alice: Shopper, damage: list[tuple[str, dict[str, Any]]]
) -> None:
    right = RIGHT.setdefault(alice.customer, held())
    if not count(User, email="bob@example.com"):
        make_user(db.session(), "bob@example.com")
    for statement, values in damage:
        run(statement, **values)
    pass_(alice, full=True)
    assert held() == right
    assert with_us(alice) == at_stripe(alice)
    assert alice.standing.code == "disputed"


@pytest.mark.parametrize("full", [False, True])
def test_a_pass_over_what_is_right_writes_no_row_but_its_report(alice: Shopper, full: bool) -> None:
    before = all_rows(db.session(), but=ITS_OWN)
    done = pass_(alice, full=full)
    assert (done.compared >= 5, done.looked, done.healed, done.full) == (True, 0, 0, full)
    after = all_rows(db.session(), but=ITS_OWN)
    assert {table for table in after if after[table] != before[table]} == {"sync_runs"}


def test_an_hourly_pass_makes_each_kind_of_row_anew_and_each_has_its_cause(alice: Shopper) -> None:
    right = held()
    for model in OF_ROWS:
        run(f"delete from {model.__tablename__}")
        done = pass_(alice)
        assert (done.looked >= 1, done.healed >= 1, done.full) == (True, True, False)
        assert held() == right
        [row] = db.session.query(model)
        [cause] = events(event_id=row.cause_event_id)
        assert cause.type.startswith("dunlin.refresh")
        assert (cause.source, cause.state) == ("reconciler", "applied")
        assert pass_(alice).looked == 0


def test_an_hourly_pass_lists_what_runs_and_five_weeks_and_a_full_one_all_there_ever_was(
    alice: Shopper,
) -> None:
    with over_a_wire(alice.desk, alice.sandbox) as wire:
        first = int(now().timestamp())
        pass_(alice)
        hourly = lists(wire)
        last = int(now().timestamp())
        wire.seen.clear()
        pass_(alice, full=True)
    since = [int(asked.pop("created[gte]")) for noun, asked in hourly.items() if noun != "subscriptions"]
    assert len(since) == 5
    assert first <= min(since) + 35 * DAY <= max(since) + 35 * DAY <= last
    nouns = ("subscriptions", "invoices", "disputes", "early_fraud_warnings", "payment_intents", "refunds")
    assert hourly == {key: {} for key in nouns}
    assert lists(wire) == {**hourly, "subscriptions": {"status": "all"}}


def lists(wire: Wire) -> dict[str, dict[str, str]]:
    """What was listed, page by page, and with which choice."""
    urls = [urlsplit(sent.path) for sent in wire.seen if "limit=100" in sent.path]
    chosen = {url.path.rpartition("/")[2]: dict(parse_qsl(url.query)) for url in urls}
    chosen.pop("events")
    return {
        noun: {name: value for name, value in asked.items() if name != "limit" and "expand" not in name}
        for noun, asked in chosen.items()
    }


def test_an_ended_row_that_stripe_says_lives_is_told_and_made_anew_once_it_was_removed(
    alice: Shopper,
) -> None:
    right, stripe_id = held(), alice.row.stripe_id
    run("update subscriptions set status = 'canceled'")
    for _ in range(2):
        done = pass_(alice)
        assert (done.looked, done.healed) == (1, 0)
    assert alice.row.status == "canceled"
    alerts = db.session.query(AuditEntry).filter_by(kind="subscription.left_final_state", subject=stripe_id)
    assert {(entry.actor, entry.alert) for entry in alerts} == {("reconciler", True)}
    run("delete from subscriptions")
    assert pass_(alice).healed == 1
    assert held() == right


def test_a_row_of_nothing_is_removed_before_it_can_pass_for_a_second_subscription(alice: Shopper) -> None:
    """Where the policy ends and pays back a second subscription, this would cost the person the real one."""
    make_user(db.session(), "admin@example.com", is_admin=True)
    right = held()
    run("update subscriptions set stripe_id = 'sub_a', created = created - interval '1 day'")
    done = pass_(alice)
    assert held() == right
    [entry] = db.session.query(AuditEntry).filter_by(kind="row.nothing_at_stripe")
    assert (entry.subject, entry.before, entry.alert, entry.actor) == (
        "sub_a",
        {"status": "active"},
        True,
        "reconciler",
    )
    assert done.healed == 1, "what was removed is told, what was made is healed"
    assert count(AuditEntry, kind="subscription.second") == 0


def test_where_stripe_knows_none_of_our_rows_none_is_removed(alice: Shopper) -> None:
    """A key of another account, or another Stripe: then the rows are right and the place is wrong."""
    make_user(db.session(), "admin@example.com", is_admin=True)
    names = ", ".join(
        column.name
        for column in Invoice.__table__.columns
        if column.name not in ("id", "stripe_id", "status")
    )
    run(
        f"insert into invoices (stripe_id, status, {names})"
        f" select 'in_lost' || n, 'open', {names} from invoices, generate_series(1, 6) as n"
    )
    for _ in range(2):
        assert pass_(alice).healed == 0
    assert count(Invoice) == 7
    [entry] = db.session.query(AuditEntry).filter_by(kind="reconciler.vanished")
    assert entry.alert
    [mail] = db.session.query(Notice).filter_by(kind="admin_alert")
    assert mail.facts["what"] == "Stripe does not know many of our rows; none was removed"


def test_what_a_customer_that_nobody_here_is_has_bought_is_told_once(alice: Shopper) -> None:
    """The person's row was lost with everything about it, as after a restore; Stripe goes on charging."""
    make_user(db.session(), "admin@example.com", is_admin=True)
    stripe_id = alice.row.stripe_id
    run("update users set stripe_customer_id = null, email = 'else@example.com' where not is_admin")
    for _ in range(2):
        pass_(alice)
    told = db.session.query(AuditEntry).filter_by(kind="reconciler.stray", alert=True)
    assert {entry.subject for entry in told} == {stripe_id, db.session.query(Payment).one().payment_intent}
    assert count(AuditEntry, kind="reconciler.stray") == 2
    assert alice.user.stripe_customer_id is None, "a number that is somebody else’s now proves nothing"


def test_a_customer_that_was_lost_is_given_back_to_the_person_that_it_was_made_for(alice: Shopper) -> None:
    right, customer = held(), alice.customer
    run(
        *(f"delete from {model.__tablename__}" for model in OF_ROWS),
        "update users set stripe_customer_id = null",
    )
    pass_(alice)
    assert alice.customer == customer
    assert held() == right
    [entry] = db.session.query(AuditEntry).filter_by(kind="customer.found_again")
    assert (entry.user_id, entry.after) == (alice.id, {"stripe_customer_id": customer})


@pytest.mark.parametrize("kind", ["customer.subscription.", "invoice.", "payment_intent."])
def test_events_of_a_type_that_never_come_are_not_needed(desk: Flask, kind: str) -> None:
    """They are neither delivered nor in Stripe's list; the others are in the list only."""
    cursor_at(None)
    bob = shopper(desk, "bob@example.com")
    bob.sandbox.control("trouble", delivery="drop")
    assert bob.pay(bob.order()).status == bob.pay(bob.buy()).status == 303

    with over_a_wire(desk, bob.sandbox) as wire:
        wire.answer = lambda sent: without(wire, sent, kind)
        refresh.everything(db.session(), config_of(desk))
    assert not [event for event in events() if event.type.startswith(kind)]
    assert with_us(bob) == at_stripe(bob)
    assert [one.status for one in db.session.query(Payment)] == ["succeeded"]
    assert bob.standing.code == "active"


@pytest.mark.parametrize("end", ["paid", "expired"])
def test_a_session_whose_end_was_never_told_is_no_longer_open_after_a_full_pass(
    desk: Flask, end: str
) -> None:
    """Stripe lists none by its state, and keeps no event for long: those of ours that are overdue are asked for."""
    bob = shopper(desk, "bob@example.com")
    bob.sandbox.control("trouble", delivery="drop")
    number = bob.order()
    if end == "paid":
        assert bob.pay(number).status == 303
    else:
        bob.sandbox.stripe.checkout.sessions.expire(number)
    row = db.session.query(CheckoutSession).filter_by(stripe_id=number).one()
    assert row.status == "open"
    row.expires_at = now() - timedelta(hours=2)
    db.session.commit()
    with over_a_wire(desk, bob.sandbox) as wire:
        wire.answer = lambda sent: without(wire, sent, "")
        looked = [refresh.everything(db.session(), config_of(desk), full=True).looked for _ in range(2)]
    assert row.status == {"paid": "complete", "expired": "expired"}[end]
    [entry] = db.session.query(AuditEntry).filter_by(kind="checkout.status", actor="reconciler")
    assert (entry.user_id, entry.before["status"], entry.after["status"]) == (bob.id, "open", row.status)
    assert looked[0] >= 1
    assert looked[1] == 0, "what is over is not asked for again"


def without(wire: Wire, sent: Sent, kind: str) -> Reply | None:
    """Stripe's list of events, as if none of this kind had ever been made; other requests are passed on."""
    if not sent.path.startswith("/v1/events?"):
        return wire.pass_on(sent)
    reply = wire.pass_on(sent)
    assert reply is not None
    page = json.loads(reply.body)
    page["data"] = [event for event in page["data"] if not event["type"].startswith(kind)]
    return ok(**page)


def test_rows_that_stand_above_their_lease_can_be_written_again(alice: Shopper) -> None:
    """The leases were lost, or a row was damaged: the database would refuse every write of it, by its own guard."""
    right = held()
    for damage in ("delete from leases", "update subscriptions set fetch_no = 1000000"):
        run(damage, "update subscriptions set quantity = 9")
        done = pass_(alice)
        assert (done.healed, held()) == (1, right)
    fence = alice.row.fetch_no
    assert fence > 1_000_000
    told = db.session.query(AuditEntry).filter_by(kind="lease.raised", subject=alice.customer)
    assert [entry.alert for entry in told] == [True, True]
    assert pass_(alice).healed == 0
    assert count(AuditEntry, kind="lease.raised") == 2


def test_a_customer_who_was_deleted_at_stripe_has_no_plan_after_a_pass(alice: Shopper) -> None:
    """Their subscriptions are listed all the same, and hide nobody else's card on the same page."""
    bob = shopper(alice.desk, "bob@example.com")
    bob.sandbox.calm()
    bob.subscribe()
    card = bob.sandbox.stripe.subscriptions.retrieve(bob.row.stripe_id)["default_payment_method"]
    bob.sandbox.control("trouble", delivery="drop")
    bob.sandbox.stripe.customers.update(bob.customer, {"invoice_settings": {"default_payment_method": card}})
    bob.sandbox.stripe.subscriptions.update(bob.row.stripe_id, {"default_payment_method": ""})
    alice.sandbox.stripe.customers.delete(alice.customer)
    run("update subscriptions set card_last4 = '0000'")
    pass_(alice, full=True)
    assert (alice.row.status, alice.standing.access) == ("canceled", False)
    assert with_us(alice) == at_stripe(alice)
    assert bob.row.card_last4 == "4242"
    assert pass_(alice, full=True).looked == 0


def test_a_look_for_one_person_heals_all_that_is_theirs_and_nothing_else(alice: Shopper) -> None:
    bob = shopper(alice.desk, "bob@example.com")
    bob.sandbox.calm()
    bob.subscribe()
    right = held()
    damage = [f"delete from {model.__tablename__}" for model in (Invoice, Payment)]
    run(*damage, "update disputes set status = 'wrong'", "update subscriptions set quantity = 9")
    lines = said(flask(alice.desk, f"sync {alice.email} --dry-run"))
    assert [line for line in lines if line.startswith("disputes ")] == [
        f"disputes {right['disputes'][0]['stripe_id']}: status wrong → needs_response"
    ]
    assert said(flask(alice.desk, f"sync {alice.email}")) == [
        "1 subscriptions looked at.",
        "3 other rows were not as Stripe says, and were looked at too.",
    ]
    left = held()
    assert (left["payments"], left["disputes"]) == (right["payments"], right["disputes"])
    assert left["invoices"] == [row for row in right["invoices"] if row["user_id"] == alice.id]
    assert (alice.row.quantity, bob.row.quantity) == (1, 9)


def test_an_object_that_stripe_can_not_show_stops_no_other(alice: Shopper) -> None:
    right = held()
    run("update subscriptions set card_last4 = '0000'", "update disputes set status = 'wrong'")
    with over_a_wire(alice.desk, alice.sandbox) as wire:
        wire.answer = lambda sent: (
            error(500) if sent.path.startswith("/v1/subscriptions/") else wire.pass_on(sent)
        )
        pass_(alice)
    assert [(row.status, row.card_last4) for row in (alice.row,)] == [("active", "0000")]
    assert held()["disputes"] == right["disputes"]
    [waiting] = events(state="pending")
    assert waiting.type == "dunlin.refresh"


def test_what_an_event_has_written_meanwhile_is_not_looked_at_again(alice: Shopper) -> None:
    run("update subscriptions set quantity = 9")
    found = list(sweep.findings(db.session(), full=False))
    assert [one.differs for one in found] == [("quantity",)]
    assert not comparing.changed_since(db.session(), found[0])
    refresh.person(db.session(), alice.user, config_of(alice.desk), "operator")
    assert comparing.changed_since(db.session(), found[0])

"""Who gets in: exactly those whom the standing lets in, on facts that are fresh; and nobody sees another's things."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing import facts
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import CheckoutSession, StripeEvent, StripeWrite, Subscription, User
from tests import admin_rows as rows
from tests import doors
from tests.conftest import make_app, make_config
from tests.story import count, shopper
from tests.support import Sandbox, csrf_of, make_user
from tests.support import sign_in as given_a_session

LONG_AGO, SOON = rows.NOW - timedelta(days=30), rows.NOW + timedelta(days=5)
OWED: dict[str, Any] = {"invoice": {}}
LET_IN: dict[str, dict[str, Any]] = {
    "active": {},
    "set to end": {"cancel_at_period_end": True},
    "set to end on a day": {"cancel_at": SOON},
    "a change is scheduled": {"schedule": "sub_sched_1"},
    "trial with a card": {"status": "trialing", "trial_end": SOON},
    "trial without a card": {"status": "trialing", "trial_end": SOON, "card_last4": None},
    "trial set to end": {"status": "trialing", "trial_end": SOON, "cancel_at_period_end": True},
    "collection paused": {"pause_collection": {"behavior": "void"}},
    "disputed": {"dispute": {}},
    "past due, in grace": {"status": "past_due", "first_failed_at": rows.NOW - timedelta(days=2), **OWED},
    "the bank waits, in grace": {"invoice": {"needs_action": True}},
}
KEPT_OUT: dict[str, dict[str, Any]] = {
    "first payment not through": {"status": "incomplete"},
    "first payment failed": {"status": "incomplete", **OWED},
    "first payment lapsed": {"status": "incomplete_expired"},
    "past due, grace over": {
        "status": "past_due",
        "first_failed_at": LONG_AGO,
        "invoice": {"first_failed_at": LONG_AGO},
    },
    "the bank waits, grace over": {"invoice": {"needs_action": True, "first_failed_at": LONG_AGO}},
    "unpaid": {"status": "unpaid", **OWED},
    "paused after the trial": {"status": "paused", "status_reason": "trial_end_without_payment_method"},
    "paused as asked": {"status": "paused", "status_reason": "pause_requested"},
    "ended": {"status": "canceled", "ended_at": rows.NOW},
    "ended unpaid": {"status": "canceled", "ended_at": rows.NOW, "cancellation_reason": "payment_failed"},
    "a status nobody knows": {"status": "on_the_moon"},
    "a price not in the catalogue": {"plan": None},
}


def with_facts(session: Session, user: User, case: dict[str, Any]) -> None:
    values = dict(case)
    bill, contested = values.pop("invoice", None), values.pop("dispute", None)
    row = rows.subscription(session, user, **values)
    if bill is not None:
        rows.owed(session, row, **bill)
    if contested is not None:
        rows.dispute(session, user, **contested)


def test_those_get_in_whom_the_standing_lets_in_and_no_others(
    app: Flask, db_session: Session, config: Config, alice: User
) -> None:
    cases = {**dict.fromkeys(LET_IN, 200), **dict.fromkeys(KEPT_OUT, 303)}
    people = {"nothing bought": alice}
    for number, (name, case) in enumerate({**LET_IN, **KEPT_OUT}.items()):
        people[name] = make_user(db_session, f"person{number}@example.com")
        with_facts(db_session, people[name], case)
    for name, user in people.items():
        client = app.test_client()
        given_a_session(client, user)
        answer = client.get("/app")
        standing = facts.standing_of(db_session, user.id, config, now())
        assert (answer.status_code == 200) == standing.access, name
        assert answer.status_code == cases.get(name, 303), name
        if answer.status_code == 303:
            assert answer.location == "/billing"
            assert "You need a plan with access to open that page." in client.get("/billing").text, name


def test_an_admin_needs_a_plan_like_everybody(client: FlaskClient, admin: User) -> None:
    given_a_session(client, admin)
    assert client.get("/app").location == "/billing"


def test_nothing_in_an_address_or_a_cookie_lets_anybody_in(
    client: FlaskClient, db_session: Session, alice: User
) -> None:
    paid = CheckoutSession(
        stripe_id="cs_1", user_id=alice.id, mode="subscription", item="pro", price_id="p", status="complete",
        payment_status="paid", subscription="sub_1",
    )  # fmt: skip
    rows.add(db_session, paid)
    given_a_session(client, alice)
    client.set_cookie("access", "true")
    assert client.get("/checkout/return?session_id=cs_1").status_code == 200
    assert client.get("/app?session_id=cs_1&status=active&access=1&success=true").location == "/billing"


def last_asked(session: Session, user_id: int, *, hours: float) -> None:
    ago = now() - timedelta(hours=hours)
    session.execute(update(Subscription).where(Subscription.user_id == user_id).values(fetched_at=ago))
    session.commit()


def test_a_row_that_is_too_old_is_asked_about_before_it_decides(desk: Flask) -> None:
    sandbox: Sandbox = desk.extensions["sandbox"]
    alice = shopper(desk)
    alice.subscribe()
    stripe_id = alice.row.stripe_id
    sandbox.control("trouble", delivery="drop")
    sandbox.stripe.subscriptions.cancel(stripe_id)

    last_asked(db.session(), alice.id, hours=23.9)
    before = asked_about(sandbox, stripe_id)
    assert alice.get("/app").status_code == 200
    assert asked_about(sandbox, stripe_id) == before

    last_asked(db.session(), alice.id, hours=24.1)
    assert alice.get("/app").location == "/billing"
    assert asked_about(sandbox, stripe_id) == before + 1
    assert (alice.row.status, alice.standing.code) == ("canceled", "ended")
    cause = db.session.get_one(StripeEvent, alice.row.cause_event_id)
    assert (cause.type, cause.source) == ("dunlin.refresh", "access")

    last_asked(db.session(), alice.id, hours=100)
    assert alice.get("/app").location == "/billing"
    assert asked_about(sandbox, stripe_id) == before + 1, "what is over stays over, and is not asked about"


def asked_about(sandbox: Sandbox, stripe_id: str) -> int:
    """How often the application asked Stripe for this subscription."""
    path = f"/v1/subscriptions/{stripe_id}"
    requests = sandbox.look("requests?limit=10000")["requests"]
    return len([one for one in requests if (one["method"], one["path"].partition("?")[0]) == ("GET", path)])


def test_while_stripe_is_away_an_old_row_is_believed_for_three_days(desk: Flask) -> None:
    sandbox: Sandbox = desk.extensions["sandbox"]
    alice, bob = shopper(desk), shopper(desk, "bob@example.com")
    alice.subscribe()
    sandbox.control("trouble", api="error_500")
    last_asked(db.session(), alice.id, hours=71.9)
    assert alice.get("/app").status_code == 200
    last_asked(db.session(), alice.id, hours=72.1)
    assert alice.get("/app").location == "/billing"
    assert bob.get("/app").location == "/billing"
    assert alice.row.status == "active"
    sandbox.calm()
    assert alice.get("/app").status_code == 200


def test_without_a_database_nobody_gets_in_and_nobody_is_sent_away() -> None:
    away = make_app(make_config("postgresql://dunlin@127.0.0.1:1/dunlin"))
    client = away.test_client()
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = "x" * 43, True
    answer = client.get("/app")
    assert (answer.status_code, answer.location) == (503, None)
    assert doors.cookie_of(client)


MINE = "CANARY-OF-ALICE"


@pytest.fixture
def bobs(client: FlaskClient, db_session: Session, bob: User) -> FlaskClient:
    """Bob's browser, beside an alice who has everything that can be asked for by its id."""
    alice = make_user(db_session, "alice@example.com", customer="cus_alice")
    row = rows.subscription(db_session, alice, stripe_id="sub_alice", cancel_at_period_end=True)
    rows.invoice(db_session, row, stripe_id="in_alice", number=MINE, description=MINE)
    rows.payment(db_session, alice, payment_intent="pi_alice")
    order = CheckoutSession(
        stripe_id="cs_alice",
        user_id=alice.id,
        mode="subscription",
        item="pro",
        price_id="p",
        status="open",
        url=MINE,
    )
    rows.add(db_session, order)
    given_a_session(client, bob)
    return client


def test_what_is_anothers_is_not_found_like_what_is_nobodys(bobs: FlaskClient) -> None:
    token = csrf_of(bobs)
    for kind in ("alice", "nobody"):
        asked = [bobs.get(f"/checkout/{page}?session_id=cs_{kind}") for page in ("return", "state")]
        asked.append(bobs.post(f"/invoices/in_{kind}/open", data={"csrf_token": token}))
        for answer in asked:
            assert answer.status_code == 404, answer.request.path
            assert MINE not in answer.text
    flows = ("home", "payment_method_update", "subscription_cancel")
    for flow in flows:
        form = {"csrf_token": token, "customer": "cus_alice", "subscription": "sub_alice", "user_id": "1"}
        assert bobs.post(f"/billing/portal/{flow}?customer=cus_alice", data=form).status_code == 404, flow


def test_no_list_shows_what_is_anothers(bobs: FlaskClient) -> None:
    for path in ("/billing", "/invoices", "/account", "/plans", "/subscribe/pro"):
        page = bobs.get(f"{path}?user_id=1&customer=cus_alice").text
        for word in (MINE, "alice@", "Visa ending", "100 credits"):
            assert word not in page, (path, word)


def test_no_button_reaches_what_is_anothers(bobs: FlaskClient, db_session: Session, bob: User) -> None:
    bob.stripe_customer_id = "cus_bob"
    db_session.commit()
    form = {
        "csrf_token": csrf_of(bobs),
        "subscription": "sub_alice",
        "customer": "cus_alice",
        "id": "sub_alice",
    }
    before = count(StripeEvent)
    for path in ("/billing/resume", "/billing/check"):
        answer = bobs.post(f"{path}?subscription=sub_alice", data=form)
        assert (answer.status_code, answer.location) == (303, "/billing"), path
    assert bobs.post("/billing/portal/subscription_cancel", data=form).status_code == 404
    assert bobs.post("/billing/portal/subscription_update", data=form).status_code == 404
    assert (count(StripeWrite), count(StripeEvent)) == (0, before)

"""One person at the desk: the reasons, the story, and asking Stripe now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from billing import audit
from billing.extensions import db
from billing.models import PlanPrice, StripeEvent, Subscription, User
from billing.words import day
from local.visitor import Visitor
from tests import admin_rows as rows
from tests.support import Sandbox, make_user


@pytest.fixture
def desk_of_admin(client: FlaskClient, admin: User, sign_in: Callable[..., None]) -> FlaskClient:
    sign_in(client, admin)
    return client


@pytest.fixture
def ana(db_session: Session) -> User:
    """Somebody who is a customer at Stripe."""
    return make_user(db_session, "ana@example.com", customer="cus_ana")


def in_order(text: str, *parts: str) -> None:
    places = [text.find(part) for part in parts]
    assert -1 not in places, [part for part, place in zip(parts, places, strict=True) if place < 0]
    assert places == sorted(places), parts


def test_an_unknown_person_is_not_found(desk_of_admin: FlaskClient) -> None:
    for number in ("0", "999999", "9" * 30, "x"):
        assert desk_of_admin.get(f"/admin/subscribers/{number}").status_code == 404, number
        assert rows.press(desk_of_admin, f"/admin/subscribers/{number}/sync").status_code == 404, number


def test_somebody_without_a_subscription_has_no_access_and_nothing_to_ask(
    desk_of_admin: FlaskClient, alice: User
) -> None:
    page = desk_of_admin.get(f"/admin/subscribers/{alice.id}").text
    assert "alice@example.com has no access because there has never been a subscription." in page
    assert "No subscription." in page
    assert "Ask Stripe now" not in page


def test_the_page_says_why_somebody_has_access(
    desk_of_admin: FlaskClient, db_session: Session, ana: User
) -> None:
    row = rows.subscription(db_session, ana)
    page = desk_of_admin.get(f"/admin/subscribers/{ana.id}").text
    assert "Why does ana@example.com have access?" in page
    assert f"ana@example.com has access because {row.stripe_id} is active. Stripe said so on" in page
    in_order(page, "there is a subscription", "its price is in our catalogue", "◀ decides")
    assert "Visa ending 4242" in page


def test_the_page_says_which_unpaid_invoice_ended_access(
    desk_of_admin: FlaskClient, db_session: Session, ana: User
) -> None:
    failed = rows.NOW - timedelta(days=20)
    row = rows.subscription(db_session, ana, status="past_due", first_failed_at=failed)
    bill = rows.owed(db_session, row, first_failed_at=failed)
    page = desk_of_admin.get(f"/admin/subscribers/{ana.id}").text
    assert "Why does ana@example.com have no access?" in page
    assert (
        f"because {bill.stripe_id} (€29.00) has been unpaid since {day(failed)} and the grace ended" in page
    )
    assert "declined: insufficient_funds" in page


def test_ids_lead_to_stripes_dashboard_only_where_stripe_is_asked(
    app: Flask, desk_of_admin: FlaskClient, db_session: Session, ana: User
) -> None:
    row = rows.subscription(db_session, ana)
    bill = rows.invoice(db_session, row)
    path = f"/admin/subscribers/{ana.id}"
    assert "dashboard.stripe.com" not in desk_of_admin.get(path).text
    object.__setattr__(app.extensions["config"], "stripe_api_base", None)
    page = desk_of_admin.get(path).text
    assert f'href="https://dashboard.stripe.com/test/subscriptions/{row.stripe_id}"' in page
    assert 'href="https://dashboard.stripe.com/test/customers/cus_ana"' in page
    assert f'href="https://dashboard.stripe.com/test/invoices/{bill.stripe_id}"' in page
    object.__setattr__(app.extensions["config"], "stripe_secret_key", "sk_live_0123456789")
    assert (
        f'href="https://dashboard.stripe.com/subscriptions/{row.stripe_id}"' in desk_of_admin.get(path).text
    )


def test_the_timeline_is_one_story_newest_first(
    desk_of_admin: FlaskClient, db_session: Session, ana: User, admin: User
) -> None:
    row = rows.subscription(db_session, ana, created=rows.NOW - timedelta(days=40))
    bill = rows.invoice(db_session, row)
    early = rows.NOW - timedelta(days=3)
    rows.stripe_event(
        db_session,
        "invoice.paid",
        user_id=ana.id,
        event_id="evt_early",
        received_at=early,
        stripe_created=early,
    )
    rows.mail(db_session, ana, sent_at=rows.NOW - timedelta(days=2))
    waiting = {"customer_id": "cus_ana", "state": "pending", "attempts": 2, "reason": "Stripe answered 500"}
    rows.stripe_event(
        db_session, "invoice.voided", received_at=rows.NOW - timedelta(days=1), event_id="evt_late", **waiting
    )
    audit.record(
        db_session,
        "invoice.status",
        actor="stripe",
        user_id=ana.id,
        subject=bill.stripe_id,
        cause="evt_early",
        before={"status": "open", "attempt_count": 1},
        after={"status": "paid", "attempt_count": 1},
    )
    audit.record(db_session, "subscriber.sync", actor=f"admin:{admin.id}", user_id=ana.id, subject="cus_ana")
    db_session.commit()
    page = desk_of_admin.get(f"/admin/subscribers/{ana.id}").text
    story = page[page.index('id="timeline-title"') :]
    in_order(
        story,
        "Stripe was asked",
        "cus_ana, by admin@example.com",
        '<a href="/admin/events/evt_early">Invoice ' + f"{bill.number}, €29.00: open → paid</a>",
        "by Stripe",
        '<a href="/admin/events/evt_late">invoice.voided</a>',
        "Trying again",
        "Stripe answered 500",
        "Receipt for €29.00, Pro",
        '<a href="/admin/events/evt_early">invoice.paid</a>',
    )


def test_a_long_story_says_that_it_was_cut(
    desk_of_admin: FlaskClient, db_session: Session, ana: User
) -> None:
    for _ in range(101):
        rows.stripe_event(db_session, user_id=ana.id)
    page = desk_of_admin.get(f"/admin/subscribers/{ana.id}").text
    assert page.count(">customer.subscription.updated</a>") == 100
    assert "What came before is not shown here." in page


def test_mails_are_shown_with_what_became_of_them_and_without_their_code(
    desk_of_admin: FlaskClient, db_session: Session, ana: User
) -> None:
    rows.mail(db_session, ana, "code", state="queued", sent_at=None, secret="123456")
    rows.mail(
        db_session, ana, "pw_changed", state="suppressed", reason="rcpt to answered 550", to="old@example.com"
    )
    rows.mail(db_session, ana, "a_kind_of_the_past", state="unknown")
    page = desk_of_admin.get(f"/admin/subscribers/{ana.id}").text
    assert "123456" not in page
    assert "[hidden] is your Dunlin code" in page
    assert "to old@example.com, rcpt to answered 550" in page
    assert "a_kind_of_the_past" in page
    for state in ("Queued", "Refused", "Sent or lost"):
        assert f">{state}</span>" in page


def test_every_payment_is_listed(desk_of_admin: FlaskClient, db_session: Session, ana: User) -> None:
    row = rows.subscription(db_session, ana)
    rows.invoice(db_session, row, amount_refunded=1000, number="DUN-REF")
    rows.payment(db_session, ana)
    rows.dispute(db_session, ana)
    page = desk_of_admin.get(f"/admin/subscribers/{ana.id}").text
    money = page[page.index('id="money-title"') : page.index('id="mails-title"')]
    for words in (
        "DUN-REF",
        "Partly refunded",
        "100 credits",
        "€15.00",
        "Dispute: fraudulent",
        "Needs response",
    ):
        assert words in money


def test_the_page_asks_the_database_no_more_for_a_long_story(
    desk_of_admin: FlaskClient, db_session: Session, ana: User, admin: User
) -> None:
    row = rows.subscription(db_session, ana, status="past_due", first_failed_at=rows.NOW)
    path = f"/admin/subscribers/{ana.id}"

    def asked(length: int) -> int:
        for _ in range(length):
            rows.owed(db_session, row)
            rows.payment(db_session, ana)
            rows.dispute(db_session, ana)
            rows.mail(db_session, ana)
            audit.record(db_session, "subscriber.sync", actor=f"admin:{admin.id}", user_id=ana.id)
            db_session.commit()
        with rows.queries() as seen:
            assert desk_of_admin.get(path).status_code == 200
        return len(seen)

    few, many = asked(1), asked(25)
    assert few == many
    assert many <= 15


def test_asking_in_vain_says_so_and_is_written_down(
    desk_of_admin: FlaskClient, db_session: Session, ana: User, admin: User
) -> None:
    answer = rows.press(desk_of_admin, f"/admin/subscribers/{ana.id}/sync")
    assert (answer.status_code, answer.location) == (303, f"/admin/subscribers/{ana.id}")
    assert "Nothing was changed." in desk_of_admin.get(answer.location).text
    (entry,) = rows.audit_of(db_session, "subscriber.sync")
    assert (entry.actor, entry.user_id, entry.subject) == (f"admin:{admin.id}", ana.id, "cus_ana")


def test_there_is_nothing_to_ask_about_somebody_who_is_no_customer(
    desk_of_admin: FlaskClient, db_session: Session, alice: User
) -> None:
    answer = rows.press(desk_of_admin, f"/admin/subscribers/{alice.id}/sync")
    assert "is not a customer at Stripe yet" in desk_of_admin.get(answer.location).text
    assert not rows.audit_of(db_session, "subscriber.sync")


def subscribe(sandbox: Sandbox, customer: str, price: str) -> str:
    """Pay on Stripe's page. Returns the subscription's id."""
    session = sandbox.stripe.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": f"{sandbox.url}/healthz",
        }
    )
    visitor = Visitor(sandbox.url)
    page = visitor.open(session["url"])
    form = page.form(having="number")
    visitor.submit(form, number="4242424242424242", expiry="12/34", cvc="123", name="Ana")
    return str(sandbox.stripe.checkout.sessions.retrieve(session["id"])["subscription"])


def test_asking_stripe_brings_what_no_webhook_brought(desk: Flask, sign_in: Callable[..., None]) -> None:
    sandbox: Sandbox = desk.extensions["sandbox"]
    sandbox.control("trouble", delivery="drop", api="normal")
    customer = sandbox.stripe.customers.create({"email": "ana@example.com"})["id"]
    session = db.session()
    ana = make_user(session, "ana@example.com", customer=customer)
    chief = make_user(session, "admin@example.com", is_admin=True)
    price = session.get_one(PlanPrice, "pro_month_eur").price_id
    stripe_id = subscribe(sandbox, customer, price)
    assert session.query(Subscription).count() == 0
    client = desk.test_client()
    sign_in(client, chief)

    answer = rows.press(client, f"/admin/subscribers/{ana.id}/sync")

    session.rollback()
    row = session.query(Subscription).one()
    assert (row.stripe_id, row.status, row.user_id) == (stripe_id, "active", ana.id)
    cause = session.get_one(StripeEvent, row.cause_event_id)
    assert (cause.type, cause.source) == ("dunlin.refresh", f"admin:{chief.id}")
    page = client.get(answer.location).text
    assert "Stripe named 1 subscription. This page shows what it said." in page
    assert "has access because" in page
    assert "by admin@example.com" in page

    sandbox.control("trouble", delivery="drop", api="error_500")
    rows.press(client, f"/admin/subscribers/{ana.id}/sync")
    assert "Nothing was changed." in client.get(answer.location).text

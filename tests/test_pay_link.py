"""The link of a mail to pay one invoice: it works for whoever has it, shows amount and plan, and nothing of anybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing import pay_links, paying
from billing.clock import database_now
from billing.models import Invoice, Subscription, User
from tests import admin_rows as rows
from tests.support import csrf_of, make_user

EMAIL = "alice@example.com"


@pytest.fixture
def bill(db_session: Session) -> Invoice:
    alice = make_user(db_session, EMAIL, customer="cus_alice")
    plan = rows.subscription(db_session, alice, status="past_due")
    return rows.owed(db_session, plan, number="A1B2-0007", description="1 × Pro for Alice Ahrens")


@pytest.fixture
def link(db_session: Session, bill: Invoice) -> str:
    return pay_links.path(bill.stripe_id, database_now(db_session))


def words(answer: TestResponse) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def press(client: FlaskClient, link: str) -> TestResponse:
    return client.post(link, data={"csrf_token": csrf_of(client, "/login")})


# Of each: what the rows say, the status, what the page says, and its button.
STATES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str | None]] = {
    "open": ({}, {}, "Pay €29.00 for Pro", "Pay on Stripe’s page"),
    "in part": ({"amount_remaining": 900}, {}, "Pay €9.00 for Pro", "Pay on Stripe’s page"),
    "to confirm": ({"needs_action": True}, {}, "Confirm €29.00 for Pro", "Confirm on Stripe’s page"),
    "on hold": ({}, {"status": "unpaid"}, "The plan comes back as soon as", "Pay on Stripe’s page"),
    "paid": ({"status": "paid"}, {"status": "active"}, "This is paid.", None),
    "void": ({"status": "void"}, {}, "was canceled. Nothing will be charged for it.", None),
    "uncollectible": ({"status": "uncollectible"}, {}, "can’t be paid any more.", None),
    "draft": ({"status": "draft"}, {}, "isn’t ready yet.", None),
    "of a plan that is over": ({}, {"status": "canceled"}, "doesn’t bring the plan back.", "Pay on Stripe’s page"),
}  # fmt: skip


def test_the_page_says_what_the_invoice_is_at_and_nothing_of_a_person(
    client: FlaskClient, db_session: Session, bill: Invoice, link: str
) -> None:
    plan, before = db_session.query(Subscription).one(), {}
    for name, (of_bill, of_plan, said, button) in STATES.items():
        for thing, changes in ((bill, of_bill), (plan, of_plan)):
            for key, value in changes.items():
                before.setdefault((thing, key), getattr(thing, key))
                setattr(thing, key, value)
        db_session.commit()
        answer = client.get(link)
        found = re.findall(r'<button class="btn">([^<]*)</button>', answer.text)
        assert (answer.status_code, said in words(answer)) == (200, True), name
        assert found == ([button] if button else []), name
        for secret in (EMAIL, "Ahrens", bill.number, "cus_alice", bill.stripe_id, "4242"):
            assert secret not in answer.text, name
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        for (thing, key), value in before.items():
            if not plan.final:  # which is the last of them: nothing comes back from there
                setattr(thing, key, value)
    db_session.commit()


def test_a_link_that_is_cut_changed_made_up_or_of_another_key_opens_nothing(
    app: Flask, client: FlaskClient, db_session: Session, bill: Invoice, link: str
) -> None:
    other = rows.owed(db_session, db_session.query(Subscription).one(), amount_remaining=100)
    foreign = pay_links.path(other.stripe_id, database_now(db_session))
    mixed = foreign.partition(".")[0] + "." + link.rpartition(".")[2]
    wrong = [
        link[:-3],
        link + "x",
        mixed,
        "/pay/x",
        "/pay/in_1",
        f"/pay/{bill.stripe_id}",
        "/pay/%00",
        "/pay/ü.é",
    ]
    for path in (*wrong, pay_links.path("in_nobody", database_now(db_session))):
        for answer in (client.get(path), press(client, path)):
            assert (answer.status_code, "This link doesn’t work." in words(answer)) == (404, True), path
            assert "€" not in answer.text
    config = app.extensions["config"]
    app.extensions["config"] = replace(
        config, secret_key="another one" * 6, secret_key_fallbacks=(config.secret_key,)
    )
    assert client.get(link).status_code == 200, "made before the key was changed"
    app.extensions["config"] = replace(config, secret_key="another one" * 6, secret_key_fallbacks=())
    assert client.get(link).status_code == 404


def test_it_works_for_fourteen_days_by_the_databases_clock(
    client: FlaskClient, db_session: Session, bill: Invoice
) -> None:
    now = database_now(db_session)
    for ago, status in ((timedelta(days=13, hours=23), 200), (timedelta(days=14, minutes=1), 410)):
        answer = client.get(pay_links.path(bill.stripe_id, now - ago))
        assert answer.status_code == status
    assert "This link has expired." in words(answer)
    assert "€29.00" not in answer.text
    assert press(client, pay_links.path(bill.stripe_id, now - ago)).status_code == 410
    bill.status = "paid"
    db_session.commit()
    old = client.get(pay_links.path(bill.stripe_id, datetime(2026, 1, 1, tzinfo=UTC)))
    assert (old.status_code, "This is paid." in words(old)) == (200, True), "what is so matters more"


def test_while_stripe_is_away_it_says_so_and_works_afterwards(
    client: FlaskClient, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = press(client, link)
    assert (answer.status_code, "Stripe isn’t answering right now." in words(answer)) == (503, True)
    assert f'href="{link}"' in answer.text
    assert client.get(link).status_code == 200
    monkeypatch.setattr(paying, "TRIES", 1)
    slower = press(client, link)
    assert (slower.status_code, "Retry-After" in slower.headers) == (429, True)


def test_a_form_without_its_token_leads_nowhere_and_another_person_sees_no_more(
    client: FlaskClient, db_session: Session, link: str, sign_in: Callable[[FlaskClient, User], None]
) -> None:
    assert client.post(link).status_code == 400
    sign_in(client, make_user(db_session, "bob@example.com"))
    answer = client.get(link)
    assert answer.status_code == 200
    assert EMAIL not in answer.text

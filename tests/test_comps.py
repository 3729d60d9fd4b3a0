"""Access that admins give free of charge: said first, given with a reason, over by its day, hiding no charge."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing import comps, facts, particulars, voice
from billing.clock import database_now
from billing.config import Config
from billing.errors import CompChanged
from billing.extensions import db
from billing.models import Comp, User
from billing.standing import Standing
from billing.voice import Action
from tests import admin_rows as rows
from tests.support import sign_in
from tests.test_cli import flask, said


@pytest.fixture
def desk_of_admin(client: FlaskClient, admin: User) -> FlaskClient:
    sign_in(client, admin)
    return client


def path(user: User) -> str:
    return f"/admin/subscribers/{user.id}/comp"


def in_days(session: Session, days: int) -> str:
    return f"{database_now(session) + timedelta(days=days):%Y-%m-%d}"


def give(session: Session, user: User, admin: User, **more: Any) -> Comp:
    values = {"plan": "pro", "reason": "press", "seen": 0, **more}
    until = values.pop("until", database_now(session) + timedelta(days=30))
    row = comps.give(session, user.id, until=until, admin=admin.id, **values)
    session.commit()
    return row


def standing_of(session: Session, user: User, config: Config) -> Standing:
    session.rollback()
    return facts.standing_of(session, user.id, config, database_now(session))


def test_an_admin_reads_what_giving_will_do_gives_it_with_a_reason_and_takes_it_back(
    app: Flask, desk_of_admin: FlaskClient, db_session: Session, alice: User, admin: User
) -> None:
    hers = app.test_client()
    sign_in(hers, alice)
    assert hers.get("/app").status_code == 303
    until = in_days(db_session, 30)
    page = unescape(desk_of_admin.get(f"{path(alice)}?plan=team&until={until}").text)
    assert "This will give alice@example.com Team until the end of" in page
    assert "Stripe is not told." in page
    assert db_session.query(Comp).count() == 0, "nothing was done by looking"

    form = {"plan": "team", "until": until, "seen": "0"}
    answer = rows.press(desk_of_admin, path(alice), **form, reason="  ")
    assert (answer.status_code, "Say why" in answer.text, db_session.query(Comp).count()) == (422, True, 0)
    assert "This will give" in answer.text, "and nothing that was entered is lost"
    assert rows.press(desk_of_admin, path(alice), **form, reason="She writes about us").status_code == 303

    assert hers.get("/app").status_code == 200
    assert "You have Team until" in hers.get("/billing").text
    [entry] = rows.audit_of(db_session, "comp.given")
    assert (entry.actor, entry.user_id, entry.before) == (f"admin:{admin.id}", alice.id, None)
    assert entry.after is not None
    assert entry.after["reason"] == "She writes about us"
    assert "alice@example.com: access (comp)" in said(flask(app, "why alice@example.com"))[0]
    listed = desk_of_admin.get("/admin/subscribers").text
    assert re.search(
        r"alice@example\.com</a></th>\s*<td[^>]*>\s*<span class=\"tag tone-good\"[^>]*>Active", listed
    )
    person = unescape(desk_of_admin.get(f"/admin/subscribers/{alice.id}").text)
    assert "alice@example.com has access because an admin gave them Team until" in person
    assert "She writes about us" in person

    [given] = db_session.query(Comp)
    end = {"seen": str(given.id), "reason": "Her trial of us is over"}
    assert "This will take Team back from alice@example.com now." in unescape(
        desk_of_admin.get(path(alice)).text
    )
    assert rows.press(desk_of_admin, f"{path(alice)}/end", **{**end, "reason": ""}).status_code == 422
    assert rows.press(desk_of_admin, f"{path(alice)}/end", **end).status_code == 303
    assert hers.get("/app").status_code == 303
    assert len(rows.audit_of(db_session, "comp.taken_back")) == 1


@pytest.mark.parametrize(
    ("plan", "until", "told"),
    [
        ("gold", 30, "Choose one of the plans."),
        ("pro", "soon", "Enter a day like 2027-03-01."),
        ("pro", "", "Enter a day like 2027-03-01."),
        ("pro", -1, "Choose a day from today on, and within ten years."),
        ("pro", 9000, "Choose a day from today on, and within ten years."),
    ],
)
def test_what_can_not_be_given_is_named_and_gives_nothing(
    desk_of_admin: FlaskClient, db_session: Session, alice: User, plan: str, until: int | str, told: str
) -> None:
    day = in_days(db_session, until) if isinstance(until, int) else until
    answers = [
        desk_of_admin.get(path(alice), query_string={"plan": plan, "until": day}),
        rows.press(desk_of_admin, path(alice), plan=plan, until=day, reason="press", seen="0"),
    ]
    for answer in answers:
        assert (answer.status_code, told in answer.text) == (422, True)
    assert db_session.query(Comp).count() == 0


def test_it_is_over_with_its_day_by_the_databases_clock(
    db_session: Session, alice: User, admin: User, config: Config
) -> None:
    row = give(db_session, alice, admin)
    assert standing_of(db_session, alice, config).access
    db_session.execute(update(Comp).values(until=database_now(db_session)))
    db_session.commit()
    found = standing_of(db_session, alice, config)
    assert (found.code, found.access) == ("none", False)
    again = give(db_session, alice, admin, plan="team", seen=row.id)
    assert (standing_of(db_session, alice, config).plan, again.plan) == ("team", "team")


def test_two_admins_at_once_leave_one_truth_and_the_slower_one_is_told(
    app: Flask, db_session: Session, alice: User, bob: User, admin: User
) -> None:
    until, start, outcomes = database_now(db_session) + timedelta(days=9), threading.Barrier(8), []
    ids = alice.id, admin.id, bob.id
    db_session.rollback()

    def one(number: int) -> None:
        with app.app_context():
            start.wait(30)
            who, plan = ids[1 + number % 2], ("pro", "team")[number % 2]
            try:
                comps.give(db.session(), ids[0], plan, until, reason=f"{number}", admin=who, seen=0)
                db.session.commit()
                outcomes.append("given")
            except CompChanged:
                db.session.rollback()
                outcomes.append("told")
            db.session.remove()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["given"] + ["told"] * 7
    assert db_session.query(Comp).count() == len(rows.audit_of(db_session, "comp.given")) == 1


def test_whoever_agreed_to_something_that_is_not_so_any_more_is_shown_what_is_so(
    desk_of_admin: FlaskClient, db_session: Session, alice: User, admin: User
) -> None:
    until = in_days(db_session, 30)
    first = give(db_session, alice, admin, plan="team")
    answer = rows.press(desk_of_admin, path(alice), plan="pro", until=until, reason="press", seen="0")
    assert answer.status_code == 409
    assert "Another admin changed it meanwhile." in answer.text
    assert f'name="seen" value="{first.id}"' in answer.text
    assert "It takes the place of Team until" in answer.text
    for seen in ("0", "", "x", str(first.id + 1), "9" * 40):
        answer = rows.press(desk_of_admin, f"{path(alice)}/end", reason="press", seen=seen)
        assert answer.status_code == 409, seen
    db_session.rollback()
    assert [row.plan for row in db_session.query(Comp).filter_by(ended_at=None)] == ["team"]
    assert (
        rows.press(
            desk_of_admin, path(alice), plan="pro", until=until, reason="press", seen=str(first.id)
        ).status_code
        == 303
    )
    db_session.rollback()
    assert [row.plan for row in db_session.query(Comp).filter_by(ended_at=None)] == ["pro"]


def test_what_is_given_hides_no_payment_that_fails_and_no_charge(
    desk_of_admin: FlaskClient, db_session: Session, alice: User, admin: User, config: Config
) -> None:
    row = rows.subscription(
        db_session, alice, status="past_due", first_failed_at=rows.NOW - timedelta(days=2)
    )
    bill = rows.owed(db_session, row)
    page = unescape(desk_of_admin.get(f"{path(alice)}?plan=pro&until={in_days(db_session, 30)}").text)
    assert "Their own subscription (past_due) goes on beside it, and what it costs is charged." in page
    give(db_session, alice, admin)
    found = standing_of(db_session, alice, config)
    words = voice.speak(found, product=Action("Go", "/app"), contact="mailto:x@example.com")
    assert "You have a plan of your own beside it. We couldn’t take your last payment." in words.body
    assert [link.label for link in words.links][:2] == ["Update card", "Pay this invoice now"]
    assert "Cancel plan" in [link.label for link in words.links]
    assert ("Owed", f"€29.00, invoice {bill.number}") in particulars.details(found)
    row.status, row.first_failed_at, bill.status = "active", None, "paid"
    db_session.commit()
    found = standing_of(db_session, alice, config)
    words = voice.speak(found, product=Action("Go", "/app"), contact="mailto:x@example.com")
    assert "Next payment: €29.00 on" in words.body, "nobody who is charged reads only that it is free"


def test_only_admins_give(app: Flask, db_session: Session, alice: User, sign_in: Callable[..., None]) -> None:
    client = app.test_client()
    sign_in(client, alice)
    assert client.get(path(alice)).status_code == 403
    assert rows.press(client, path(alice), plan="pro").status_code in (400, 403)
    assert db_session.query(Comp).count() == 0

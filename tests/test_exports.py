"""A copy of one's data: it opens, it is complete, it is of one moment and one person, and after a day it is gone."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Table, event, update
from sqlalchemy.orm import Session

from billing import addresses, audit, comps, exporting, exports
from billing.clock import now
from billing.config import Config
from billing.errors import ExportTooLarge
from billing.extensions import Base, db
from billing.models import (
    AuditEntry,
    CheckoutSession,
    DataExport,
    Deletion,
    FraudWarning,
    Grant,
    LoginSession,
    Notice,
    Refund,
    StripeWrite,
    User,
    Withdrawal,
)
from local.mailsink import MailSink
from tests import admin_rows as rows
from tests.doors import signed_in, subjects, submit
from tests.support import make_user, sign_in

PEOPLE = Base.metadata.tables["users"]
SECRET = re.compile(r"hash|secret|token|payload|idempotency|content")


def tables() -> dict[str, Table]:
    return dict(Base.metadata.tables)


def exported() -> set[str]:
    return {part.table.name for part in exporting.PARTS}


def test_every_table_is_in_the_copy_or_is_named_with_the_reason_why_not() -> None:
    """A table or column of another person's work fails here until somebody has decided about it."""
    left_out = {name for name in exporting.LEFT_OUT if "." not in name}
    assert not exported() & left_out
    assert exported() | left_out == set(tables()), (
        "say in exporting.PARTS or exporting.LEFT_OUT what becomes of it"
    )
    columns = {f"{name}.{column.name}" for name, table in tables().items() for column in table.columns}
    named = {name for name in exporting.LEFT_OUT if "." in name}
    assert named <= columns, "gone: take it out of exporting.LEFT_OUT"
    assert all(reason.strip() for reason in exporting.LEFT_OUT.values())
    for name in left_out:
        reaches = [key.target_fullname for key in tables()[name].foreign_keys]
        assert "users.id" not in reaches, f"{name} is about people"
        assert "user_id" not in tables()[name].columns, f"{name} is about people"


def test_what_leads_to_another_person_and_every_secret_is_left_out_and_every_amount_can_be_read() -> None:
    for table in (part.table for part in exporting.PARTS):
        for column in table.columns:
            name, kept = (
                f"{table.name}.{column.name}",
                f"{table.name}.{column.name}" not in exporting.LEFT_OUT,
            )
            to_people = any(key.target_fullname == "users.id" for key in column.foreign_keys)
            assert not (kept and to_people and column.name != "user_id"), f"{name} is another person"
            assert not (kept and SECRET.search(column.name) and name != "audit.after"), (
                f"{name} looks like a secret"
            )
            money = re.search(r"amount|total", column.name) and "INT" in str(column.type)
            assert not (kept and money and column.name not in exporting.AMOUNTS), f"{name}: say it readably"
            counts = table.name == "grants"  # credits, of no currency
            assert counts or not (column.name in exporting.AMOUNTS and "currency" not in table.columns), name


def took_back(session: Session, user: User, mark: str) -> None:
    """A refund, a bank's warning, what a purchase gave, and an account that was to be deleted."""
    of_stripe = {
        "user_id": user.id, "amount": 500, "currency": "eur", "created": now(), "fetch_no": 1,
        "cause_event_id": rows.stripe_event(session).event_id,
    }  # fmt: skip
    rows.add(session, Refund(stripe_id=f"re_{mark}", status="succeeded", reason=mark, **of_stripe))
    rows.add(session, FraudWarning(stripe_id=f"issfr_{mark}", actionable=True, fraud_type=mark, **of_stripe))
    rows.add(session, Grant(key=mark, user_id=user.id, kind="granted", feature=mark, amount=1))
    rows.add(session, Deletion(user_id=user.id, due_at=now(), undone_at=now(), problem=mark))


def a_life(session: Session, user: User, mark: str) -> None:
    """A row of every exported table, each with the mark."""
    user.stripe_customer_id, user.referral_code = f"cus_{mark}", mark
    row = rows.subscription(session, user, plan="team", price_id=f"price_{mark}")
    rows.invoice(session, row, description=f"=cmd|{mark}", number=f"-{mark}", total=1234567)
    rows.invoice(session, row, description=mark, currency="jpy", total=500)
    rows.payment(session, user, amount_refunded=500, product=mark)
    rows.dispute(session, user, reason=mark)
    took_back(session, user, mark)
    rows.mail(session, user, facts={"amount": "€29.00", "mark": mark})
    rows.mail(
        session,
        user,
        kind="reset",
        secret=f"secret-{mark}",
        state="queued",
        next_attempt_at=now() + timedelta(1),
    )
    order = CheckoutSession(
        stripe_id=f"cs_{mark}", user_id=user.id, mode="subscription", item=mark, price_id="p", status="complete",
        url=f"https://secret-{mark}.example.com", once=f"secret-{mark}-once",
    )  # fmt: skip
    rows.add(session, order)
    withdrawn = Withdrawal(user_id=user.id, subscription=row.stripe_id, name=f"@{mark}", email=user.email)
    rows.add(session, withdrawn)
    write = {"operation": "customer.create", "params": "{}", "params_sha256": "0", "state": "done"}
    rows.add(
        session,
        StripeWrite(name=f"customer:{user.id}", idempotency_key=f"secret-{mark}", user_id=user.id, **write),
    )
    session.add(LoginSession(user_id=user.id, token_hash=f"secret-{mark}", user_agent=mark, expires_at=now()))
    addresses.ask(session, user, f"{mark}@new.example.com", "key")
    audit.record(session, "user.created", actor="user", user_id=user.id, after={"mark": mark})
    session.commit()


def opened(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode("utf-8-sig") for name in archive.namelist()}


def content(session: Session, user: User) -> dict[str, str]:
    """The files of the person's newest copy."""
    session.rollback()
    row = session.query(DataExport).filter_by(user_id=user.id).order_by(DataExport.id.desc()).first()
    assert row is not None
    assert row.content is not None
    return opened(row.content)


def table_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_copy_opens_is_complete_and_holds_no_secret_and_nobody_else(
    app: Flask,
    client: FlaskClient,
    db_session: Session,
    config: Config,
    mails: MailSink,
    alice: User,
    bob: User,
    admin: User,
) -> None:
    for user, mark in ((alice, "alicemark"), (bob, "bobmark")):
        a_life(db_session, user, mark)
        comps.give(db_session, user.id, "pro", now() + timedelta(9), reason=mark, admin=admin.id, seen=0)
        db_session.commit()
    sign_in(client, alice)
    answer = submit(client, "/account/export", page="/account")
    assert (answer.status_code, answer.location) == (303, "/account#data-title")
    assert "We’re making a copy of your data." in client.get("/account").text
    assert exports.make_due(db_session) == 1
    assert subjects(db_session, config, mails, alice.email)[-1] == "Your data are ready"
    [path] = re.findall(r"/account/export/\d+", mails.to(alice.email)[-1].text)
    assert f'href="{path}"' in client.get("/account").text
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert re.fullmatch(
        r"attachment; filename=data-\d{4}-\d\d-\d\d\.zip", answer.headers["Content-Disposition"]
    )
    assert answer.headers["Cache-Control"] == "no-store"
    files = opened(answer.data)
    names = [part.file for part in exporting.PARTS]
    assert set(files) == {"README.txt", *(f"{name}.{kind}" for name in names for kind in ("json", "csv"))}
    whole = "".join(files.values())
    for never in (
        "bobmark",
        "secret-alicemark",
        bob.email,
        admin.email,
        alice.password_hash,
        f"admin:{admin.id}",
    ):
        assert never not in whole, never
    for part in exporting.PARTS:
        found = json.loads(files[f"{part.file}.json"])
        asked = db_session.query(part.model).filter_by(
            **{"id" if part.model is User else "user_id": alice.id}
        )
        # that it is ready was written down and mailed after it was made
        later = 1 if part.file in ("changes", "mails") else 0
        assert len(found) == asked.count() - later >= 1, part.file
        assert f"{part.file} ({len(found)})" in files["README.txt"]
        lines = table_of(files[f"{part.file}.csv"])
        assert len(lines) == len(found)
        for line, one in zip(lines, found, strict=True):
            assert list(line) == list(one)
            for name, value in one.items():
                assert not line[name].startswith(exporting.FORMULA) or isinstance(value, int), (name, value)
    euros, yen = json.loads(files["invoices.json"])
    assert (euros["total"], euros["currency"], euros["total_text"]) == (1234567, "eur", "€12,345.67")
    assert yen["total_text"] == "¥500"
    assert euros["description"] == "=cmd|alicemark"
    assert table_of(files["invoices.csv"])[0]["description"] == "'=cmd|alicemark"
    assert [one["actor"] for one in json.loads(files["changes.json"]) if one["kind"] == "comp.given"] == [
        "admin"
    ]


def test_a_copy_is_its_owners_alone_and_ends_after_a_day(
    app: Flask, client: FlaskClient, db_session: Session, alice: User, bob: User, admin: User
) -> None:
    assert exports.ask(db_session, alice.id)
    assert not exports.ask(db_session, alice.id), "one is enough"
    db_session.commit()
    [row] = db_session.query(DataExport)
    path = f"/account/export/{row.id}"
    sign_in(client, alice)
    assert client.get(path).location == "/account#data-title"
    assert exports.make_due(db_session) == 1
    assert exports.make_due(db_session) == 0
    assert not exports.ask(db_session, alice.id)
    for other in (bob, admin):
        browser = app.test_client()
        sign_in(browser, other)
        assert browser.get(path).status_code == 404
    assert app.test_client().get(path).location.startswith("/login?next=")
    assert client.get(path).status_code == 200
    db_session.execute(update(DataExport).values(expires_at=now() - timedelta(seconds=1)))
    db_session.commit()
    answer = client.get(path)
    assert answer.status_code == 410, "before the clock has come by"
    assert "This copy was erased" in answer.text
    assert "Get a copy of your data" in client.get("/account").text
    exports.make_due(db_session)
    db_session.refresh(row)
    assert (row.state, row.content) == ("expired", None)
    assert "Get a copy of your data" in client.get("/account").text
    for _ in range(5):
        answer = submit(client, "/account/export", page="/plans")
    assert answer.status_code == 303
    assert submit(client, "/account/export", page="/plans").status_code == 429
    assert db_session.query(DataExport).count() == 2


def test_a_copy_is_of_one_moment_though_rows_change_while_it_is_made(
    db_session: Session, config: Config, alice: User
) -> None:
    a_life(db_session, alice, "alicemark")
    exports.ask(db_session, alice.id)
    db_session.commit()
    changed, number = [], alice.id

    def meanwhile(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM subscriptions" in statement and not changed:
            changed.append(statement)
            with psycopg.connect(config.database_url.replace("+psycopg", "")) as other:
                other.execute("update invoices set status = 'void'")
                other.execute("update users set email = 'late@example.com'")
                other.execute(
                    "insert into audit (actor, kind, user_id, alert) values ('user', 'late', %s, false)",
                    (number,),
                )

    event.listen(db.engine, "before_cursor_execute", meanwhile)
    try:
        assert exports.make_due(db_session) == 1
    finally:
        event.remove(db.engine, "before_cursor_execute", meanwhile)
    files = content(db_session, alice)
    assert changed
    assert {one["status"] for one in json.loads(files["invoices.json"])} == {"paid"}
    assert json.loads(files["account.json"])[0]["email"] == "alice@example.com"
    assert "late" not in [one["kind"] for one in json.loads(files["changes.json"])]
    [mail] = db_session.query(Notice).filter_by(kind="export_ready")
    assert mail.to == "late@example.com"


def test_what_stands_in_the_way_is_tried_again_later_and_holds_nobody_else_up(
    app: Flask, db_session: Session, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        exports.ask(db_session, user.id)
    db_session.commit()

    def refuse(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM invoices" in statement and alice.id in dict(parameters).values():
            raise RuntimeError("a fault on purpose")

    db_session.expire_on_commit, before = False, db_session.expire_on_commit
    event.listen(db.engine, "before_cursor_execute", refuse)
    try:
        assert exports.make_due(db_session) == 1
    finally:
        event.remove(db.engine, "before_cursor_execute", refuse)
        db_session.expire_on_commit = before
    states = {row.user_id: row.state for row in db_session.query(DataExport)}
    assert states == {alice.id: "asked", bob.id: "ready"}
    assert exports.make_due(db_session) == 0, "not at once again"
    # as after the death of whoever was making it
    db_session.execute(update(DataExport).values(next_attempt_at=now() - timedelta(seconds=1)))
    db_session.commit()
    assert exports.make_due(db_session) == 1
    assert db_session.query(Notice).filter_by(kind="export_ready").count() == 2


def test_a_copy_that_would_be_too_large_is_not_cut_short_but_told(
    client: FlaskClient, db_session: Session, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the bound is lowered: rows of 32 MB would take longer to make than all of these tests
    monkeypatch.setattr(exporting, "MOST_BYTES", 100)
    with pytest.raises(ExportTooLarge):
        exporting.pack(exporting.gather(db_session, alice.id), now(), "Dunlin")
    exports.ask(db_session, alice.id)
    db_session.commit()
    assert exports.make_due(db_session) == 0
    sign_in(client, alice)
    assert "is too large to be made here" in client.get("/account").text
    assert [one.alert for one in db_session.query(AuditEntry).filter_by(kind="export.too_large")] == [True]
    assert signed_in(client)


def test_a_readme_and_amounts_are_in_the_readers_language(db_session: Session) -> None:
    user = make_user(db_session, "gerda@example.com")
    user.locale = "de"
    rows.payment(db_session, user)
    exports.ask(db_session, user.id)
    db_session.commit()
    assert exports.make_due(db_session) == 1
    files = content(db_session, user)
    assert "Beträge sind ganze Zahlen" in files["README.txt"]
    assert "15,00 €" in json.loads(files["payments.json"])[0]["amount_text"].replace("\xa0", " ")

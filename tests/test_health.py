"""Is it up, and is anything stuck: each light turns red for its own reason, and none says more than its name."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from billing import audit, installation, jobs, lights, timetable
from billing.clock import now
from billing.extensions import db
from billing.models import AuditEntry, Installation, StripeEvent, StripeWrite, User
from tests.admin_rows import add, mail, stripe_event
from tests.conftest import dispose, make_app, make_config
from tests.support import Databases
from tests.watching import Lines

HEALTHY = {"ok": True, "red": []}


def found(client: FlaskClient) -> tuple[int, list[str]]:
    """The status of deep health, and the lights that are red."""
    db.session.rollback()
    answer = client.get("/healthz/deep")
    body = answer.get_json()
    assert body["ok"] is (answer.status_code == 200) is (not body["red"])
    assert set(body) == {"ok", "red"}
    return answer.status_code, body["red"]


def alive(session: Session) -> None:
    """What clock, worker and reconciler leave behind, as of now."""
    row = session.get_one(Installation, 1)
    row.clock_seen_at = row.worker_seen_at = row.reconciled_at = now()
    session.commit()


def write(session: Session, state: str) -> StripeWrite:
    name = secrets.token_hex(4)
    made = StripeWrite(
        name=name, operation="x", params="{}", params_sha256="0", idempotency_key=name, state=state
    )
    found: StripeWrite = add(session, made)
    return found


def test_everything_that_runs_and_waits_in_its_time_is_no_reason_for_a_light(
    db_session: Session, client: FlaskClient, alice: User
) -> None:
    alive(db_session)
    young = now() - timedelta(seconds=30)
    stripe_event(db_session, state="pending", received_at=young)
    stripe_event(db_session, state="ignored", received_at=now() - timedelta(days=9))
    mail(db_session, alice, state="queued", sent_at=None, created_at=young)
    mail(db_session, alice, state="unknown", sent_at=None, created_at=now() - timedelta(days=2))
    for state in ("in_flight", "done", "declined", "failed"):
        write(db_session, state)
    audit.record(db_session, "user.created", actor="user", user_id=alice.id)
    add(
        db_session,
        AuditEntry(kind="event.parked", actor="dunlin", alert=True, at=now() - timedelta(hours=25)),
    )
    assert found(client) == (200, [])


def test_each_thing_that_is_stuck_turns_its_own_light_red_and_no_other(
    db_session: Session, client: FlaskClient, alice: User
) -> None:
    alive(db_session)
    late = now() - timedelta(hours=1)
    event = stripe_event(db_session, state="pending", received_at=late)
    assert found(client) == (503, ["events waiting"])
    event.state = StripeEvent.PARKED
    db_session.commit()
    assert found(client) == (503, ["events parked"])
    event.state = StripeEvent.APPLIED
    lost = write(db_session, "unknown")
    assert found(client) == (503, ["writes unknown"])
    lost.state = "done"
    notice = mail(db_session, alice, state="queued", sent_at=None, created_at=late)
    assert found(client) == (503, ["mail waiting"])
    notice.state = "unknown"
    db_session.commit()
    assert found(client) == (503, ["mail unknown"])
    notice.state = "sent"
    audit.record(db_session, "write.unknown", actor="dunlin", alert=True)
    db_session.commit()
    assert found(client) == (503, ["alerts"])
    event.state = StripeEvent.PARKED
    notice.state = "unknown"
    db_session.commit()
    assert found(client) == (503, ["events parked", "mail unknown", "alerts"])


def test_a_clock_that_is_a_minute_off_the_databases_is_a_light_of_its_own(
    db_session: Session, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(db_session)
    for seconds, expected in (
        (-61, (503, ["clock differs"])),
        (61, (503, ["clock differs"])),
        (50, (200, [])),
    ):
        # a mock: the clock of this machine is not ours to set
        monkeypatch.setattr(lights, "now", lambda seconds=seconds: now() + timedelta(seconds=seconds))
        assert found(client) == expected


def test_red_lights_are_one_line_of_the_log_and_green_ones_are_none(db_session: Session) -> None:
    alive(db_session)
    with Lines() as lines:
        lights.tell(db_session)
        assert lines.lines == []
        stripe_event(db_session, state="parked")
        audit.record(db_session, "event.parked", actor="dunlin")
        db_session.execute(update(Installation).values(reconciled_at=None))
        db_session.commit()
        lines.lines.clear()
        lights.tell(db_session)
    [line] = [json.loads(line) for line in lines.lines]
    assert (line["level"], line["what"]) == ("ERROR", "red lights")
    assert line["lights"] == ["events parked", "reconciler late"]


def test_a_part_that_gives_no_sign_of_life_is_named_until_it_gives_one(
    db_session: Session, client: FlaskClient, app: Flask
) -> None:
    parts = ["clock stopped", "worker stopped", "reconciler late"]
    assert found(client) == (503, parts)
    alive(db_session)
    assert found(client) == (200, [])
    for column, age, light in (
        ("clock_seen_at", timedelta(seconds=91), "clock stopped"),
        ("worker_seen_at", timedelta(minutes=6), "worker stopped"),
        ("reconciled_at", timedelta(hours=3), "reconciler late"),
    ):
        alive(db_session)
        db_session.execute(update(Installation).values({column: now() - age}))
        db_session.commit()
        assert found(client) == (503, [light])
    db_session.execute(update(Installation).values(clock_seen_at=None, worker_seen_at=None))
    db_session.commit()
    db.session.remove()
    dispose()  # a worker forgets the connections it was born with, without closing them
    jobs.answer_bell()
    assert found(client) == (503, ["clock stopped", "reconciler late"])
    assert timetable._lead(db.session(), None) is not None
    assert found(client) == (503, ["reconciler late"])
    db.session.delete(installation.current(db.session()))
    db.session.commit()
    assert found(client) == (503, ["not set up", *parts])


@pytest.fixture
def apart() -> Iterator[FlaskClient]:
    """The application with no database behind it: port 1 answers nobody."""
    application = make_app(make_config("postgresql://dunlin:a-secret-password@127.0.0.1:1/dunlin"))
    with application.app_context():
        yield application.test_client()


def test_without_a_database_both_answer_503_at_once_and_tell_nothing_of_where_it_is(
    apart: FlaskClient,
) -> None:
    shallow, deep = apart.get("/healthz"), apart.get("/healthz/deep")
    assert (shallow.status_code, deep.status_code) == (503, 503)
    assert shallow.get_json() == {"ok": False, "problem": "the database does not answer"}
    assert deep.get_json() == {"ok": False, "red": ["database"]}
    for said in (shallow.text, deep.text):
        assert "127.0.0.1" not in said
        assert "password" not in said


@pytest.mark.alone
def test_a_schema_that_is_older_than_the_code_is_not_healthy_and_one_that_is_newer_is(
    db_session: Session, client: FlaskClient, databases: Databases
) -> None:
    assert client.get("/healthz").get_json() == {"ok": True}
    db_session.execute(text("update alembic_version set version_num = '9999'"))
    db_session.commit()
    assert client.get("/healthz").status_code == 200
    db_session.execute(text("delete from alembic_version"))
    db_session.commit()
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.get_json()["problem"] == "the schema is not current; run flask db upgrade"
    db_session.execute(text("drop table alembic_version"))
    db_session.commit()
    assert client.get("/healthz").status_code == 503


def test_no_light_gives_away_who_or_what_it_is_about(
    db_session: Session, client: FlaskClient, alice: User
) -> None:
    secret = "canary-7d1f"
    late = now() - timedelta(hours=1)
    stripe_event(db_session, f"{secret}.type", event_id=f"evt_{secret}", state="parked", reason=secret)
    mail(
        db_session,
        alice,
        state="queued",
        sent_at=None,
        created_at=late,
        to=secret,
        secret=secret,
        facts={"a": secret},
    )
    audit.record(db_session, secret, actor=secret, subject=secret, alert=True)
    db_session.commit()
    answer = client.get("/healthz/deep")
    assert len(answer.get_json()["red"]) > 4
    assert secret not in answer.text
    assert alice.email not in answer.text
    assert set(answer.get_json()["red"]) < set(lights.conditions(db_session))

"""Canaries in all that people, Stripe and strangers send: none of them is ever found in the log."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask, request
from sqlalchemy.orm import Session

from billing import jobs, outbox
from billing.config import Config
from billing.extensions import db
from billing.models import StripeEvent
from local.mailsink import MailSink
from tests import doors
from tests.conftest import make_config
from tests.intake import another_app, paid
from tests.served import Served, served
from tests.support import csrf_of, deliver, make_event, make_user
from tests.told import a_subscription
from tests.watching import Lines
from tests.wire import Wire, ok

CANARY = "Canary"
EMAIL = "canary.Canary@Canary.example.com"
PASSWORD = "three Canary words"


def assert_clean(log: Lines, *wanted: str) -> None:
    """No canary, and the lines that should be there are: an empty log would be clean too."""
    for line in log.lines:
        assert CANARY.lower() not in line.lower(), line
    said = [json.loads(line)["what"] for line in log.lines]
    for what in wanted:
        assert any(what in one for one in said), said


def test_what_people_enter_at_the_doors(
    app: Flask, db_session: Session, config: Config, mails: MailSink
) -> None:
    with Lines() as log:
        browser = app.test_client()
        assert doors.sign_up(browser, EMAIL, PASSWORD).status_code == 303
        assert doors.enter(app.test_client(), EMAIL, "four wrong Canary words").status_code == 422
        mails.replies.append(f"550 5.1.1 <{EMAIL}>: Canary is unknown here")
        outbox.send_due(db_session, config)
        make_user(db_session, f"known.{EMAIL}")
        doors.submit(app.test_client(), "/reset", email=f"known.{EMAIL}")
        outbox.send_due(db_session, config)
        link = doors.link_in(mails, f"known.{EMAIL}")
        answer = doors.submit(app.test_client(), link, new_password=PASSWORD)
    assert answer.status_code == 303
    assert_clean(log, "sign-in refused", "mail")
    assert link.rpartition("/")[2] not in log.text


def test_what_people_enter_while_the_database_is_down() -> None:
    away = make_config(f"postgresql://dunlin:{CANARY}@127.0.0.1:1/dunlin")
    with another_app(away) as application, Lines() as log:
        client = application.test_client()
        token = csrf_of(client, "/login")
        form = {"csrf_token": token, "email": EMAIL, "password": PASSWORD}
        assert client.post("/login", data=form).status_code == 503
        assert client.get(f"/reset/{CANARY}").status_code == 503
        deliver(application, paid(name=CANARY))
    assert_clean(log, "database error", "event not stored")


def test_what_was_sent_when_our_own_code_fails(config: Config) -> None:
    with another_app(config) as application:

        @application.before_request
        def fail() -> None:  # no real page is known to fail, so one that does is added
            if request.method == "POST":
                raise RuntimeError(f"{EMAIL} entered {PASSWORD} at Canary Street")

        client = application.test_client()
        form = {"csrf_token": csrf_of(client, "/login"), "email": EMAIL, "password": PASSWORD}
        with Lines() as log:
            assert client.post(f"/reset/{CANARY}?secret={CANARY}", data=form).status_code == 500
    assert_clean(log, "Exception on /reset/[hidden] [POST]")


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


def test_what_stripe_says_when_it_can_not_be_kept(
    app: Flask, db_session: Session, config: Config, wire: Wire
) -> None:
    alice = make_user(db_session, EMAIL, customer="cus_alice")
    broken = a_subscription(alice, id="sub_1", collection_method=None, schedule="sub_sched_Canary")
    broken["items"]["data"][0]["price"]["id"] = "price_Canary"
    wire.answer = lambda sent: ok(**broken)
    with another_app(replace(config, stripe_api_base=wire.url)) as application, Lines() as log:
        thing = {"id": "sub_1", "object": "subscription", "customer": "cus_alice", "description": CANARY}
        event = make_event("customer.subscription.updated", thing, canary=CANARY)
        assert deliver(application, event).status_code == 200
        jobs.apply_due(db.session())
        row = db.session.get_one(StripeEvent, event["id"])
        assert (row.state, row.attempts, row.reason) == ("pending", 1, "IntegrityError")
    assert_clean(log, "event not applied")
    [line] = [json.loads(line) for line in log.lines if "event not applied" in line]
    assert line["events"] == [event["id"]]
    assert any("NotNullViolation" in row for row in line["trace"])


# What strangers send to the processes of production, on the wire.


@pytest.fixture
def web(app: Flask, config: Config, tmp_path: Path) -> Iterator[Served]:
    db.session.remove()
    with served(config, tmp_path, workers=1) as running:
        yield running


def spoken(web: Served, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as wire:
        wire.sendall(request)
        wire.shutdown(socket.SHUT_WR)
        return wire.recv(65536)


def test_what_strangers_send(web: Served) -> None:
    body = json.dumps(paid(name=CANARY, email=EMAIL)).encode()
    headers = {
        "Stripe-Signature": f"t=1,v1={CANARY}", "User-Agent": CANARY, "Referer": f"https://{CANARY}/?{CANARY}",
        "Cookie": f"dunlin={CANARY}", "Authorization": f"Bearer {CANARY}", "X-Forwarded-For": CANARY,
        "Content-Type": f"application/{CANARY}",
    }  # fmt: skip
    path = f"/webhooks/stripe?{CANARY}"
    assert web.ask("POST", path, body, headers).status == 400
    assert web.ask("POST", path, body, {**headers, "Content-Encoding": CANARY}).status == 400
    assert web.ask("POST", "/login", body, headers).status == 400
    assert web.ask("GET", f"/reset/{CANARY}", None, headers).status == 410
    assert web.ask("GET", f"/nothing/{CANARY}?{CANARY}", None, headers).status == 404
    assert web.deliver(body).status == 200
    assert b"413" in spoken(
        web, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n".encode()
    )
    log = web.log.read_text()
    assert CANARY not in log
    refused = [json.loads(line) for line in log.splitlines() if '"webhook refused"' in line]
    names = {"at", "level", "from", "what", "request", "reason", "length", "address"}
    assert [set(line) for line in refused] == [names] * 2
    assert [line["reason"] for line in refused] == ["signature", "content encoding"]
    assert {(line["length"], line["address"]) for line in refused} == {(len(body), "127.0.0.1")}

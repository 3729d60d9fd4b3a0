"""Deliveries that were refused are seen: a stranger's in memory alone, a misled event of Stripe's in a counter."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing import refusals
from billing.clock import now
from billing.extensions import db
from billing.models import RateHit, StripeEvent
from tests.conftest import make_config
from tests.intake import REFUSED, another_app, paid
from tests.story import count
from tests.support import deliver
from tests.watching import Lines, all_rows

WRONG = "whsec_of_nobody_0123456789"
STRANGERS, FOREIGN = "deliveries refused", "foreign events"


def red(client: FlaskClient) -> set[str]:
    """Which of our two lights are red."""
    db.session.rollback()
    return {STRANGERS, FOREIGN} & set(client.get("/healthz/deep").get_json()["red"])


def refuse(app: Flask, times: int, **more: Any) -> None:
    for _ in range(times):
        answer = deliver(app, paid(**more), secret=None if more else WRONG)
        assert (answer.status_code, answer.get_json()) == (400, REFUSED)


def errors(log: Lines) -> list[str]:
    lines = [json.loads(line) for line in log.lines]
    return [line["what"] for line in lines if line["level"] == "ERROR"]


def test_a_wrong_secret_turns_a_light_red_and_is_told_once_while_strangers_leave_no_row(
    app: Flask, client: FlaskClient, db_session: Session
) -> None:
    before = all_rows(db_session)
    with Lines() as log:
        refuse(app, refusals.MANY)
        assert (red(client), errors(log)) == (set(), [])
        refuse(app, 15)
    assert red(client) == {STRANGERS}
    assert errors(log) == ["many deliveries refused"]
    db_session.rollback()
    assert all_rows(db_session) == before


def test_the_light_goes_out_by_itself_when_the_refusals_are_a_minute_old(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock is put forward by hand: nothing else can let a minute pass at once."""
    refuse(app, 6)
    first = refusals.monotonic()
    monkeypatch.setattr(refusals, "monotonic", lambda: first + 50)
    refuse(app, 5)
    assert red(client) == {STRANGERS}, "eleven within a minute"
    monkeypatch.setattr(refusals, "monotonic", lambda: first + 61)
    assert red(client) == set()
    refuse(app, 5)
    assert red(client) == set(), "ten within a minute"
    refuse(app, 1)
    assert red(client) == {STRANGERS}


def test_what_is_rightly_signed_and_no_event_counts_as_no_stranger(app: Flask, client: FlaskClient) -> None:
    for _ in range(refusals.MANY + 1):
        assert deliver(app, {}, body=b"[]").status_code == 400
    assert red(client) == set()


@pytest.mark.parametrize("foreign", [{"livemode": True}, {"account": "acct_theirs"}], ids=["mode", "account"])
def test_an_event_signed_for_us_that_is_not_ours_turns_a_light_red_for_an_hour(
    app: Flask, client: FlaskClient, db_session: Session, foreign: dict[str, Any]
) -> None:
    before = all_rows(db_session)
    with Lines() as log:
        refuse(app, 1, **foreign)
    assert (red(client), errors(log)) == ({FOREIGN}, ["event not ours"])
    db_session.rollback()
    after = all_rows(db_session)
    assert {table for table, rows in after.items() if rows != before[table]} == {"rate_hits"}
    assert count(StripeEvent) == 0
    db_session.execute(update(RateHit).values(window=now() - timedelta(minutes=59)))
    db_session.commit()
    assert red(client) == {FOREIGN}
    db_session.execute(update(RateHit).values(window=now() - timedelta(minutes=62)))
    db_session.commit()
    assert red(client) == set()


def test_an_event_that_is_not_ours_is_refused_alike_where_it_can_not_be_counted() -> None:
    with another_app(make_config("postgresql://dunlin:none@127.0.0.1:1/dunlin")) as app, Lines() as log:
        refuse(app, 1, livemode=True)
    assert errors(log) == ["event not ours", "refusal not counted"]

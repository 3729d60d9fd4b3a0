"""Withdrawing from a contract within 14 days, signed in or by the number of an order, with a receipt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from billing import outbox, withdrawals
from billing.errors import ConfigError
from billing.extensions import db
from billing.models import AuditEntry, Notice, StripeWrite, Withdrawal
from local.mailsink import MailSink
from tests import admin_rows as rows
from tests.conftest import make_config
from tests.counter import DAY, Counter, at_stripe, look, open_counter, text_of, wait
from tests.registry import sweep
from tests.story import Shopper, config_of, count
from tests.support import Databases, Sandbox, csrf_of, make_user

SAME = "If that order can be withdrawn from, we’ve sent a link to its email address."
FIRST = datetime(2026, 11, 3, 14, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def counter(databases: Databases, mail_sink: MailSink, sandbox_process: Sandbox) -> Iterator[Counter]:
    with open_counter(databases, mail_sink, sandbox_process) as found:
        found.app.extensions["config"] = replace(config_of(found.app), eu_withdrawal=True)
        make_user(db.session(), "admin@example.com", is_admin=True)
        yield found


@pytest.fixture
def alice(counter: Counter) -> Iterator[Shopper]:
    person = counter.newcomer("pro")
    yield person
    person.sandbox.calm()


def confirm(person: Shopper, **other: str) -> Any:
    return person.post("/billing/withdraw", **{"name": "Alice Ahrens", "email": "a@example.net", **other})


def notice(kind: str, user_id: int) -> list[Notice]:
    db.session.rollback()
    return db.session.query(Notice).filter_by(kind=kind, user_id=user_id).all()


def test_who_withdraws_has_a_receipt_with_day_and_time_and_the_plan_ends_now(
    counter: Counter, alice: Shopper, mail_sink: MailSink
) -> None:
    assert "Withdraw from contract here" in alice.get("/billing").text
    page = text_of(alice.get("/billing/withdraw").text)
    number = alice.invoices[0].number
    assert f"Order {number}" in page
    assert "Confirm withdrawal here" in page
    assert confirm(alice).location == "/billing/withdraw"
    assert (alice.row.status, at_stripe(alice)["status"]) == ("canceled", "canceled")
    made = db.session.query(Withdrawal).filter_by(user_id=alice.id).one()
    assert (made.name, made.email, made.reference) == ("Alice Ahrens", "a@example.net", number)
    assert "You withdrew from the contract." in alice.get("/billing/withdraw").text
    mail_sink.messages.clear()
    outbox.send_due(db.session(), config_of(counter.app))
    [receipt] = [one for one in mail_sink.messages if "We received your withdrawal" in one.subject]
    assert receipt.recipients == ("a@example.net",)
    body = receipt.message.get_body(("plain",))
    words = body.get_content() if body is not None else ""
    assert f"{made.withdrawn_at.astimezone(UTC):%H:%M} UTC" in words
    assert "Alice Ahrens" in words


def test_an_admin_is_told_and_nothing_is_paid_back_by_itself(alice: Shopper) -> None:
    confirm(alice)
    stripe_id = alice.row.stripe_id
    told = db.session.query(Notice).filter(Notice.dedupe_key.like(f"ops:withdrawn:{stripe_id}:%")).one()
    assert told.facts["subject"] == stripe_id
    assert count(AuditEntry, kind="subscription.withdrawn", user_id=alice.id, alert=True) == 1
    assert count(StripeWrite, operation="refund.create", user_id=alice.id) == 0


def test_a_second_press_is_the_first(alice: Shopper) -> None:
    assert [confirm(alice).status_code for _ in range(2)] == [303, 200]
    assert count(Withdrawal, user_id=alice.id) == 1
    assert len(notice("withdrawn", alice.id)) == 1


def test_it_counts_although_stripe_does_not_answer_and_the_plan_ends_when_it_does(alice: Shopper) -> None:
    alice.sandbox.control("trouble", api="error_500", api_path="/v1/subscriptions/", api_method="DELETE")
    assert confirm(alice).status_code == 303
    assert count(Withdrawal, user_id=alice.id) == 1
    assert alice.row.status == "active"
    alice.sandbox.calm()
    sweep()
    look(alice)
    assert alice.row.status == "canceled"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": " "}, "Enter your name."),
        ({"name": "x" * 101}, "Use at most 100 characters."),
        ({"email": "nobody"}, "Enter an email address like name@example.com."),
    ],
)
def test_a_form_with_a_mistake_names_it_keeps_the_rest_and_ends_nothing(
    alice: Shopper, wrong: dict[str, str], words: str
) -> None:
    answer = confirm(alice, **wrong)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert ("Alice Ahrens" in answer.text) is ("name" not in wrong)
    assert (alice.row.status, count(Withdrawal, user_id=alice.id)) == ("active", 0)


def test_after_14_days_it_is_over_and_the_link_is_gone(alice: Shopper) -> None:
    wait(alice, 15 * DAY)
    assert "You can withdraw from this contract" not in alice.get("/billing").text
    assert "There is no contract that you can withdraw from now." in alice.get("/billing/withdraw").text
    assert confirm(alice).status_code == 200
    assert (alice.row.status, count(Withdrawal, user_id=alice.id)) == ("active", 0)


@pytest.mark.parametrize(
    ("clock_time", "is_open"),
    [
        (FIRST, True),
        (datetime(2026, 11, 17, 23, 59, 59, tzinfo=UTC), True),  # the last second of the 14th day after
        (datetime(2026, 11, 18, tzinfo=UTC), False),
    ],
)
def test_the_14_days_begin_after_the_day_of_the_first_payment_and_the_last_counts_whole(
    app: Flask, clock_time: datetime, is_open: bool
) -> None:
    session = db.session()
    row = rows.subscription(session, make_user(session, "early@example.com"), clock_time=clock_time)
    assert not withdrawals.is_open(session, row), "nothing was paid yet"
    rows.invoice(session, row, stripe_id="in_first", status="paid", amount_paid=2900, paid_at=FIRST)
    later = FIRST + timedelta(days=30)
    rows.invoice(session, row, stripe_id="in_second", status="paid", amount_paid=2900, paid_at=later)
    assert withdrawals.is_open(session, row) is is_open


def ask(counter: Counter, number: str, email: str) -> Any:
    stranger = counter.app.test_client()
    form = {"csrf_token": csrf_of(stranger, "/billing/withdraw"), "reference": number, "email": email}
    answer = stranger.post("/billing/withdraw", data=form)
    return answer, stranger.get(answer.location).text


def test_a_stranger_reads_the_same_whatever_they_enter(counter: Counter, alice: Shopper) -> None:
    number = alice.invoices[0].number or ""
    asked = [(number, alice.email), (number, "other@example.com"), ("NOPE-0001", alice.email)]
    answers = [ask(counter, *one) for one in asked]
    assert {answer.location for answer, _ in answers} == {"/billing/withdraw?sent=1"}
    assert [SAME in page for _, page in answers] == [True] * 3
    assert len({re.sub(r'value="[^"]*"|#[0-9a-f]+', "", page) for _, page in answers}) == 1
    assert len(notice("withdraw_link", alice.id)) == 1, "a mail, and only to whose order it is"
    assert count(Withdrawal, user_id=alice.id) == 0, "nothing changes until it is confirmed"


def test_a_stranger_confirms_by_the_link_of_the_mail(counter: Counter, alice: Shopper) -> None:
    ask(counter, alice.invoices[0].number or "", alice.email)
    [link] = notice("withdraw_link", alice.id)
    stranger, path = counter.app.test_client(), f"/billing/withdraw?link={link.secret}"
    page = stranger.get(path).text
    assert "Confirm withdrawal here" in page
    token = csrf_of(stranger, path)
    form = {"csrf_token": token, "link": link.secret, "name": "Alice", "email": alice.email}
    assert stranger.post("/billing/withdraw", data=form).location == path
    look(alice)
    assert alice.row.status == "canceled"
    assert "You withdrew from the contract." in stranger.get(path).text


def test_a_link_that_we_did_not_make_or_that_is_too_old_withdraws_nothing(
    counter: Counter, alice: Shopper
) -> None:
    ask(counter, alice.invoices[0].number or "", alice.email)
    [link] = notice("withdraw_link", alice.id)
    stranger, secret = counter.app.test_client(), link.secret or ""
    for wrong in ("", "x", secret[:-2], secret + "x"):
        assert stranger.get(f"/billing/withdraw?link={wrong}").status_code == 410
    wait(alice, 4 * DAY)
    assert stranger.get(f"/billing/withdraw?link={secret}").status_code == 410


def test_asking_again_and_again_is_slowed_down(counter: Counter) -> None:
    answers = [ask_once(counter) for _ in range(6)]
    assert answers == [303] * 5 + [429]


def ask_once(counter: Counter) -> int:
    stranger = counter.app.test_client()
    form = {
        "csrf_token": csrf_of(stranger, "/billing/withdraw"),
        "reference": "A-1",
        "email": "z@example.com",
    }
    return int(stranger.post("/billing/withdraw", data=form).status_code)


def test_where_it_is_off_there_is_no_such_page(client: Any) -> None:
    assert client.get("/billing/withdraw").status_code == 404
    assert "Withdraw" not in client.get("/plans").text


def test_a_switch_that_is_neither_on_nor_off_stops_the_program() -> None:
    with pytest.raises(ConfigError, match="EU_WITHDRAWAL must be yes or no"):
        make_config("postgresql://u@127.0.0.1/d", EU_WITHDRAWAL="on")

"""A mail that is owed leaves once: later where it was not taken, never again where nobody knows, not when untrue."""

from __future__ import annotations

import itertools
import smtplib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from billing import accounts, lights, mailer, notices, outbox
from billing.clock import now
from billing.config import Config
from billing.extensions import db
from billing.models import AuditEntry, Notice, User
from local.mailsink import HANG_UP as CUT
from local.mailsink import MailSink
from tests.admin_rows import NOW, audit_of
from tests.processes import command, running
from tests.smtp import END, HANG_UP, STALL, SmtpTrouble
from tests.story import fresh
from tests.support import wait_until

_numbers = itertools.count(1)


def owe(session: Session, user: User, kind: str = "admin_alert", **more: Any) -> int:
    """Owe a mail that stays true, by the code that owes mails. Returns its id."""
    key = f"{kind}:test:{next(_numbers)}"
    facts = {"what": "Something", "subject": "sub_1", "amount": "€5.00"}
    notices.owe(session, kind, key, user.email, facts, user_id=user.id, **more)
    session.commit()
    notice: int = session.execute(select(Notice.id).where(Notice.dedupe_key == key)).scalar_one()
    session.rollback()  # a test that waits for another process leaves no transaction open meanwhile
    return notice


def row(notice: int) -> Notice:
    found: Notice = fresh(Notice, notice)
    return found


def its_time(**more: Any) -> None:
    """Let the time of every waiting mail come."""
    db.session.execute(update(Notice).where(Notice.state == "queued").values(next_attempt_at=now(), **more))
    db.session.commit()


@pytest.fixture
def trouble() -> Iterator[SmtpTrouble]:
    with SmtpTrouble() as server:
        yield server


STEPS = [
    ("MAIL", "451 4.3.0 Busy", "queued"),
    ("MAIL", "550 5.1.8 Sender refused", "queued"),  # our own mistake, not the person's
    ("MAIL", HANG_UP, "queued"),
    ("RCPT", "450 4.2.0 Greylisted", "queued"),
    ("RCPT", "421 4.3.2 Closing", "queued"),
    ("RCPT", HANG_UP, "queued"),
    ("RCPT", "550 5.1.1 No such person", "suppressed"),
    ("DATA", "451 4.3.0 Busy", "queued"),
    ("DATA", "554 5.6.0 No", "suppressed"),
    (END, "452 4.2.2 Full", "queued"),
    (END, "421 4.3.2 Closing", "queued"),
    (END, "554 5.7.1 Spam", "suppressed"),
    (END, HANG_UP, "unknown"),
]


def test_what_the_server_says_decides_whether_a_mail_waits_ends_or_is_unknown(
    db_session: Session, config: Config, alice: User, trouble: SmtpTrouble
) -> None:
    meanwhile = replace(config, smtp_url=trouble.url)
    for step, reply, state in STEPS:
        notice = owe(db_session, alice)
        trouble.replies = {step: reply}
        assert outbox.send_due(db_session, meanwhile) == 1
        found = row(notice)
        db_session.execute(update(User).values(mail_refused_at=None))  # the next step is not about this
        db_session.commit()
        assert (found.state, found.attempts, found.sent_at) == (state, 1, None), (step, reply)
        assert found.reason
        assert (found.next_attempt_at > now()) is (state == "queued")
    trouble.replies, before = {}, len(trouble.taken)
    its_time()
    outbox.send_due(db_session, meanwhile)
    waited = [state for _, _, state in STEPS].count("queued")
    assert len(trouble.taken) == before + waited
    assert db_session.query(Notice).filter_by(state="queued").count() == 0
    alerts = [entry.kind for entry in db_session.query(AuditEntry).filter_by(alert=True)]
    assert alerts == ["mail.unknown"]
    assert len(audit_of(db_session, "mail.suppressed")) == 3


def test_a_server_that_is_away_is_tried_later_and_later_and_four_hours_at_most(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    away = replace(config, smtp_url="smtp://127.0.0.1:1")
    notice = owe(db_session, alice)
    minutes = []
    for _ in range(11):
        before = now()
        assert outbox.send_due(db_session, away) == 1
        assert outbox.send_due(db_session, away) == 0
        minutes.append(round((row(notice).next_attempt_at - before).total_seconds() / 60))
        its_time()
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240]
    assert row(notice).reason == "ConnectionRefusedError"
    outbox.send_due(db_session, config)
    assert (row(notice).state, row(notice).attempts, len(mails.messages)) == ("sent", 12, 1)


def test_after_72_hours_nobody_is_mailed_any_more_unless_the_server_takes_it_now(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    away = replace(config, smtp_url="smtp://127.0.0.1:1")
    notice = owe(db_session, alice)
    for hours, state in ((71, "queued"), (73, "suppressed")):
        its_time(created_at=now() - timedelta(hours=hours))
        outbox.send_due(db_session, away)
        assert row(notice).state == state
    owe(db_session, alice)
    its_time(created_at=now() - timedelta(hours=99))
    outbox.send_due(db_session, config)
    assert len(mails.messages) == 1


def test_a_mail_whose_answer_was_lost_is_never_sent_again_and_shows(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    mails.replies.append(CUT)
    notice = owe(db_session, alice)
    outbox.send_due(db_session, config)
    assert row(notice).state == "unknown"
    db_session.execute(update(Notice).values(next_attempt_at=NOW, lease_until=NOW))
    db_session.commit()
    assert outbox.send_due(db_session, config) == 0
    assert (mails.messages, len(mails.refused)) == ([], 1)
    [entry] = audit_of(db_session, "mail.unknown")
    assert (entry.alert, entry.subject, entry.user_id) == (True, row(notice).dedupe_key, alice.id)
    assert lights.conditions(db_session)["mail unknown"]


def test_a_sender_that_is_killed_while_sending_leaves_a_mail_that_nobody_sends_again(
    db_session: Session, config: Config, alice: User, mails: MailSink, trouble: SmtpTrouble
) -> None:
    trouble.replies = {END: STALL}
    notice = owe(db_session, alice)
    with running(command("clock"), config, SMTP_URL=trouble.url) as clock:
        wait_until(lambda: trouble.taken or clock.poll() is not None, "the mail to be handed over")
        clock.kill()
    assert row(notice).state == "sending"
    assert outbox.send_due(db_session, config) == 0
    assert row(notice).state == "sending"  # its sender may still live
    db_session.execute(update(Notice).values(lease_until=now()))
    db_session.commit()
    for _ in range(2):
        assert outbox.send_due(db_session, config) == 0
    assert row(notice).state == "unknown"
    assert (len(trouble.taken), mails.messages) == (1, [])
    [entry] = audit_of(db_session, "mail.unknown")
    assert entry.alert


def test_senders_at_once_send_each_mail_once(
    app: Flask, db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    owed = {row(owe(db_session, alice)).message_id for _ in range(12)}
    start, handled = threading.Barrier(4), []

    def work() -> None:
        with app.app_context():
            start.wait(30)
            handled.append(outbox.send_due(db.session(), config))
            db.session.remove()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(handled) == 12
    assert sorted(str(one.message["Message-ID"]) for one in mails.messages) == sorted(owed)


def test_the_oldest_leave_first_and_no_more_than_were_asked_for(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    first, second, third = (owe(db_session, alice) for _ in range(3))
    for age, notice in ((1, second), (2, third), (3, first)):
        row(notice).next_attempt_at = now() - timedelta(minutes=age)
        db_session.commit()
    assert outbox.send_due(db_session, config, limit=2) == 2
    assert [row(one).state for one in (first, third, second)] == ["sent", "sent", "queued"]


def test_a_message_is_the_same_one_however_often_it_is_tried(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    mails.replies.append("451 4.3.0 Later")
    notice = owe(db_session, alice, "refund")
    outbox.send_due(db_session, config)
    its_time()
    outbox.send_due(db_session, config)
    [again], [before] = mails.messages, mails.refused
    assert before.message["Message-ID"] == again.message["Message-ID"] == row(notice).message_id
    assert row(notice).message_id == f"<{row(notice).dedupe_key.replace(':', '.')}@dunlin.example.com>"
    message = again.message
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message.get_content_type() == "multipart/alternative"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == "Dunlin billing <billing@dunlin.example.com>"
    assert (message["Reply-To"], message["To"]) == ("billing@dunlin.example.com", alice.email)
    assert (again.sender, again.recipients) == ("billing@dunlin.example.com", (alice.email,))
    assert abs(message["Date"].datetime - now()) < timedelta(minutes=5)
    assert again.data.isascii()
    assert all(len(line) <= 998 for line in again.data.split(b"\r\n"))


def test_only_test_mode_marks_its_subjects(db_session: Session, config: Config, alice: User) -> None:
    notice = row(owe(db_session, alice, "refund"))
    live = replace(config, stripe_secret_key="sk_live_0123456789abcdefghij")
    assert str(mailer.compose(notice, alice.email, config)["Subject"]) == "[Test] We’ve refunded €5.00"
    assert str(mailer.compose(notice, alice.email, live)["Subject"]) == "We’ve refunded €5.00"


def test_what_is_not_true_any_more_does_not_leave_and_its_secret_is_forgotten(
    db_session: Session, config: Config, mails: MailSink
) -> None:
    used, late, good = (
        accounts.start_sign_up(db_session, f"{name}@example.com", "three warm words", None, config.secret_key)
        for name in ("used", "late", "good")
    )
    used.used_at, late.expires_at = now(), now()
    db_session.commit()
    outbox.send_due(db_session, config)
    found = {one.to: (one.state, one.secret) for one in db_session.query(Notice)}
    assert found == {
        "used@example.com": ("obsolete", None),
        "late@example.com": ("obsolete", None),
        "good@example.com": ("sent", None),
    }
    assert [one.recipients for one in mails.messages] == [("good@example.com",)]
    assert good.used_at is None


def test_a_code_or_link_is_kept_while_its_mail_waits_and_erased_whatever_becomes_of_it(
    db_session: Session, config: Config, alice: User, trouble: SmtpTrouble
) -> None:
    meanwhile = replace(config, smtp_url=trouble.url)
    for reply, state in (("451 4.3.0 Later", "queued"), ("554 5.7.1 No", "suppressed"), (HANG_UP, "unknown")):
        notice = owe(db_session, alice, "reset", secret="a-link-of-power")
        trouble.replies = {END: reply}
        outbox.send_due(db_session, meanwhile)
        kept = "a-link-of-power" if state == "queued" else None
        assert (row(notice).state, row(notice).secret) == (state, kept)
        assert b"a-link-of-power" in trouble.taken[-1]


def test_a_mail_about_the_account_goes_where_it_was_asked_for_and_the_rest_to_where_people_are_now(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    for kind in ("reset", "refund"):
        owe(db_session, alice, kind, secret="s")
    alice.email = "alice@new.example.com"
    db_session.commit()
    outbox.send_due(db_session, config)
    assert [one.recipients for one in mails.messages] == [("alice@example.com",), ("alice@new.example.com",)]


def test_a_mail_that_can_not_be_written_or_addressed_holds_up_no_other(
    db_session: Session, config: Config, alice: User, bob: User, mails: MailSink
) -> None:
    bob.email = "jürgen@example.com"
    db_session.commit()
    unwritable, unreachable = owe(db_session, alice, "a_kind_of_tomorrow"), owe(db_session, bob)
    good = owe(db_session, alice)
    assert outbox.send_due(db_session, config) == 3
    assert row(unwritable).reason == "not written: TemplateNotFound"
    assert [row(one).state for one in (unwritable, unreachable, good)] == ["queued", "suppressed", "sent"]
    assert len(mails.messages) == 1


def test_the_dot_that_ends_a_mail_waits_for_no_word_from_the_server(
    config: Config, mails: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a second small piece, which a socket keeps back until the first was acknowledged, unless told otherwise."""
    message, hurried, send = EmailMessage(), set(), smtplib.SMTP.send
    message["From"], message["To"] = "billing@example.com", "alice@example.com"

    def watched(smtp: smtplib.SMTP, said: Any) -> None:
        assert smtp.sock is not None
        hurried.add(smtp.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        send(smtp, said)

    monkeypatch.setattr(smtplib.SMTP, "send", watched)
    mailer.send(message, config)
    assert (len(mails.messages), hurried) == (1, {True})

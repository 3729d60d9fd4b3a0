"""An address that refuses mail for good is written to no more, its owner is told where they look, and has a way out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing import outbox
from billing.config import Config
from billing.models import Notice, User
from local.mailsink import MailSink
from tests.admin_rows import audit_of, press
from tests.doors import submit
from tests.smtp import END, SmtpTrouble
from tests.story import fresh
from tests.support import make_user, sign_in
from tests.test_outbox import its_time, owe, row

GONE = "550 5.1.1 No such person"
# Whose fault the server's reply says it is; the person's address is alice@example.com.
THE_MAILBOX = [
    ("RCPT", GONE),
    ("RCPT", "550 No such user here"),
    ("RCPT", "551 User not local"),
    ("RCPT", "553 Mailbox name not allowed"),
    ("RCPT", "556 5.1.10 Takes no mail"),
    ("RCPT", "550 5.2.1 Mailbox disabled"),
    ("DATA", "550 5.1.1 No such person"),
    (END, "554 5.1.1 Recipient unknown"),
    (END, "550 <Alice@Example.com>: no such user"),
]
NOT_THE_MAILBOX = [
    ("RCPT", "450 4.2.1 Greylisted"),
    ("RCPT", "552 5.2.2 Mailbox full"),
    ("RCPT", "552 Too much mail"),
    ("RCPT", "554 5.7.1 Policy"),
    ("RCPT", "550 5.7.1 Relaying denied"),
    ("RCPT", "550 5.1.8 Sender refused"),
    ("RCPT", "535 5.7.8 Authentication failed"),
    ("RCPT", "530 Sign in first"),
    ("MAIL", "550 5.1.1 Sender unknown"),
    ("DATA", "554 No valid recipients"),
    (END, "550 This looks like spam"),
    (END, "552 5.3.4 Message too big"),
    (END, "554 5.7.1 Spam, says alice@example.com"),
]


@pytest.fixture
def trouble() -> Iterator[SmtpTrouble]:
    with SmtpTrouble() as server:
        yield server


@pytest.fixture
def refused(db_session: Session, alice: User) -> User:
    """Alice, whose mailbox refused a mail."""
    db_session.execute(update(User).where(User.id == alice.id).values(mail_refused_at=alice.created_at))
    db_session.commit()
    return alice


def marked(user: User) -> bool:
    return fresh(User, user.id).mail_refused_at is not None


def test_only_a_lasting_no_that_means_the_mailbox_marks_the_address(
    db_session: Session, config: Config, alice: User, trouble: SmtpTrouble
) -> None:
    meanwhile = replace(config, smtp_url=trouble.url)
    for told, expected in ((THE_MAILBOX, True), (NOT_THE_MAILBOX, False)):
        for step, reply in told:
            notice = owe(db_session, alice)
            trouble.replies = {step: reply}
            outbox.send_due(db_session, meanwhile)
            assert marked(alice) is expected, (step, reply)
            assert (row(notice).state == "suppressed") or not expected
            db_session.execute(update(User).values(mail_refused_at=None))
            db_session.execute(update(Notice).where(Notice.state == "queued").values(state="obsolete"))
            db_session.commit()


def test_what_comes_after_a_bounce_is_suppressed_without_asking_the_server_and_nobody_else_suffers(
    db_session: Session, config: Config, alice: User, bob: User, mails: MailSink
) -> None:
    mails.replies.append(GONE)
    first = owe(db_session, alice, "refund")
    outbox.send_due(db_session, config)
    later, of_bob = owe(db_session, alice, "refund"), owe(db_session, bob, "refund")
    # An alert to an admin names no user, but goes to the same address.
    alert = owe(db_session, alice)
    db_session.execute(update(Notice).where(Notice.id == alert).values(user_id=None))
    db_session.commit()
    outbox.send_due(db_session, config)
    assert [row(one).state for one in (first, later, alert)] == ["suppressed"] * 3
    assert [row(one).attempts for one in (first, later, alert)] == [1, 0, 0]
    assert row(later).reason == "not tried: the address refuses mail"
    assert row(of_bob).state == "sent"
    assert [one.recipients for one in mails.messages] == [(bob.email,)]
    assert len(audit_of(db_session, "mail.suppressed")) == 3


def test_the_mark_and_the_end_of_the_mail_are_one_commit(
    db_session: Session, config: Config, alice: User, mails: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies in the last step before the commit; only dying is simulated, by an error nobody catches."""

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    mails.replies.append(GONE)
    notice = owe(db_session, alice)
    monkeypatch.setattr("billing.audit.record", die)
    with pytest.raises(Killed):
        outbox.send_due(db_session, config)
    assert (row(notice).state, marked(alice)) == ("sending", False)


def test_what_the_person_asks_for_is_tried_all_the_same_and_lifts_the_mark_where_it_is_taken(
    db_session: Session, config: Config, refused: User, mails: MailSink
) -> None:
    mails.replies.append(GONE)
    for taken in (False, True):
        asked, other = owe(db_session, refused, "reset", secret="s"), owe(db_session, refused, "refund")
        db_session.execute(
            update(Notice).where(Notice.id == other).values(next_attempt_at=refused.created_at)
        )
        db_session.commit()
        outbox.send_due(db_session, config)
        assert row(asked).state == ("sent" if taken else "suppressed")
        assert row(other).state == "suppressed"
        assert marked(refused) is not taken
    after = owe(db_session, refused, "refund")
    outbox.send_due(db_session, config)
    assert row(after).state == "sent"


def test_the_billing_page_says_so_and_one_button_makes_us_write_again(
    client: FlaskClient, db_session: Session, config: Config, refused: User, mails: MailSink
) -> None:
    sign_in(client, refused)
    page = client.get("/billing").text
    assert "Our mail doesn’t reach you" in page
    assert f"your mailbox refuses what we send to {refused.email}" in page
    assert marked(refused), "looking changes nothing"
    assert client.post("/account/mail").status_code == 400, "a form without its token"
    assert marked(refused)
    answer = submit(client, "/account/mail", page="/billing")
    assert (answer.status_code, answer.location) == (303, "/billing")
    assert not marked(refused)
    after = client.get("/billing").text
    assert "Our mail doesn’t reach you" not in after
    assert f"We’ll write to {refused.email} again" in after
    [entry] = audit_of(db_session, "mail.try_again")
    assert (entry.actor, entry.user_id) == ("user", refused.id)
    notice = owe(db_session, refused, "refund")
    outbox.send_due(db_session, config)
    assert (row(notice).state, len(mails.messages)) == ("sent", 1)


def test_trying_again_has_a_limit_and_needs_somebody_signed_in(
    client: FlaskClient, db_session: Session, refused: User
) -> None:
    assert submit(client, "/account/mail", page="/login").location.startswith("/login")
    assert marked(refused)
    sign_in(client, refused)
    statuses = [submit(client, "/account/mail", page="/plans").status_code for _ in range(6)]
    assert statuses == [303] * 5 + [429]
    assert len(audit_of(db_session, "mail.try_again")) == 1


def test_the_subscribers_page_says_so_and_an_admin_may_try_again_too(
    client: FlaskClient, db_session: Session, refused: User, bob: User
) -> None:
    admin = make_user(db_session, "ada@example.com", is_admin=True)
    sign_in(client, admin)
    assert "refuses mail since" not in client.get(f"/admin/subscribers/{bob.id}").text
    path = f"/admin/subscribers/{refused.id}"
    assert re.search(rf"{refused.email} refuses mail since .*?Try again", client.get(path).text, re.DOTALL)
    assert press(client, f"{path}/mail").location == path
    page = client.get(path).text
    assert "refuses mail since" not in page
    assert "Mail is tried again" in page
    [entry] = audit_of(db_session, "mail.try_again")
    assert (entry.actor, entry.user_id) == (f"admin:{admin.id}", refused.id)
    sign_in(client, bob)
    assert press(client, f"{path}/mail").status_code == 403


def test_a_bounce_belongs_to_the_address_that_bounced(
    db_session: Session, config: Config, alice: User, mails: MailSink
) -> None:
    """A link that was asked for at an old address, and refused there, says nothing of the new one."""
    notice = owe(db_session, alice, "reset", secret="s")
    alice.email = "alice@new.example.com"
    db_session.commit()
    mails.replies.append(GONE)
    outbox.send_due(db_session, config)
    assert (row(notice).state, marked(alice)) == ("suppressed", False)
    its_time()
    assert outbox.send_due(db_session, config) == 0

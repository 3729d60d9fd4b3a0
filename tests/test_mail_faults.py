"""Whatever a mail server does: no mail twice, none lost without a trace, and every mail that is owed has one state."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from billing import lights, mailer, notices, outbox
from billing.config import Config
from billing.models import Notice, User
from local.ports import free_port
from tests.admin_rows import audit_of
from tests.draining import drain
from tests.scene import AtDesk
from tests.smtp import END, GREETING, HANG_UP, STALL, SmtpTrouble
from tests.test_outbox import its_time, owe, row

OFFERS_TLS = "250-here\r\n250 STARTTLS"
# What the server does, step by step, and what that makes of one mail.
TROUBLE: list[tuple[dict[str, str], str]] = [
    ({GREETING: STALL}, "queued"),
    ({GREETING: HANG_UP}, "queued"),
    ({GREETING: "421 4.3.2 Closing"}, "queued"),
    ({GREETING: "554 5.3.2 No mail here"}, "queued"),
    ({"EHLO": HANG_UP}, "queued"),
    ({"EHLO": OFFERS_TLS, "STARTTLS": "454 4.7.0 Not now"}, "queued"),
    ({"EHLO": OFFERS_TLS, "STARTTLS": "220 and then no TLS"}, "queued"),
    ({"MAIL": "421 4.3.2 Closing"}, "queued"),
    ({"MAIL": STALL}, "queued"),
    ({"RCPT": "450 4.2.0 Greylisted"}, "queued"),
    ({"RCPT": STALL}, "queued"),
    ({"RCPT": "554 5.7.1 Policy"}, "suppressed"),
    ({"DATA": "421 4.3.2 Closing"}, "queued"),
    ({"DATA": HANG_UP}, "queued"),
    ({"DATA": STALL}, "queued"),
    ({"DATA": "554 5.5.1 No valid recipients"}, "suppressed"),
    ({END: "450 4.2.0 Later"}, "queued"),
    ({END: "550 5.7.1 Spam"}, "suppressed"),
    ({END: HANG_UP}, "unknown"),
    ({END: STALL}, "unknown"),
    ({}, "sent"),
]


@pytest.fixture
def trouble() -> Iterator[SmtpTrouble]:
    with SmtpTrouble() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers is waited for as any, only not for ten seconds."""
    monkeypatch.setattr(mailer, "CONNECT_SECONDS", 0.4)


def states(session: Session) -> Counter[str]:
    session.rollback()
    return Counter(one.state for one in session.query(Notice))


@pytest.mark.usefixtures("impatient")
def test_after_every_trouble_a_server_can_make_each_mail_was_kept_once_at_most_and_none_is_missing(
    app: Flask, db_session: Session, config: Config, alice: User, trouble: SmtpTrouble
) -> None:
    meanwhile, owed, scene = replace(config, smtp_url=trouble.url), {}, AtDesk(app, trouble.kept)
    for replies, state in TROUBLE:
        notice = owe(db_session, alice)
        trouble.replies = replies
        assert outbox.send_due(db_session, meanwhile) == 1
        assert row(notice).state == state, replies
        owed[notice] = state
    untrue = owe(db_session, alice, "cancel_set")
    away = replace(config, smtp_url=f"smtp://127.0.0.1:{free_port()}")
    its_time()
    db_session.execute(update(Notice).where(Notice.id == untrue).values(facts={"subscription": "sub_gone"}))
    db_session.commit()
    outbox.send_due(db_session, away)
    expected = Counter(owed.values()) + Counter(obsolete=1)
    assert states(db_session) == expected
    trouble.replies, app.extensions["config"] = {}, meanwhile
    drain(app)
    scene.ask()
    ended = states(db_session)
    assert ended["sent"] == expected["sent"] + expected["queued"]
    assert ended.total() == len(TROUBLE) + 1
    assert ended["unknown"] == len([each for each in TROUBLE if each[0].get(END) in (HANG_UP, STALL)])
    assert len(trouble.kept) == ended["sent"] + ended["unknown"]
    assert len(audit_of(db_session, "mail.unknown")) == ended["unknown"]
    assert len(audit_of(db_session, "mail.suppressed")) == ended["suppressed"]
    assert lights.conditions(db_session)["mail unknown"]


class Unsigned:
    """An SMTP server that speaks TLS from the first byte, with a certificate that nobody signed."""

    def __init__(self, trouble: SmtpTrouble, certificate: Path) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        trouble.wrap = lambda plain: context.wrap_socket(plain, server_side=True)
        self.url = trouble.url.replace("smtp:", "smtps:")


@pytest.fixture
def unsigned(trouble: SmtpTrouble, tmp_path: Path) -> Unsigned:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    key, found = tmp_path / "key", tmp_path / "cert"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=nobody"]
    subprocess.run([*words, "-keyout", str(key), "-out", str(found)], check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_text(key.read_text() + found.read_text())
    return Unsigned(trouble, both)


def test_a_server_whose_certificate_nobody_signed_gets_no_mail_and_no_password(
    db_session: Session, config: Config, alice: User, trouble: SmtpTrouble, unsigned: Unsigned
) -> None:
    notice = owe(db_session, alice)
    named = unsigned.url.replace("smtps://", "smtps://dunlin:secret@")
    outbox.send_due(db_session, replace(config, smtp_url=named))
    assert (row(notice).state, row(notice).reason) == ("queued", "SSLCertVerificationError")
    assert (trouble.taken, trouble.heard) == ([], [])


def test_a_line_that_begins_with_a_dot_arrives_as_it_was_written_and_ends_nothing(
    db_session: Session, config: Config, alice: User, trouble: SmtpTrouble
) -> None:
    key = "alert:dots"
    facts = {"what": "Something", "subject": "\n.\n.hidden\n..two\nend"}
    notices.owe(db_session, "admin_alert", key, alice.email, facts)
    db_session.commit()
    outbox.send_due(db_session, replace(config, smtp_url=trouble.url))
    [taken] = trouble.taken
    assert db_session.query(Notice).filter_by(dedupe_key=key).one().state == "sent"
    unstuffed = re.sub(rb"(?m)^\.", b"", taken)
    assert re.findall(rb"(?m)^(\..*)\r$", unstuffed)[:3] == [b".", b".hidden", b"..two"]

"""The mail inbox: what was sent over SMTP can be read on a page, and harms nobody."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from local.inbox import create_inbox, linked
from local.mailbox import Mailbox
from local.mailsink import HANG_UP, MailSink, SmtpServer
from local.ports import LOOPBACK, free_port

PORT = 8002


def letter(to: str = "alice@example.com", subject: str = "482913 is your Dunlin code") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Dunlin <billing@example.com>"
    message["To"] = to
    message["Subject"] = subject
    message.set_content("Your code is 482913.\n\nhttp://127.0.0.1:8000/signup/confirm?a=1&b=2.\n")
    message.add_alternative("<h1>482913</h1><script>steal()</script>", subtype="html")
    return message


def send(port: int, *messages: EmailMessage) -> None:
    with smtplib.SMTP(LOOPBACK, port, timeout=10) as smtp:
        for message in messages:
            smtp.send_message(message)


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mail")


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[int]:
    port = free_port()
    server = SmtpServer(mailbox.keep, port)
    yield port
    server.stop()


@pytest.fixture
def page(mailbox: Mailbox) -> FlaskClient:
    inbox = create_inbox(mailbox, PORT)
    inbox.config["SERVER_NAME"] = f"127.0.0.1:{PORT}"
    return inbox.test_client()


def test_an_empty_inbox_says_so(page: FlaskClient) -> None:
    said = page.get("/").text
    assert "No mail sent yet in this environment." in said
    assert "Development inbox. Nothing leaves this machine." in said


def test_the_newest_message_is_first(smtp: int, page: FlaskClient) -> None:
    send(smtp, letter(subject="The first"))
    send(smtp, letter(subject="The second — “quoted”"))
    said = page.get("/").text
    assert said.index("The second — “quoted”") < said.index("The first")


def test_messages_survive_a_restart(smtp: int, mailbox: Mailbox, tmp_path: Path) -> None:
    send(smtp, letter())
    assert [found.subject for found in Mailbox(tmp_path / "mail").letters()] == ["482913 is your Dunlin code"]


def test_programs_read_the_messages_of_one_person(smtp: int, page: FlaskClient) -> None:
    send(smtp, letter("alice@example.com"), letter("bob@example.com", "For Bob"))
    rows = page.get("/messages.json?to=BOB@example.com").json
    assert rows is not None
    assert [(row["to"], row["subject"]) for row in rows] == [("bob@example.com", "For Bob")]
    assert set(rows[0]) == {"id", "to", "subject", "date", "text"}
    assert rows[0]["text"].startswith("Your code is 482913.\n\nhttp://")
    everything = page.get("/messages.json").json
    assert everything is not None
    assert len(everything) == 2


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("html", "<iframe"),
        ("text", '<span class="code">482913</span>'),
        ("headers", "<dt>Subject</dt>"),
        ("raw", "Content-Type: text/plain"),
    ],
)
def test_each_view_shows_its_side_of_a_message(
    smtp: int, page: FlaskClient, mailbox: Mailbox, view: str, shown: str
) -> None:
    send(smtp, letter())
    answer = page.get(f"/messages/{mailbox.letters()[0].id}/{view}")
    assert answer.status_code == 200
    assert shown in answer.text
    assert "<script>" not in answer.text


def test_a_message_runs_no_script(smtp: int, page: FlaskClient, mailbox: Mailbox) -> None:
    send(smtp, letter())
    answer = page.get(f"/messages/{mailbox.letters()[0].id}/frame")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert "script-src" not in policy


def test_no_page_may_load_a_script(page: FlaskClient) -> None:
    policy = page.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_a_page_of_another_host_is_refused(page: FlaskClient) -> None:
    assert page.get("/", headers={"Host": "evil.example.com"}).status_code == 421
    assert page.get("/", headers={"Host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize(
    "name", ["../../env", "1795495760321-zzzzzz", "1795495760321-abcdef", "%2e%2e%2fenv"]
)
def test_only_messages_are_shown(page: FlaskClient, name: str) -> None:
    assert page.get(f"/messages/{name}/raw").status_code == 404


def test_addresses_can_be_clicked_and_markup_stays_text() -> None:
    said = linked("See http://127.0.0.1:8000/a?b=1&c=2. <b>482913</b>, not 4829130 or /p/482913/x")
    assert '<a href="http://127.0.0.1:8000/a?b=1&amp;c=2" rel="noreferrer">' in said
    assert "&lt;b&gt;" in said
    assert said.count('class="code"') == 1


def test_the_sink_answers_as_it_is_told() -> None:
    with MailSink() as sink:
        sink.replies += ["451 4.3.0 Try again later", "550 5.1.1 Nobody here"]
        for code in (451, 550):
            with pytest.raises(smtplib.SMTPDataError) as refusal:
                send(sink.port, letter())
            assert refusal.value.smtp_code == code
        send(sink.port, letter(subject="At last"))
        assert [message.subject for message in sink.wait_for(1)] == ["At last"]
        assert sink.to("alice@example.com")[0].text.startswith("Your code is 482913.")
        assert len(sink.refused) == 2


def test_the_sink_can_hang_up_after_the_message() -> None:
    with MailSink() as sink:
        sink.replies.append(HANG_UP)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            send(sink.port, letter())
        assert sink.messages == []
        send(sink.port, letter())
        assert len(sink.wait_for(1)) == 1


def test_a_sink_stops_while_somebody_is_connected() -> None:
    with MailSink() as sink:
        smtp = smtplib.SMTP(LOOPBACK, sink.port, timeout=10)
    smtp.close()

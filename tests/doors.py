"""What people do at the doors of the portal: forms with their token, codes and links from the mail."""

from __future__ import annotations

import re
import time

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing import outbox, throttle
from billing.config import Config
from local.mailsink import MailSink
from tests.support import PASSWORD, csrf_of, wait_until

COOKIE = "dunlin"


def submit(client: FlaskClient, path: str, *, page: str | None = None, **fields: str) -> TestResponse:
    """Open a page, fill in its form and send it; ``page`` where the form is on another page."""
    token = csrf_of(client, page or path)
    return client.post(path, data={"csrf_token": token, **fields})


def enter(client: FlaskClient, email: str, password: str = PASSWORD) -> TestResponse:
    """Fill in the sign-in page."""
    return submit(client, "/login", email=email, password=password)


def sign_up(client: FlaskClient, email: str, password: str = "four cold clear words") -> TestResponse:
    return submit(client, "/signup", email=email, password=password)


def subjects(session: Session, config: Config, mails: MailSink, to: str) -> list[str]:
    """Send what is owed; the subjects of all that this address got."""
    outbox.send_due(session, config)
    return [message.subject.removeprefix("[Test] ") for message in mails.to(to)]


def code_in(mails: MailSink, to: str) -> str:
    """The code of the newest mail to this address."""
    found = re.search(r"\b\d{6}\b", mails.to(to)[-1].subject)
    assert found, mails.to(to)[-1].subject
    return found[0]


def mailed_code(session: Session, config: Config, mails: MailSink, to: str) -> str:
    """Send what is owed; the code that this address got last."""
    subjects(session, config, mails, to)
    return code_in(mails, to)


def link_in(mails: MailSink, to: str) -> str:
    """The path of the reset link in the newest mail to this address."""
    found = re.search(r"/reset/[\w-]+", mails.to(to)[-1].text)
    assert found, mails.to(to)[-1].text
    return found[0]


def signed_in(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def cookie_of(client: FlaskClient) -> str:
    """The value of the session's cookie, "" without one."""
    cookie = client.get_cookie(COOKIE)
    return cookie.value if cookie else ""


def browser_with(app: Flask, cookie: str) -> FlaskClient:
    """Another browser that sends this cookie."""
    client = app.test_client()
    client.set_cookie(COOKIE, cookie)
    return client


def without_marks(page: str, email: str) -> str:
    """A page without what differs between any two answers: tokens, the request's name, the address."""
    page = re.sub(r'name="csrf_token" value="[^"]*"', "", page)
    page = re.sub(r"quote [0-9a-f]{12}", "", page)
    return page.replace(email, "@")


def wait_for_a_young_window() -> None:
    """Tries are counted in fixed windows: begin where a test can't run over the edge of one."""
    seconds = throttle.WINDOW.total_seconds()
    wait_until(lambda: seconds - time.time() % seconds > 10, "the next window of the limits")

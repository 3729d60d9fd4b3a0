"""What tests share: databases, the sandbox's control panel, signed deliveries, waiting for a condition."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import stripe
from flask import Flask, current_app
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from billing import accounts, passwords
from billing.clock import now
from billing.models import User
from local.postgres import EphemeralPostgres
from tests import plain_http

PASSWORD = "three warm words"
_numbers = itertools.count(1)
_hash = passwords.make_hash(PASSWORD)


class Databases:
    """Makes and drops databases on one server. Their names carry our process: several runs may share it."""

    def __init__(self, server: str, connection: psycopg.Connection) -> None:
        self.server, self._connection = server, connection
        self._there: set[str] = set()

    @classmethod
    @contextmanager
    def open(cls, url: str | None) -> Iterator[Databases]:
        """The server of ``url``, or an embedded one of our own. What was made is dropped at the end."""
        server: AbstractContextManager[Any] = nullcontext() if url else EphemeralPostgres()
        with server as running:
            address = url or running.url("postgres")
            with psycopg.connect(address, autocommit=True) as connection:
                databases = cls(address, connection)
                yield databases
                for name in sorted(databases._there):
                    databases.drop(name)

    def create(self, name: str, template: str | None = None) -> str:
        """A database of ours, empty or copied from another one of ours. Returns its address."""
        if name in self._there:
            self.drop(name)
        source = _own(template) if template else "template1"
        # file_copy: cheaper than writing the whole copy to the log, and nobody recovers a test's data
        create = sql.SQL("create database {} template {} strategy file_copy")
        self._connection.execute(create.format(sql.Identifier(_own(name)), sql.Identifier(source)))
        self._there.add(name)
        return make_url(self.server).set(database=_own(name)).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        drop = sql.SQL("drop database if exists {} with (force)")
        self._connection.execute(drop.format(sql.Identifier(_own(name))))
        self._there.discard(name)

    @contextmanager
    def copy_of(self, template: str) -> Iterator[str]:
        name = f"dunlin_test_{next(_numbers)}"
        yield self.create(name, template)
        self.drop(name)


def _own(name: str) -> str:
    return f"{name}_{os.getpid()}"


@cache
def _client(url: str) -> stripe.StripeClient:
    return plain_http.client("sk_test_0123456789abcdefghij", url)


@dataclass(frozen=True)
class Sandbox:
    """The sandbox from outside: Stripe's API through the SDK, its control panel, and the folder of its memory."""

    url: str
    folder: Path | None = None

    @property
    def stripe(self) -> Any:
        return _client(self.url).v1

    def answers(self) -> bool:
        try:
            return self._ask("GET", "/healthz") == {"ok": True}
        except OSError:
            return False

    def account(self) -> str:
        return str(self.stripe.accounts.retrieve_current()["id"])

    def register_endpoint(self, url: str, types: Sequence[str] = ("*",)) -> tuple[str, str]:
        """A webhook endpoint at this address: its id, and the signing secret that is told once."""
        endpoint = self.stripe.webhook_endpoints.create(
            {"url": url, "enabled_events": list(types), "api_version": "2026-10-28.endive"}
        )
        return endpoint["id"], endpoint["secret"]

    def remove_endpoint(self, endpoint: str) -> None:
        self.stripe.webhook_endpoints.delete(endpoint)

    def control(self, path: str, **body: Any) -> Any:
        """POST to the control panel's JSON interface."""
        return self._ask("POST", f"/sandbox/{path}", body)

    def look(self, path: str) -> Any:
        return self._ask("GET", f"/sandbox/{path}")

    def calm(self) -> None:
        """No trouble any more."""
        self.control("trouble", delivery="normal", api="normal", api_path="/v1/")

    def flush(self) -> None:
        """Deliver everything that waits; returns when it is done."""
        self.control("deliveries/flush")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        answer = plain_http.ask(method, self.url + path, data, {"Content-Type": "application/json"})
        assert answer.status < 400, f"{method} {path}: {answer.status} {answer.body.decode()}"
        return json.loads(answer.body)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Ask until the condition holds, and return what it gave; fail with ``what`` after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
    return found


def make_user(session: Session, email: str, *, is_admin: bool = False, customer: str | None = None) -> User:
    user = User(
        email=email,
        password_hash=_hash,
        email_confirmed_at=now(),
        is_admin=is_admin,
        stripe_customer_id=customer,
    )
    session.add(user)
    session.commit()
    return user


def sign_in(client: FlaskClient, user: User) -> None:
    """Give the client the cookie of a fresh browser row."""
    from billing.extensions import db

    token = accounts.open_session(db.session(), user, "Test browser")
    db.session.commit()
    with client.session_transaction() as cookie:
        cookie["_user_id"] = token
        cookie["_fresh"] = True


def csrf_of(client: FlaskClient, path: str = "/plans") -> str:
    """The CSRF token of a page that the client opened."""
    page = client.get(path).text
    _, _, rest = page.partition('name="csrf_token" value="')
    assert rest, f"{path} has no form"
    return rest.partition('"')[0]


def form_token(client: FlaskClient) -> str:
    """What ``csrf_of`` finds on a page, made as the page makes it: for who does not look at one first."""
    with client.session_transaction() as cookie:
        known = cookie.setdefault("csrf_token", secrets.token_hex(20))
    made = URLSafeTimedSerializer(client.application.secret_key or "", salt="wtf-csrf-token").dumps(known)
    return str(made)


def signed(body: bytes, secret: str, timestamp: int | None = None) -> str:
    """A real ``Stripe-Signature`` header."""
    return stripe.WebhookSignature.generate_signature_header(
        body.decode("utf-8", "surrogateescape"), secret, timestamp
    )


def deliver(
    app: Flask, event: dict[str, Any], *, secret: str | None = None, body: bytes | None = None
) -> TestResponse:
    """Deliver an event as Stripe does: raw bytes, signed, with no session."""
    raw = body if body is not None else json.dumps(event).encode()
    config = current_app.extensions["config"]
    header = signed(raw, secret or config.stripe_webhook_secrets[0].value)
    return app.test_client().post(
        "/webhooks/stripe", data=raw, headers={"Stripe-Signature": header, "Content-Type": "application/json"}
    )


def make_event(kind: str, thing: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An event as Stripe sends it, about ``thing``."""
    return {
        "id": f"evt_test_{next(_numbers):08d}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        "data": {"object": thing},
        **more,
    }

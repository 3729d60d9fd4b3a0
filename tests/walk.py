"""A walk through the whole house: every rule of the application, every method, as a stranger, a person and an admin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import Headers
from werkzeug.routing import Rule

from billing import accounts, addresses, exports, installation, pay_links
from billing.clock import database_now
from billing.config import Config
from billing.extensions import db
from billing.models import CheckoutSession, DataExport, Notice, SyncRun, User
from tests import admin_rows as rows
from tests.conftest import dispose, make_app
from tests.support import make_user, sign_in
from tests.watching import all_rows

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE")
SAFE = ("GET", "HEAD", "OPTIONS")
ODD = ("TRACE", "PUT", "PATCH", "DELETE")
STRANGER, ALICE, ADMIN = "a stranger", "alice", "an admin"
EVERYBODY = (STRANGER, ALICE, ADMIN)
# What the address needs beside its path, for the page that has something to show.
QUERIES = {
    "arrival.returned": "?session_id=cs_alice",
    "arrival.state": "?session_id=cs_alice",
    "purchases.returned": "?payment_intent=pi_once_alice",
}
PRODUCTS = ("shop.check", "shop.buy", "shop.pay")


@dataclass(frozen=True)
class World:
    """An application whose every rule leads to something, and its people."""

    app: Flask
    values: dict[str, str]
    sign_up: int

    def rules(self) -> list[Rule]:
        return sorted(self.app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))

    def address(self, rule: Rule) -> str:
        """The rule's path with values that exist, all of them alice's."""
        values = {**self.values, "name": "credits-100" if rule.endpoint in PRODUCTS else "pro"}
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], rule.rule)
        return path + QUERIES.get(rule.endpoint, "")

    def browser(self, who: str) -> FlaskClient:
        """A new browser of theirs; the stranger's is in the middle of signing up."""
        client = self.app.test_client()
        if who == STRANGER:
            with client.session_transaction() as session:
                session["signup"] = self.sign_up
        else:
            email = {ALICE: "alice@example.com", ADMIN: "admin@example.com"}[who]
            user = accounts.by_email(db.session(), email)
            assert user is not None
            sign_in(client, user)
        return client


@contextmanager
def world(config: Config) -> Iterator[World]:
    """The application of these settings, with an installation, alice's whole story and an admin in it."""
    app = make_app(config)
    with app.app_context():
        session = db.session()
        installation.record(session, config, "acct_tests")
        session.commit()
        make_user(session, "admin@example.com", is_admin=True)
        values, sign_up = populate(session, config)
        yield World(app, values, sign_up)
        db.session.remove()
        dispose()


def populate(session: Session, config: Config) -> tuple[dict[str, str], int]:
    alice = make_user(session, "alice@example.com", customer="cus_alice")
    row = rows.subscription(session, alice)
    bill = rows.owed(session, row)
    bought = rows.payment(session, alice, payment_intent="pi_once_alice")
    disputed = rows.dispute(session, alice)
    rows.mail(session, alice)
    order = CheckoutSession(
        stripe_id="cs_alice", user_id=alice.id, mode="subscription", item="pro", price_id="p", status="complete",
        subscription=row.stripe_id,
    )  # fmt: skip
    rows.add(session, order)
    token = accounts.start_sign_up(
        session, "newcomer@example.com", "four cold clear words", None, config.secret_key
    )
    run = rows.add(session, SyncRun(actor="clock", started_at=rows.NOW, ended_at=rows.NOW))
    values = {
        "run_id": str(run.id),
        "stripe_id": bill.stripe_id,
        "reference": bought.payment_intent,
        "flow": "home",
        "payment_intent": bought.payment_intent,
        "dispute_id": disputed.stripe_id,
        "user_id": str(alice.id),
        "subscription_id": row.stripe_id,
        "event_id": row.cause_event_id,
        "secret": reset_secret(session, alice),
        "token": pay_links.path(bill.stripe_id, database_now(session)).rpartition("/")[2],
        "way_back": way_back(session, alice, alice.email),  # whoever follows it leaves her as she was
        "session_id": "0",
        "export_id": str(a_copy(session, alice).id),
        "kind": "welcome",
        "specimen": "1.en",
        "filename": "app.js",
    }
    return values, token.id


def reset_secret(session: Session, user: User) -> str:
    """The secret of a link to set a new password, as the mail would carry it."""
    accounts.start_reset(session, user.email)
    session.commit()
    found = select(Notice.secret).where(Notice.kind == "reset").order_by(Notice.id.desc()).limit(1)
    return session.execute(found).scalar_one() or ""


def way_back(session: Session, user: User, to: str) -> str:
    """The secret of a link that takes a change of the address back, as the mail to the old one would carry it."""
    _, secret = accounts.make_link(session, user, "undo", to, addresses.UNDO_LIFE)
    session.commit()
    return secret


def a_copy(session: Session, user: User, **more: Any) -> DataExport:
    """A copy of their data, ready; its content stands for a zip."""
    at = {"ready_at": rows.NOW, "expires_at": rows.NOW + exports.LIFE}
    found: DataExport = rows.add(
        session, DataExport(user_id=user.id, **{"state": "ready", "content": b"PK", **at, **more})
    )
    return found


@dataclass(frozen=True)
class Answer:
    """What one request came to. ``changed``: the tables that the requests to this rule left different."""

    who: str
    method: str
    path: str
    rule: Rule
    status: int
    headers: Headers
    text: str
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.who}: {self.method} {self.path} → {self.status}"

    @property
    def declared(self) -> bool:
        return self.method in (self.rule.methods or ())

    @property
    def page(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("text/html")


def walk(world: World) -> list[Answer]:
    """Every rule × every method × everybody, with no form's token: nothing of it may change anything. Of the methods
    that no rule has, strangers try each; for those who are signed in they take turns."""
    found = []
    for who in EVERYBODY:
        client = world.browser(who)
        before = all_rows(db.session())
        for number, rule in enumerate(world.rules()):
            path = world.address(rule)
            methods = METHODS if who == STRANGER else (*SAFE, "POST", ODD[number % len(ODD)])
            replies = {method: client.open(path, method=method, buffered=True) for method in methods}
            after = all_rows(db.session())
            changed = tuple(table for table in after if after[table] != before[table])
            found += [
                Answer(who, method, path, rule, reply.status_code, reply.headers, reply.text, changed)
                for method, reply in replies.items()
            ]
            before = after
    return found


class Html(HTMLParser):
    """Collects what a page may not have: anything inline, anything of others, a card field, a form without token."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.open_form = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name, value in given.items():
            if name == "style" or name.startswith("on") or value.strip().lower().startswith("javascript:"):
                self.problems.append(f"<{tag} {name}={value!r}>")
        if tag == "iframe" and given["src"].startswith("/dev/mails/"):  # a mail, where mails are looked at
            if "sandbox" not in given or {"allow-scripts", "allow-same-origin"} & set(
                given["sandbox"].split()
            ):
                self.problems.append("<iframe> without a sandbox")
            return
        address = given.get("src") or (given.get("href", "") if tag == "link" else "")
        if tag in ("style", "iframe", "object", "embed", "base") or (
            tag == "script" and not given.get("src")
        ):
            self.problems.append(f"<{tag}>")
        if address and not address.startswith("/static/"):
            self.problems.append(f"<{tag}> loads {address}")
        if tag == "meta" and "http-equiv" in given:
            self.problems.append("<meta http-equiv>")
        if tag == "form":
            self.open_form = given.get("action", "its own address") if given.get("method") == "post" else ""
        if tag == "input" and given.get("name") == "csrf_token":
            self.open_form = ""
        if tag == "input" and given.get("autocomplete", "").startswith("cc-"):
            self.problems.append("a card field")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.open_form:
            self.problems.append(f"a form without token to {self.open_form}")


# What differs between any two pages: the form's token, and the request's name.
MARKS = re.compile(r'(?<=name="csrf_token" value=")[^"]*|(?<=quote )[0-9a-f]{12}')


def problems_of(page: str) -> list[str]:
    """What ``Html`` finds in a page. Of those that are alike but for their marks one is read."""
    return _problems(MARKS.sub("", page))


@cache
def _problems(page: str) -> list[str]:
    return Html(page).problems

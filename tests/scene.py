"""A desk with its sandbox and its mail server, as the oracles look at it."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import psycopg
from flask import Flask

from billing.extensions import db
from local.mailsink import MailSink
from tests import oracles
from tests.mirrors import Scene
from tests.support import Sandbox

KINDS = (
    "customer",
    "subscription",
    "invoice",
    "invoice_payment",
    "payment_intent",
    "checkout.session",
    "charge",
    "refund",
    "dispute",
    "radar.early_fraud_warning",
)
# Everybody whom this installation made a customer, those too that no row of ours knows, and what is theirs.
OURS = (
    "select type, body from objects where customer in (select value from json_each(?) union select id from objects"
    " where type = 'customer' and json_extract(body, '$.metadata.installation') = ?) order by seq"
)
ID = re.compile(rb"(?im)^Message-ID:\s*(\S+)")


class AtDesk:
    """Everything since it was made, or since ``begin``. ``wrong``: what must not be, as the oracles said last.

    The sandbox's memory is read from its file, beside it, and of what other tests keep there only what is ours. Where
    there is none, Stripe has nothing. ``mails``: an SMTP server, or each message that one took.
    """

    def __init__(self, app: Flask, mails: MailSink | list[bytes] | None = None) -> None:
        self.app, self._mails = app, mails
        self.acked: set[str] = set()
        self.owed: set[str] = set()
        self.wrong: list[str] = []
        self.mails = Counter[str]()
        self._held: dict[str, list[dict[str, Any]]] | None = None
        self.rows(oracles.WATCH)
        db.session.commit()
        [(self.installation,)] = self.rows("select public_id from installation")
        self.begin()

    def begin(self) -> None:
        """What was so far, nobody asks about any more. Of mails that are older no row may be left."""
        [(self.since,)] = self.rows("select coalesce(max(id), 0) from audit")
        self.owed |= {key for (key,) in self.rows("select dedupe_key from notices")}
        newest = self._memory("select coalesce(max(seq), 0) from requests")
        self._first_request = newest[0][0] if newest else 0
        self._first_mail = len(self._taken())
        db.session.rollback()

    def ask(self, those: Sequence[Callable[[Scene], None]] = oracles.CHEAP) -> None:
        """Raises AssertionError with all that these oracles found."""
        db.session.rollback()
        self.wrong, self._held = [], None
        taken = self._taken()[self._first_mail :]
        self.mails = Counter(found[1].decode() for one in taken if (found := ID.search(one)))
        for oracle in those:
            oracle(self)
        db.session.rollback()
        assert not self.wrong, "\n".join(self.wrong)

    def _taken(self) -> list[bytes]:
        """Each message that an SMTP server took, as it came."""
        if isinstance(self._mails, MailSink):
            return [one.data for one in self._mails.messages]
        return self._mails or []

    def rows(self, sql: str, *args: Any) -> list[Any]:
        connection: psycopg.Connection[Any] = db.session.connection().connection.dbapi_connection  # type: ignore[assignment]
        cursor = connection.execute(sql, args or None)
        return cursor.fetchall() if cursor.description else []

    def at_stripe(self, kind: str, **where: Any) -> list[dict[str, Any]]:
        if self._held is None:
            self._held = {name: [] for name in KINDS}
            known = [one for (one,) in self.rows("select stripe_customer_id from users") if one]
            for name, body in self._memory(OURS, json.dumps(known), self.installation):
                if name in self._held:
                    self._held[name].append(json.loads(body))
        return [one for one in self._held[kind] if all(one[name] == value for name, value in where.items())]

    def requests(self) -> list[dict[str, Any]]:
        mine = f"dunlin:{self.installation}:"
        told = "select body from requests where seq > ? and instr(body, ?) order by seq"
        found = [json.loads(body) for (body,) in self._memory(told, self._first_request, mine)]
        return [one for one in found if (one["idempotency_key"] or "").startswith(mine)]

    def delivered(self, endpoint: str) -> set[str]:
        """The events that this endpoint has answered 2xx, as Stripe remembers it."""
        told = "select event from deliveries where endpoint = ? and state = 'delivered'"
        return {event for (event,) in self._memory(told, endpoint)}

    def time_of(self, customer: str) -> float:
        return self._test_clock(customer) or time.time()

    def at_most(self, customer: str, heard: float) -> float:
        return self._test_clock(customer) or heard

    def _test_clock(self, customer: str) -> float | None:
        clock = "select json_extract(body, '$.test_clock') from objects where id = ?"
        found = self._memory(
            f"select json_extract(body, '$.frozen_time') from objects where id = ({clock})", customer
        )
        return float(found[0][0]) if found else None

    def fails(self, what: str) -> None:
        self.wrong.append(what)

    def _memory(self, sql: str, *args: Any) -> list[Any]:
        sandbox: Sandbox | None = self.app.extensions.get("sandbox")
        if sandbox is None or sandbox.folder is None:
            return []
        with closing(sqlite3.connect(f"file:{sandbox.folder / 'sandbox.db'}?mode=ro", uri=True)) as memory:
            return memory.execute(sql, args).fetchall()

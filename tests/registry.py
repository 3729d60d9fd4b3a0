"""The write registry in tests: its rows, time that passes, the completer, and what came of a write at Stripe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select, text

from billing import people, stripe_client, writes
from billing.extensions import db
from billing.installation import public_id
from billing.models import AuditEntry, StripeWrite
from billing.write_request import WriteRequest
from tests.story import Shopper, config_of
from tests.support import Sandbox
from tests.wire import Wire

LEASE_OVER = timedelta(minutes=2)
AT_ONCE = timedelta(0)


@contextmanager
def over_a_wire(app: Flask, sandbox: Sandbox) -> Iterator[Wire]:
    """What the application sends to its Stripe, the sandbox, goes over this wire."""
    app.extensions["sandbox"], before = sandbox, app.extensions["stripe"]
    with Wire(sandbox.url) as wire:
        ask_at(app, wire)
        try:
            yield wire
        finally:
            sandbox.calm()
            app.extensions["stripe"] = before


def ask_at(app: Flask, wire: Wire, **changes: Any) -> None:
    """A Stripe client at this wire, with these settings changed."""
    stripe_client.init_app(app, replace(config_of(app), stripe_api_base=wire.url, **changes))


def customer_of(person: Shopper) -> WriteRequest:
    """The write that makes the person a customer: the first one of everybody who buys."""
    user = person.user
    request = people.create_customer(user, public_id(db.session()))
    db.session.rollback()
    return request


def perform(request: WriteRequest) -> Any:
    return writes.perform(db.session(), request)


def row_of(request: WriteRequest) -> StripeWrite:
    db.session.rollback()
    return db.session.execute(select(StripeWrite).where(StripeWrite.name == request.name)).scalar_one()


def time_passes(by: timedelta) -> None:
    """Every write is that much older, and so is the lease of whoever was sending it."""
    columns = ("created_at", "first_sent_at", "last_sent_at", "lease_until")
    moved = ", ".join(f"{name} = {name} - :by" for name in columns)
    db.session.execute(text(f"update stripe_writes set {moved}"), {"by": by})
    db.session.commit()


def sweep(after: timedelta = LEASE_OVER) -> int:
    """The completer, when so much time has passed: how many writes it tried."""
    time_passes(after)
    return writes.finish_open(db.session())


def customers(person: Shopper) -> list[str]:
    """The customers at Stripe that this installation made for the person."""
    mine = {"user_id": str(person.id), "installation": public_id(db.session())}
    db.session.rollback()
    found = person.sandbox.stripe.customers.list({"email": person.email, "limit": 100})
    return [one["id"] for one in found["data"] if one["metadata"].to_dict() == mine]


def open_for_the_completer(request: WriteRequest) -> bool:
    row = row_of(request)
    return row.state == "in_flight" and row.lease_until is None and row.error is not None


def assert_made_once(wire: Wire, person: Shopper, request: WriteRequest) -> None:
    """One object, its id kept, every try the same bytes under the same key, and nothing left to do."""
    assert row_of(request).state == "done"
    assert sweep() == 0
    assert customers(person) == [person.customer]
    assert len({(sent.key, sent.body) for sent in wire.writes}) == 1


def audited(kind: str) -> list[bool]:
    """Whether each entry of this kind is an alert."""
    db.session.rollback()
    return list(db.session.execute(select(AuditEntry.alert).where(AuditEntry.kind == kind)).scalars())

"""The inbox: one row for each event, however often and from wherever it comes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Text,
    bindparam,
    case,
    cast,
    column,
    exists,
    func,
    select,
    values,
)
from sqlalchemy.dialects.postgresql import insert, psycopg
from sqlalchemy.orm import Session

from billing.clock import from_stripe, now
from billing.errors import BadEvent, ForeignEvent
from billing.extensions import table_of
from billing.models import StripeEvent, User
from billing.payloads import Object, about, ref

# Our own events, by what they ask to look at. None of them is taken from outside (``is_ours``).
OWN = "dunlin."
REFRESH = "dunlin.refresh"
REFRESHES = {
    "subscription": REFRESH,
    "invoice": "dunlin.refresh.invoice",
    "payment_intent": "dunlin.refresh.payment_intent",
    "dispute": "dunlin.refresh.dispute",
    "refund": "dunlin.refresh.refund",
    "radar.early_fraud_warning": "dunlin.refresh.early_fraud_warning",
    "checkout.session": "dunlin.refresh.checkout_session",
}


def is_ours(event_type: str) -> bool:
    """Whether only we may put an event of this type into the inbox."""
    return event_type.startswith(OWN)


def parse(body: bytes) -> Object:
    """The event in a verified body. Raises BadEvent for anything that is not a snapshot event."""
    try:
        event = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise BadEvent("not JSON") from problem
    if not isinstance(event, dict) or event.get("object") != "event":
        raise BadEvent("not a snapshot event")
    known = all(isinstance(event.get(name), str) and ref(event[name]) for name in ("id", "type"))
    if not known or not _is_time(event.get("created")):
        raise BadEvent("an event without id, type or time")
    return event


def check_ours(event: Object, *, livemode: bool, account: str | None) -> None:
    """Raise ForeignEvent for an event of the other mode or of a connected account we don't expect."""
    if event.get("livemode") is not livemode:
        raise ForeignEvent("livemode")
    if event.get("account") is not None and event["account"] != account:
        raise ForeignEvent("account")


@dataclass(frozen=True)
class Arrived:
    """An event as it came: ``raw`` is its body, to be kept as signed; ``handled`` whether its type is acted on."""

    event: Object
    raw: str
    handled: bool


def store(target: Connection | Session, event: Object, raw: str, *, source: str, handled: bool) -> bool:
    """Insert the event unless it is there. True when it is new. The caller's transaction decides.

    A second delivery waits for the first one's commit and then finds the row, so either may be answered 2xx.
    """
    return store_all(target, [Arrived(event, raw, handled)], source=source)[0]


def store_all(target: Connection | Session, arrived: Sequence[Arrived], *, source: str) -> list[bool]:
    """Insert those that are not there, all in one statement: all of them or, where it raises, none. Which are new."""
    rows = [_values(one) for one in arrived]
    said = {f"{name}_{n}": value for n, row in enumerate(rows) for name, value in row.items()}
    if isinstance(target, Session):
        target.flush()  # as it does before a statement that it makes itself
    connection = target.connection() if isinstance(target, Session) else target
    statement, fixed = _store(len(rows), of_customers=any(row["customer_id"] for row in rows))
    new = set(connection.exec_driver_sql(statement, {**fixed, **said, "source": source}).scalars())
    found = []
    for one in arrived:
        found.append(one.event["id"] in new)
        new.discard(one.event["id"])  # the same one twice is new once
    return found


def _values(arrived: Arrived) -> Object:
    event = arrived.event
    ids = about(event)
    workable = arrived.handled and ids.subject is not None
    return {
        "event_id": event["id"],
        "type": event["type"],
        "livemode": bool(event.get("livemode")),
        "api_version": ref(event.get("api_version")),
        "subject": ids.subject,
        "object_id": ids.object_id,
        "customer_id": ids.customer,
        "stripe_created": from_stripe(event["created"]),
        "payload": arrived.raw,
        "state": StripeEvent.PENDING if workable else StripeEvent.IGNORED,
        "reason": None if workable else ("no object named" if arrived.handled else "type not handled"),
    }


def bare_payload(event_id: Any, kind: Any, object_id: Any) -> ColumnElement[str]:
    """What is kept of an event about somebody who was deleted: what it was about, and that the rest was taken out."""
    thing = func.json_build_object("id", object_id)
    said = func.json_build_object(
        "id", event_id, "object", "event", "type", kind, "data", func.json_build_object("object", thing),
        "redacted", True,
    )  # fmt: skip
    return cast(said, Text)


_TYPES: dict[str, Any] = {
    **dict.fromkeys(("event_id", "type", "api_version", "subject", "object_id", "customer_id"), Text()),
    **dict.fromkeys(("payload", "state", "reason"), Text()),
    "livemode": Boolean(),
    "stripe_created": DateTime(timezone=True),
}


@cache
def _store(count: int, *, of_customers: bool) -> tuple[str, Object]:
    """The statement for so many rows, and the words in it. It is made once: SQLAlchemy takes longer to build it than
    the database to do it.

    What is kept is the body as signed; bare where its customer is somebody who was deleted. In the order of their
    names: two that store some of the same events wait for each other in turn, never each for the other.
    ``of_customers``: some row has one. Else no other table is looked at, nor waited for.
    """
    columns = [column(name, kind) for name, kind in _TYPES.items()]
    rows = [
        tuple(bindparam(f"{name}_{n}", type_=kind) for name, kind in _TYPES.items()) for n in range(count)
    ]
    given = values(*columns, name="given").data(rows)
    deleted = exists().where(User.stripe_customer_id == given.c.customer_id, User.deleted_at.is_not(None))
    kept = case(
        (deleted, bare_payload(given.c.event_id, given.c.type, given.c.object_id)), else_=given.c.payload
    )
    chosen = [kept if of_customers and name == "payload" else given.c[name] for name in _TYPES]
    found = select(*chosen, bindparam("source", type_=Text())).order_by(given.c.event_id)
    into = insert(table_of(StripeEvent)).from_select([*_TYPES, "source"], found, include_defaults=False)
    wanted = into.on_conflict_do_nothing(index_elements=["event_id"]).returning(StripeEvent.event_id)
    made = wanted.compile(dialect=psycopg.dialect())  # type: ignore[no-untyped-call]
    return str(made), {name: value for name, value in made.params.items() if value is not None}


def ask_for_refresh(
    session: Session,
    stripe_id: str,
    customer: str | None,
    *,
    livemode: bool,
    actor: str,
    kind: str = "subscription",
    subscription: str | None = None,
) -> str:
    """Put a request to look at an object into the inbox, so that its change has a cause. Returns its id.

    ``subscription``: of an invoice; it is then looked at with its subscription.
    """
    thing: Object = {"id": stripe_id, "object": kind, "customer": customer}
    if subscription:
        thing["parent"] = {"subscription_details": {"subscription": subscription}}
    event: dict[str, Any] = {
        "id": f"dunlin_{secrets.token_hex(12)}",
        "object": "event",
        "type": REFRESHES[kind],
        "livemode": livemode,
        "created": int(now().timestamp()),
        "data": {"object": thing},
        "asked_by": actor,
    }
    store(session, event, json.dumps(event), source=actor, handled=True)
    return str(event["id"])


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**33

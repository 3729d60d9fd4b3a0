"""The inbox: one row for each event, however often and from wherever it comes."""

from __future__ import annotations

import json
import secrets
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, case, cast, exists, func, literal
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.clock import from_stripe, now
from billing.errors import BadEvent, ForeignEvent
from billing.models import StripeEvent, User
from billing.payloads import About, Object, about, ref

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


def store(target: Connection | Session, event: Object, raw: str, *, source: str, handled: bool) -> bool:
    """Insert the event unless it is there. True when it is new. The caller's transaction decides.

    A second delivery waits for the first one's commit and then finds the row, so either may be answered 2xx.
    """
    ids = about(event)
    workable = handled and ids.subject is not None
    row = insert(StripeEvent).values(
        event_id=event["id"],
        type=event["type"],
        livemode=bool(event.get("livemode")),
        api_version=ref(event.get("api_version")),
        subject=ids.subject,
        object_id=ids.object_id,
        customer_id=ids.customer,
        stripe_created=from_stripe(event["created"]),
        payload=_kept(raw, event, ids),
        source=source,
        state=StripeEvent.PENDING if workable else StripeEvent.IGNORED,
        reason=None if workable else ("no object named" if handled else "type not handled"),
    )
    inserted = row.on_conflict_do_nothing(index_elements=["event_id"]).returning(StripeEvent.event_id)
    return target.execute(inserted).scalar() is not None


def bare_payload(event_id: Any, kind: Any, object_id: Any) -> ColumnElement[str]:
    """What is kept of an event about somebody who was deleted: what it was about, and that the rest was taken out."""
    thing = func.json_build_object("id", object_id)
    said = func.json_build_object(
        "id", event_id, "object", "event", "type", kind, "data", func.json_build_object("object", thing),
        "redacted", True,
    )  # fmt: skip
    return cast(said, Text)


def _kept(raw: str, event: Object, ids: About) -> ColumnElement[str] | str:
    """The body as signed; bare where its customer is somebody who was deleted."""
    if ids.customer is None:
        return raw
    deleted = exists().where(User.stripe_customer_id == ids.customer, User.deleted_at.is_not(None))
    words = (literal(one, Text) for one in (event["id"], event["type"], ids.object_id))
    return case((deleted, bare_payload(*words)), else_=literal(raw, Text))


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

"""What differs between Stripe's lists and our rows, object by object. Nothing is written here.

An event may never have been made, and a row may be damaged or lost: so the objects themselves are compared. What a row
should hold is computed by the code that writes it, on a copy that is in no session; one that differs is looked at again
like any other, through the inbox. A database that is as Stripe says is only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import payments
from billing.clock import now
from billing.errors import StripeUnavailable
from billing.installation import public_id
from billing.mirrors import (
    INVOICES,
    KINDS,
    PAYMENTS,
    SUBSCRIPTIONS,
    Kind,
    customer_of,
    owned,
    there,
)
from billing.models import Invoice, User
from billing.payloads import Object, invoice_subscription
from billing.people import OF_FORMER, foreign, was_ours
from billing.syncing import Cause

# What was made longer ago is compared once a day only, unless it is still running, open or contested.
RECENT = timedelta(days=35)
PAGE = 100
# Marks of the write itself, not of Stripe's object.
MARKS = frozenset({"id", "fetch_no", "fetched_at", "cause_event_id"})
# Younger than its rows: where it is empty the next look fills it, and nothing was damaged.
YOUNG = frozenset({"card_expires_at"})
MISSING, GONE, STRAY = "no row", "nothing at Stripe", "a customer that we don’t know"
REFUND, UNANSWERED = "amount_refunded of its invoice", "Stripe did not answer for it"


@dataclass(frozen=True)
class Finding:
    """An object whose row is not as Stripe says. ``differs``: the columns, or one of the words above.

    ``seen``: the fence under which the row was written that was compared, None where there was none.
    """

    kind: str
    stripe_id: str
    customer: str | None
    subscription: str | None
    differs: tuple[str, ...]
    seen: int | None = None


class Batch(NamedTuple):
    compared: int
    found: list[Finding]


def differing(session: Session, kind: Kind, *, full: bool, customer: str | None = None) -> Iterator[Batch]:
    """Compare all that Stripe lists, a page at a time, then those of our rows that it did not list.

    ``full``: also what has ended or is older than RECENT. ``customer``: theirs alone. No transaction is open while
    Stripe is asked.
    """
    listed: set[str] = set()
    session.rollback()
    asked = _asked(kind, full=full, customer=customer)
    objects = kind.each(asked) if asked is not None else iter(())
    while page := list(islice(objects, PAGE)):
        listed.update(one["id"] for one in page)
        yield compare(session, kind, page)
        session.rollback()
    for stripe_id, owner, seen in _unlisted(session, kind, listed, full=full, whose=customer):
        try:
            found = there(kind, stripe_id)
        except StripeUnavailable:
            yield Batch(1, [Finding(kind.name, stripe_id, owner, None, (UNANSWERED,), seen)])
            continue
        gone = Finding(kind.name, stripe_id, owner, None, (GONE,), seen)
        yield compare(session, kind, [found]) if found else Batch(1, [gone])
        session.rollback()


def _asked(kind: Kind, *, full: bool, customer: str | None) -> Object | None:
    """What to list; None for what Stripe can't list of one customer."""
    if customer is not None and kind not in (SUBSCRIPTIONS, INVOICES, PAYMENTS):
        return None
    whose = {"customer": customer} if customer else {}
    if kind is SUBSCRIPTIONS:
        return {**whose, "status": "all"} if full else whose
    return whose if full else {**whose, "created": {"gte": int((now() - RECENT).timestamp())}}


def _unlisted(
    session: Session, kind: Kind, listed: set[str], *, full: bool, whose: str | None
) -> list[tuple[str, str | None, int]]:
    rows = select(kind.column, User.stripe_customer_id, kind.model.fetch_no).join(
        User, User.id == kind.model.user_id
    )
    rows = rows if full else rows.where(kind.unsettled)
    found = session.execute(rows if whose is None else rows.where(User.stripe_customer_id == whose))
    left = [(str(id_), customer, fence) for id_, customer, fence in found if id_ not in listed]
    session.rollback()
    return left


def compare(session: Session, kind: Kind, objects: list[Object]) -> Batch:
    """What of these, if they are ours, is not on our rows as it would be written. Reads only."""
    cause = Cause("", 0, public_id(session), now(), actor="reconciler")
    users = _users(session, objects)
    session.rollback()
    ours = [_whole(kind, one) for one in objects if customer_of(one) in users and _is_ours(one, cause)]
    strays = [one for one in objects if customer_of(one) not in users and _is_tagged(one, cause)]
    keys = [one["id"] for one in ours]
    rows = {
        getattr(row, kind.key): row
        for row in session.execute(select(kind.model).where(kind.column.in_(keys))).scalars()
    }
    lost = [one for one in strays if kind.counts(one) and not was_ours(session, customer_of(one) or "")]
    found = [_finding(kind, one, (STRAY,), None) for one in lost]
    for one in ours:
        row, user_id = rows.get(one["id"]), users[customer_of(one) or ""]
        if one.get("unanswered"):
            differs: tuple[str, ...] = (UNANSWERED,)
        elif kind is PAYMENTS and row is None and "plan" not in (one.get("metadata") or {}):
            differs = _refund_differs(session, one)
        elif row is None:
            differs = (MISSING,) if kind.due(one) else ()
        else:
            differs = _differences(session, kind, row, user_id, one, cause)
        if differs:
            found.append(_finding(kind, one, differs, row.fetch_no if row is not None else None))
    return Batch(len(ours), found)


def _whole(kind: Kind, found: Object) -> Object:
    try:
        return kind.whole(found)
    except StripeUnavailable:
        return {**found, "unanswered": True}


def _users(session: Session, objects: list[Object]) -> dict[str, int]:
    customers = {customer_of(one) for one in objects} - {None}
    found = select(User.stripe_customer_id, User.id).where(User.stripe_customer_id.in_(customers))
    users = {str(customer): user_id for customer, user_id in session.execute(found)}
    others = (
        (one, session.execute(OF_FORMER, {"customer": one}).scalar()) for one in customers - users.keys()
    )
    return users | {str(one): user.id for one, user in others if user is not None}


def _differences(
    session: Session, kind: Kind, row: Any, user_id: int, found: Object, cause: Cause
) -> tuple[str, ...]:
    names = [column.key for column in kind.model.__table__.columns]
    held = {name: getattr(row, name) for name in names}
    copy = kind.model(**held)
    copy.user_id = user_id
    kind.bring(session, copy, found, cause)
    left_out = MARKS | {name for name in YOUNG if held.get(name) is None}
    return tuple(name for name in names if name not in left_out and getattr(copy, name) != held[name])


def _refund_differs(session: Session, intent: Object) -> tuple[str, ...]:
    """What went back of an invoice's payment is on the invoice's row, and no list of invoices says it."""
    held = select(Invoice.amount_refunded).where(Invoice.payment_intent == intent["id"])
    there = session.execute(held).scalar()
    return (REFUND,) if there not in (None, payments.refunded_of(intent)) else ()


def _finding(kind: Kind, found: Object, differs: tuple[str, ...], seen: int | None) -> Finding:
    subscription = invoice_subscription(found) if kind is INVOICES else None
    return Finding(kind.name, found["id"], customer_of(found), subscription, differs, seen)


def _is_ours(found: Object, cause: Cause) -> bool:
    return not foreign(owned(found), cause.installation)


def _is_tagged(found: Object, cause: Cause) -> bool:
    return (owned(found).get("metadata") or {}).get("installation") == cause.installation


def changed_since(session: Session, finding: Finding) -> bool:
    """Whether somebody wrote the row after it was compared: an event that was under way, most likely."""
    kind = next(one for one in KINDS if one.name == finding.kind)
    fence = session.execute(select(kind.model.fetch_no).where(kind.column == finding.stripe_id)).scalar()
    return fence != finding.seen and finding.differs != (REFUND,)

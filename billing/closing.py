"""How a write ends: what is kept of Stripe's answer, and what is told of a refusal or of no answer.

What an answer says about state is not used: state comes by events. Only ids are taken from it. ``until`` is the turn of
whoever tells it (``registry.Turn``). That a write was done is true whoever says so; all else is for whose turn it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from billing import audit, opening, people, registry
from billing.errors import StripeDeclined, StripeError, StripeKeyRefused, StripeRefused
from billing.models import StripeWrite
from billing.stripe_client import KEY_MISUSED, Object

# What an answer's id is kept for, in the transaction that closes the write.
COMPLETIONS: dict[str, Callable[[Session, StripeWrite, Object], None]] = {
    "customer.create": lambda s, write, answer: _bound(s, write, answer),
    "checkout.session.create": lambda s, write, answer: _opened(s, write, answer),
    "checkout.session.expire": lambda s, write, answer: opening.expired_by_us(s, answer),
}


def answered(session: Session, row: StripeWrite, answer: Object, until: datetime) -> None:
    """Stripe did it: keep the id, and close."""
    if row.state != "done":
        row.stripe_object_id = answer.get("id")
        complete = COMPLETIONS.get(row.operation)
        if complete is not None:
            complete(session, row, answer)
    if row.state == "unknown":
        _tell(session, row, "write.found")
    row.state = "done"
    registry.release(session, row.id, until)


def _bound(session: Session, write: StripeWrite, answer: Object) -> None:
    """Whose address changed while it was made has the new one brought to it."""
    made_with = json.loads(write.params)["email"]
    before = write.name.partition(":after:")[2]
    moved = people.bind_customer(session, write.user_id or 0, answer["id"], made_with, after=before)
    if moved is not None:
        registry.record(session, moved)


def _opened(session: Session, write: StripeWrite, answer: Object) -> None:
    """A Session whose place was freed before we heard of it is closed: another one may be open beside it."""
    unwanted = opening.opened(session, write.name, answer)
    if unwanted is not None:
        registry.record(session, unwanted)


def refused(session: Session, row: StripeWrite, problem: StripeError, until: datetime) -> None:
    """A definitive no ends the write; anything else leaves it open for the completer. What is done stays done."""
    seen_before, row.last_status = row.last_status, problem.status
    row.error = problem.code or str(problem)
    if isinstance(problem, StripeKeyRefused):
        registry.nothing_was_sent(row)
        if seen_before != problem.status:
            _tell(session, row, "stripe.key_refused", alert=True)
    if row.state != "done":
        state = {StripeDeclined: "declined", StripeRefused: "failed"}.get(type(problem))
        if state or (row.operation == "checkout.session.create" and (problem.status or 0) >= 500):
            # Stripe would repeat its 500. Nobody has seen that Session, so nobody can pay it: another may be opened.
            opening.refused(session, row.name)
        if state:
            # A key that was used with other parameters is a bug of ours: an admin is told.
            _tell(session, row, f"write.{state}", alert=problem.code == KEY_MISUSED)
            row.state = state
    registry.release(session, row.id, until)


def gave_up(session: Session, row: StripeWrite, until: datetime, *, alert: bool) -> None:
    """Stripe didn't do it, and it is not wanted any more."""
    opening.refused(session, row.name)
    _tell(session, row, "write.failed", alert=alert)
    row.state, row.error = "failed", "not done, and not wanted any more"
    registry.release(session, row.id, until)


def not_found_out(session: Session, row: StripeWrite, why: str, until: datetime, *, overdue: bool) -> None:
    """What became of it can't be said yet. ``overdue``: its key may not be sent any more, so it is unknown."""
    registry.nothing_was_sent(row)
    row.error = why
    if overdue and row.state != "unknown":
        opening.refused(session, row.name)
        _tell(session, row, "write.unknown", alert=True)
        row.state = "unknown"
    registry.release(session, row.id, until)


def _tell(session: Session, row: StripeWrite, kind: str, *, alert: bool = False) -> None:
    audit.record(session, kind, actor="dunlin", user_id=row.user_id, subject=row.name, alert=alert)

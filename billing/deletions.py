"""Deleting an account: asked for, taken back, due (decision 0028). What is at Stripe then, and what Stripe is asked.

Never commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from billing import audit, language, notices, running, stripe_reads
from billing.clock import database_now
from billing.errors import StripeRefused
from billing.models import Deletion, StripeWrite, User
from billing.models.subscriptions import FINAL
from billing.payloads import Object, ref
from billing.readers import speaking_to
from billing.syncing import Cause
from billing.words import day
from billing.write_request import WriteRequest

WAIT = timedelta(days=7)
# Statuses in which Stripe charges a next period by itself.
RENEWING = ("active", "trialing", "past_due")
WORDS = "account deleted"


@dataclass(frozen=True)
class AtStripe:
    """What a customer still has. ``gone``: the customer itself was deleted. ``open``: Checkout Sessions to be paid."""

    gone: bool
    living: list[Object]
    open: list[str]


def at_stripe(customer: str) -> AtStripe:
    """Ask Stripe, whatever our rows say, with no transaction open.

    Raises StripeError where Stripe doesn't say: also where it knows no such customer, since that is a wrong key or a
    wrong Stripe, and somebody's plan may be running at the right one.
    """
    gone = bool(stripe_reads.get_customer(customer).get("deleted"))
    try:
        found = stripe_reads.list_subscriptions(customer)
        sessions = [] if gone else list(stripe_reads.list_checkout_sessions(customer))
    except StripeRefused:
        if not gone:
            raise
        found, sessions = [], []
    living = [one for one in found if one["status"] not in FINAL]
    return AtStripe(gone, living, [str(one["id"]) for one in sessions if one["status"] == "open"])


def of(session: Session, user_id: int) -> Deletion | None:
    """The person's open one."""
    return session.execute(_open(user_id)).scalar()


def _open(user_id: int) -> Any:
    return select(Deletion).where(
        Deletion.user_id == user_id, Deletion.undone_at.is_(None), Deletion.done_at.is_(None)
    )


def ask(session: Session, user_id: int, found: AtStripe) -> list[WriteRequest]:
    """Keep that the account is to be deleted, and tell the person; the writes that let nothing be charged meanwhile.

    Empty where it was asked for already: a second press is the first.
    """
    user = session.get_one(User, user_id, with_for_update=True, populate_existing=True)
    if user.deletion_due_at is not None or user.deleted_at is not None:
        return []
    user.deletion_due_at = database_now(session) + WAIT
    row = Deletion(user_id=user.id, due_at=user.deletion_due_at)
    session.add(row)
    session.flush()
    audit.record(session, "user.deletion_asked", actor="user", user_id=user.id, subject=_name(row))
    tell(session, user, row, "delete_asked")
    return [
        *(one for sub in found.living for one in _holds(sub, row)),
        *(_expiry(one, row) for one in found.open),
    ]


def _holds(found: Object, row: Deletion) -> list[WriteRequest]:
    """The plan isn't renewed while the account waits, and nothing has ended yet. A schedule would decide over it."""
    if found["status"] not in RENEWING or found.get("cancel_at_period_end") or found.get("cancel_at"):
        return []
    stripe_id, schedule = str(found["id"]), ref(found.get("schedule"))
    params = {"cancel_at_period_end": True}
    hold = WriteRequest("subscription.update", _hold_name(stripe_id, row), params, stripe_id, row.user_id)
    if schedule is None:
        return [hold]
    name = f"leave-schedule:{schedule}"  # as whoever cancels a plan names it
    release = WriteRequest("subscription_schedule.release", name, target=schedule, user_id=row.user_id)
    return [release, hold]


def _hold_name(stripe_id: str, row: Deletion) -> str:
    return f"cancel:{stripe_id}:delete:{row.id}"


def _expiry(stripe_id: str, row: Deletion) -> WriteRequest:
    name = f"delete-expire:{stripe_id}:{row.id}:{row.tries}"
    return WriteRequest("checkout.session.expire", name, target=stripe_id, user_id=row.user_id)


def undo(session: Session, user_id: int) -> list[WriteRequest] | None:
    """Keep the account; the writes that take back what asking for its end had Stripe do, and nothing else.

    None where it is too late, or where there is nothing to take back.
    """
    user = session.get_one(User, user_id, with_for_update=True, populate_existing=True)
    row = session.execute(_open(user_id).with_for_update()).scalar()
    if row is None or row.begun_at is not None:
        return None
    user.deletion_due_at, row.undone_at = None, database_now(session)
    audit.record(session, "user.deletion_undone", actor="user", user_id=user.id, subject=_name(row))
    tell(session, user, row, "delete_undone")
    held = select(StripeWrite.target).where(
        StripeWrite.user_id == user_id,
        StripeWrite.operation == "subscription.update",
        StripeWrite.name.like(f"cancel:%:delete:{row.id}"),
        StripeWrite.state.not_in(("declined", "failed")),
    )
    targets = session.execute(held.order_by(StripeWrite.id)).scalars()
    return [_keep(target, row) for target in targets if target]


def _keep(stripe_id: str, row: Deletion) -> WriteRequest:
    name, params = f"stay:{stripe_id}:delete:{row.id}", {"cancel_at_period_end": False}
    return WriteRequest("subscription.update", name, params, stripe_id, row.user_id)


def due(session: Session) -> list[int]:
    """Whose day has come, and whose next try: ids of ``Deletion``, the longest waiting first."""
    moment = func.clock_timestamp()
    ready = select(Deletion.id).where(
        Deletion.undone_at.is_(None),
        Deletion.done_at.is_(None),
        Deletion.due_at <= moment,
        or_(Deletion.next_try_at.is_(None), Deletion.next_try_at <= moment),
    )
    return list(session.execute(ready.order_by(Deletion.due_at, Deletion.id)).scalars())


def begin(session: Session, deletion_id: int) -> bool:
    """Mark that it can't be taken back any more; False where it was taken back. The caller commits."""
    row = locked(session, deletion_id)
    if row is not None:
        row.begun_at = row.begun_at or database_now(session)
    return row is not None


def locked(session: Session, deletion_id: int) -> Deletion | None:
    """The row, if it is open, with the person's locked before it, in the order in which everybody locks them."""
    row = session.get_one(Deletion, deletion_id)
    session.execute(select(User.id).where(User.id == row.user_id).with_for_update())
    session.refresh(row, with_for_update=True)
    return row if row.open else None


def end_requests(found: AtStripe, row: Deletion) -> list[WriteRequest]:
    """The writes that end at once what is left, in their order. Each try names them anew: a refusal ends a write.

    An order that was never paid is owed to nobody, so its invoice goes. Any other that is open stays owed: Stripe
    collects none by itself once its subscription was canceled, and nothing is left to collect it with.
    """
    requests = [_expiry(one, row) for one in found.open]
    for sub in found.living:
        stripe_id, latest_ = str(sub["id"]), ref(sub.get("latest_invoice"))
        params = {"cancellation_details": {"comment": WORDS}}
        name = f"cancel:{stripe_id}:delete:{row.id}:{row.tries}"
        requests.append(WriteRequest("subscription.cancel", name, params, stripe_id, row.user_id))
        if sub["status"] == "incomplete" and latest_:
            name = f"cancel-void:{latest_}"
            requests.append(WriteRequest("invoice.void", name, target=latest_, user_id=row.user_id))
    return requests


def remove_request(customer: str, row: Deletion) -> WriteRequest:
    """The write that deletes the customer at Stripe and ends whatever came meanwhile (``DELETE /v1/customers/:id``)."""
    name = f"customer-delete:{customer}:{row.id}:{row.tries}"
    return WriteRequest("customer.delete", name, target=customer, user_id=row.user_id)


def tell(session: Session, user: User, row: Deletion, kind: str) -> None:
    """Owe the person one of the mails about it: once for each ``Deletion``."""
    with speaking_to(user):
        words, facts = {"due_date": day(row.due_at)}, {"deletion": row.id}
        key = f"delete:{row.id}:{kind.removeprefix('delete_')}"
        notices.owe(session, kind, key, user.email, facts, words=words, user_id=user.id)


def say_goodbye(session: Session, user: User, row: Deletion, locale: str | None, address: str) -> None:
    """Owe the last mail, to an address and in a language that only its row knows any more."""
    with language.speaking(locale or running.config().default_locale, running.config().display_tz):
        notices.owe(session, "deleted", f"delete:{row.id}:done", address, {}, user_id=user.id)


def alert_of_living(session: Session, user: User, stripe_id: str, cause: Cause) -> None:
    """A subscription of somebody who was deleted has come alive: nobody of ours made it, and an admin must look."""
    kind = "subscription.of_nobody"
    audit.record(
        session,
        kind,
        actor=cause.actor,
        user_id=user.id,
        subject=stripe_id,
        cause=cause.event_id,
        alert=True,
    )
    what = "Somebody whose account was deleted has a subscription"
    notices.admin_alert(session, f"of_nobody:{stripe_id}", what, stripe_id)


def put_off(session: Session, row: Deletion, problem: str, moment: datetime) -> None:
    """Keep what stands in the way, and when it is tried again: after a minute, then ever later, 6 hours at most."""
    row.problem, row.tries = problem, row.tries + 1
    row.next_try_at = moment + timedelta(minutes=min(2 ** min(row.tries - 1, 9), 6 * 60))


def _name(row: Deletion) -> str:
    return f"deletion {row.id}"

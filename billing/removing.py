"""An account on the day of its deletion (decision 0028): Stripe first, ours last.

Every step asks Stripe anew and does what is left, each write is in the registry before it is sent, and ours goes in one
transaction after Stripe has said that the customer is gone. So whoever dies on the way leaves the account as it was and
the next one goes on. Where Stripe can't be asked nothing of ours is deleted, however long that takes.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from billing import (
    audit,
    deadline,
    deletions,
    erasing,
    leases,
    notices,
    refresh,
    registry,
    running,
    writes,
)
from billing.clock import database_now
from billing.errors import DunlinError, NotDeleted, StripeRefused
from billing.leases import Lease
from billing.models import AuditEntry, Deletion, Subscription, User
from billing.models.subscriptions import FINAL

log = logging.getLogger(__name__)

# One person's turn: all talk with Stripe, and a little more for ours.
TALK_SECONDS, LEASE_SECONDS = 90.0, 120
# The clock's turn; whoever is left is taken up at the next one.
WORK_SECONDS = 40.0
# A plan may appear between the look and the end, but not again and again.
ROUNDS = 3
# From when on the person, and then an admin, is told that Stripe stands in the way.
TELL_PERSON, TELL_ADMINS = timedelta(hours=1), timedelta(days=1)
STUCK, ACTOR = "user.deletion_stuck", "dunlin"


def delete_due(session: Session) -> int:
    """Delete every account whose day has come. Returns how many were tried. Commits."""
    tried, stop = 0, time.monotonic() + WORK_SECONDS
    waiting = deletions.due(session)
    session.rollback()
    for deletion_id in waiting:
        if time.monotonic() > stop:
            break
        tried += _turn(session, deletion_id)
    return tried


def forget_late(session: Session) -> None:
    """Take out what Stripe told of people just after they were deleted. The caller commits."""
    erasing.late_events(session)


def _turn(session: Session, deletion_id: int) -> bool:
    lease = leases.take(session, f"delete:{deletion_id}", seconds=LEASE_SECONDS)
    if lease is None:
        return False
    try:
        with deadline.within(TALK_SECONDS):
            _delete(session, lease, deletion_id)
    except Exception as problem:  # one account’s trouble must not keep the others; it is kept
        session.rollback()
        known = isinstance(problem, DunlinError)
        log.log(
            logging.WARNING if known else logging.ERROR,
            "account not deleted",
            exc_info=None if known else problem,
            extra={"subject": f"deletion {deletion_id}", "reason": type(problem).__name__},
        )
        _put_off(session, deletion_id, str(problem) if known else type(problem).__name__)
    finally:
        session.rollback()
        leases.free(session, lease)
    return True


def _delete(session: Session, lease: Lease, deletion_id: int) -> None:
    row = session.get_one(Deletion, deletion_id)
    user = session.get_one(User, row.user_id, populate_existing=True)
    if user.is_admin:
        raise NotDeleted("the account is an admin’s by now")
    user_id = user.id
    session.rollback()
    if not writes.finish_of(session, user_id):
        raise NotDeleted("a write to Stripe has no end yet")
    customer = session.get_one(User, user_id, populate_existing=True).stripe_customer_id
    session.rollback()
    if customer is not None and not _end_billing(session, deletion_id, customer):
        return
    if _is_kept(session, deletion_id):
        return
    _bare_events(session, lease, user_id)
    _erase(session, lease, deletion_id)


def _end_billing(session: Session, deletion_id: int, customer: str) -> bool:
    """End what the customer still has and delete it, and have Stripe say that both is so. False where the person was
    faster and keeps the account. Raises what tells why it is not so yet."""
    found = deletions.at_stripe(customer)  # before anything is begun: a Stripe that is away ends nothing
    if _is_kept(session, deletion_id):
        return False
    for _ in range(ROUNDS):
        if not (found.living or found.open):
            break
        _end(session, deletion_id, found)
        found = deletions.at_stripe(customer)
    if found.living or found.open:
        raise NotDeleted("Stripe still lists what was ended")
    if not found.gone:
        writes.perform(session, deletions.remove_request(customer, session.get_one(Deletion, deletion_id)))
        found = deletions.at_stripe(customer)
    if found.living or not found.gone:
        raise NotDeleted("Stripe doesn’t say that the customer is gone")
    _look(session, deletion_id, customer)
    return True


def _is_kept(session: Session, deletion_id: int) -> bool:
    """Whether the person took it back; from now on they can't."""
    begun = deletions.begin(session, deletion_id)
    session.commit()
    return not begun


def _end(session: Session, deletion_id: int, found: deletions.AtStripe) -> None:
    requests = deletions.end_requests(found, session.get_one(Deletion, deletion_id))
    for one in requests:  # all of them are kept before the first is sent
        registry.record(session, one)
    session.commit()
    for one in requests:
        try:
            writes.perform(session, one)
        except StripeRefused as problem:  # what is left, if anything, the next look shows
            log.info("refused", extra={"subject": one.name, "reason": str(problem)})


def _look(session: Session, deletion_id: int, customer: str) -> None:
    """Bring our rows to the end that Stripe gave them, by the door of every event; where that can't be now, it is
    brought later."""
    running_ = select(Subscription.stripe_id).join(Deletion, Deletion.user_id == Subscription.user_id)
    left = running_.where(Deletion.id == deletion_id, Subscription.status.not_in(FINAL))
    ids = list(session.execute(left).scalars())
    session.rollback()
    for stripe_id in ids:
        refresh.subscription(session, stripe_id, customer, running.config(), ACTOR)


def _bare_events(session: Session, lease: Lease, user_id: int) -> None:
    """Batch by batch: what Stripe told in all those years may be much."""
    user = session.get_one(User, user_id, populate_existing=True)
    place, more = None, True
    while more:
        place = erasing.next_events(session, user, place, address=user.email)
        session.commit()
        more = place is not None and leases.renew(session, lease, seconds=LEASE_SECONDS)


def _erase(session: Session, lease: Lease, deletion_id: int) -> None:
    """Ours, in one transaction, with the last mail: its row keeps the address until it has left."""
    leases.hold(session, lease)
    row = deletions.locked(session, deletion_id)
    if row is None:
        return
    user = session.get_one(User, row.user_id, populate_existing=True)
    locale, address = user.locale, user.email
    erasing.erase(session, user)
    deletions.say_goodbye(session, user, row, locale, address)
    row.done_at, row.problem, row.next_try_at = database_now(session), None, None
    audit.record(session, "user.deleted", actor=ACTOR, user_id=user.id, subject=f"deletion {row.id}")
    session.commit()


def _put_off(session: Session, deletion_id: int, problem: str) -> None:
    row = deletions.locked(session, deletion_id)
    if row is None:
        session.rollback()
        return
    moment = database_now(session)
    deletions.put_off(session, row, problem, moment)
    late = moment - row.due_at
    if late >= TELL_PERSON and row.told_at is None:
        row.told_at = moment
        deletions.tell(session, session.get_one(User, row.user_id), row, "delete_stuck")
    if late >= TELL_ADMINS:
        _alert(session, row)
    session.commit()


def _alert(session: Session, row: Deletion) -> None:
    subject = f"deletion {row.id}"
    told = exists().where(AuditEntry.kind == STUCK, AuditEntry.subject == subject)
    if not session.execute(select(told)).scalar():
        audit.record(session, STUCK, actor=ACTOR, user_id=row.user_id, subject=subject, alert=True)
        what = "An account can’t be deleted: Stripe stands in the way"
        notices.admin_alert(session, f"deletion:{row.id}", what, f"account {row.user_id}")

"""What makes a row of a person one of nobody: everything that says who they were goes, the ledger stays.

A table that holds an address, a name or words of a person has a line in ``erase``. The record of changes can't be
changed, so none of those is ever written there. Never commits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from billing.clock import database_now
from billing.inbox import bare_payload
from billing.models import (
    AuthToken,
    CheckoutSession,
    Comp,
    DataExport,
    LoginSession,
    Notice,
    StripeEvent,
    StripeWrite,
    User,
    Withdrawal,
)

# No password hashes to this, and no mail server is there (RFC 2606).
NO_PASSWORD, NOWHERE = "!", "deleted.invalid"
BATCH = 2000
# Events that Stripe makes of a deletion, and that name nobody of ours by themselves, arrive within these.
LATE, BEFORE = timedelta(days=3), timedelta(minutes=10)
GONE = "the account was deleted"


def nobody(user_id: int) -> str:
    """The address of somebody who was deleted: unlike every other, and nobody's."""
    return f"deleted-{user_id}@{NOWHERE}"


def erase(session: Session, user: User) -> None:
    """Everything but the payloads of events (``next_events``), which are many. The person's row is locked."""
    placeholder, past = nobody(user.id), _past_addresses(session, user)
    mine = _of(user, past, Notice.user_id, Notice.to)
    session.execute(
        update(Notice)
        .where(mine)
        .values(
            to=placeholder,
            facts={},
            secret=None,
            reason=case((Notice.state == "queued", GONE), else_=Notice.reason),
            state=case((Notice.state == "queued", "obsolete"), else_=Notice.state),
        )
    )
    for address in (user.email, *past):
        _out_of_others(session, address, placeholder)
    session.execute(delete(LoginSession).where(LoginSession.user_id == user.id))
    session.execute(delete(DataExport).where(DataExport.user_id == user.id))
    session.execute(delete(AuthToken).where(_of(user, past, AuthToken.user_id, AuthToken.email)))
    session.execute(update(StripeWrite).where(StripeWrite.user_id == user.id).values(params="{}"))
    session.execute(update(CheckoutSession).where(CheckoutSession.user_id == user.id).values(url=None))
    session.execute(
        update(Withdrawal).where(Withdrawal.user_id == user.id).values(name="deleted", email=placeholder)
    )
    given = update(Comp).where(Comp.user_id == user.id, Comp.ended_at.is_(None))
    session.execute(given.values(ended_at=func.clock_timestamp()))
    user.email, user.password_hash = placeholder, NO_PASSWORD
    user.referral_code = user.locale = user.time_zone = user.mail_refused_at = None
    user.deletion_due_at, user.deleted_at = None, database_now(session)


def _past_addresses(session: Session, user: User) -> list[str]:
    """Where the person was written to before, in lower case, without what is by now somebody else's address."""
    others = select(func.lower(User.email)).where(User.id != user.id)
    to = func.lower(Notice.to)
    theirs = Notice.user_id == user.id, ~Notice.kind.startswith("admin_", autoescape=True)
    found = select(to).where(*theirs, to != user.email.lower(), to.not_in(others)).distinct()
    return list(session.execute(found).scalars())


def _of(user: User, past: list[str], owner: Any, address: Any) -> ColumnElement[bool]:
    """Rows of the person, those to their address, and those of nobody to one that was theirs: of a sign-up, before
    there was an account."""
    to = func.lower(address)
    return or_(owner == user.id, to == user.email.lower(), owner.is_(None) & to.in_(past))


def _out_of_others(session: Session, address: str, placeholder: str) -> None:
    """Mails to admins name people."""
    named = func.strpos(func.lower(cast(Notice.facts, Text)), address.lower()) > 0
    for row in session.execute(select(Notice).where(named)).scalars():
        row.facts = _without(row.facts, address, placeholder)


def _without(value: Any, address: str, placeholder: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, address, placeholder) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, address, placeholder) for one in value]
    return placeholder if isinstance(value, str) and address.lower() in value.lower() else value


def next_events(
    session: Session, user: User, after: tuple[datetime, str] | None, *, address: str | None
) -> tuple[datetime, str] | None:
    """Take what Stripe said of the person out of the next ``BATCH`` events since there was an account; the last one's
    place, None after the last batch. ``address``: what else tells that an event is theirs."""
    place = tuple_(StripeEvent.received_at, StripeEvent.event_id)
    since = StripeEvent.received_at >= user.created_at if after is None else place > tuple_(*after)
    batch = select(StripeEvent.received_at, StripeEvent.event_id).where(since)
    rows = session.execute(batch.order_by(StripeEvent.received_at, StripeEvent.event_id).limit(BATCH)).all()
    if not rows:
        return None
    within = place.between(tuple_(*rows[0]), tuple_(*rows[-1]))
    session.execute(_bared(within, _theirs(user, address)))
    return (rows[-1][0], rows[-1][1]) if len(rows) == BATCH else None


def late_events(session: Session) -> None:
    """The same for what Stripe told of people just after they were deleted, such as that their card was detached."""
    gone = select(User).where(User.deleted_at > func.now() - LATE, User.stripe_customer_id.is_not(None))
    for user in session.execute(gone).scalars():
        since = StripeEvent.received_at >= (user.deleted_at or user.created_at) - BEFORE
        session.execute(_bared(since, _theirs(user, None)))


def _theirs(user: User, address: str | None) -> ColumnElement[bool]:
    """An event may name its customer deep inside (a card that was detached), or nobody but an address."""
    customer = user.stripe_customer_id
    # Those that were deleted at Stripe before too.
    made = select(StripeWrite.stripe_object_id).where(
        StripeWrite.user_id == user.id, StripeWrite.operation == "customer.create"
    )
    said = [StripeEvent.user_id == user.id, StripeEvent.customer_id.in_(made)]
    if customer:
        said += [StripeEvent.customer_id == customer, func.strpos(StripeEvent.payload, customer) > 0]
    if address:
        said.append(func.strpos(func.lower(StripeEvent.payload), f'"{address.lower()}"') > 0)
    return or_(*said)


def _bared(*conditions: ColumnElement[bool]) -> Any:
    bare = bare_payload(StripeEvent.event_id, StripeEvent.type, StripeEvent.object_id)
    return (
        update(StripeEvent)
        .where(*conditions)
        .values(payload=bare)
        .execution_options(synchronize_session=False)
    )

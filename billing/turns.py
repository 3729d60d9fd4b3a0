"""One change of a subscription at a time, and each form once: what was quoted must still be so when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import deadline, leases
from billing.models import StripeWrite

# How long a press waits for another one that changes the same subscription, and for how long it may be at it.
WAIT_SECONDS, CHANGE_SECONDS = 10.0, 60
# Writes that change what a subscription is or will be: while one is without an end, no other is begun.
CHANGES = (
    "subscription.update",
    "subscription.cancel",
    "subscription_schedule.create",
    "subscription_schedule.update",
    "subscription_schedule.release",
)


@contextmanager
def one_at_a_time(session: Session, stripe_id: str) -> Iterator[bool]:
    """Keep every other change of this subscription waiting; commits. False where somebody else took too long."""
    wait = min(WAIT_SECONDS, deadline.left())
    lease = leases.take(session, f"change:{stripe_id}", wait=wait, seconds=CHANGE_SECONDS)
    try:
        yield lease is not None
    finally:
        if lease is not None:
            session.rollback()
            leases.free(session, lease)


def state_of(session: Session, stripe_id: str, token: str | None) -> str | None:
    """What became of the write that the form of this token asked for; None where it was not sent before."""
    names = [f"{kind}:{stripe_id}:{token}" for kind in ("change", "change-phases")]
    known = select(StripeWrite.state).where(StripeWrite.name.in_(names))
    return session.execute(known).scalar() if token else None


def unfinished(session: Session, user_id: int) -> bool:
    """Whether an earlier change of the person's is still without an end: it would come on top of another."""
    left = select(StripeWrite.id).where(
        StripeWrite.user_id == user_id,
        StripeWrite.operation.in_(CHANGES),
        StripeWrite.state.in_((*StripeWrite.OPEN, "unknown")),
    )
    return session.execute(left.limit(1)).first() is not None

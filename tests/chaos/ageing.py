"""As if time had passed for whatever waits in the database, where nobody wants to wait for it."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from billing.extensions import db
from tests.chaos.stack import Stack
from tests.histories import later

BY = "make_interval(secs => :by)"
MAILS = (
    f"update notices set lease_until = lease_until - {BY}, next_attempt_at = next_attempt_at - {BY}"
    " where state in ('queued', 'sending')"
)
WRITES = (
    f"update stripe_writes set created_at = created_at - {BY}, lease_until = lease_until - {BY}"
    " where state not in ('done', 'declined', 'failed')"
)


def age(stack: Stack, seconds: float) -> None:
    """Events, leases, mails and writes. Where the database is away, nothing is done."""
    with stack.app.app_context(), suppress(SQLAlchemyError):
        try:
            later(seconds)
            for sql in (MAILS, WRITES):
                db.session.execute(text(sql), {"by": seconds})
            db.session.commit()
        finally:
            db.session.remove()

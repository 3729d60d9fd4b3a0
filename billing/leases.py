"""Leases with a fence: who may write about one thing, and proof that it is still so at the write.

A lease is a row, not a session lock: it survives a connection pool, and a dead owner's runs out. Every
taking raises ``fence`` by one; a row remembers the fence under which it was written, so that a slow
worker whose lease was taken over can't put an older state over a newer one.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.errors import StaleLease

# How long a dead owner keeps everybody waiting. An owner has this long for one fetch, which ends within 30 seconds
# (``stripe_client``), and the write after it, whose statements end within 5. ``claims.CLAIM`` has the sum.
SECONDS = 40
POLL_SECONDS = 0.05

TAKE = text(
    "insert into leases (name, token, until, fence)"
    " values (:name, :token, clock_timestamp() + make_interval(secs => :seconds), 1)"
    " on conflict (name) do update set token = excluded.token, until = excluded.until, fence = leases.fence + 1"
    " where leases.until < clock_timestamp() returning fence"
)
HOLD = text(
    "select clock_timestamp() from leases where name = :name and token = :token"
    " and until > clock_timestamp() for update"
)
RENEW = text(
    "update leases set until = clock_timestamp() + make_interval(secs => :seconds)"
    " where name = :name and token = :token and until > clock_timestamp() returning fence"
)
FREE = text("update leases set until = '-infinity' where name = :name and token = :token")


@dataclass(frozen=True)
class Lease:
    """The right to write about ``name``; ``fence`` goes into every row written under it."""

    name: str
    token: str
    fence: int


def take(session: Session, name: str, *, wait: float = 0, seconds: int = SECONDS) -> Lease | None:
    """Take the lease and commit, waiting up to ``wait`` seconds for its owner. None: somebody has it."""
    deadline = time.monotonic() + wait
    token = secrets.token_hex(16)
    while True:
        fence = session.execute(TAKE, {"name": name, "token": token, "seconds": seconds}).scalar()
        session.commit()
        if fence is not None:
            return Lease(name, token, fence)
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def hold(session: Session, lease: Lease) -> datetime:
    """Lock the lease's row until this transaction ends. Returns the database's time.

    Raises StaleLease where the lease is no longer ours.
    """
    moment: datetime | None = session.execute(HOLD, {"name": lease.name, "token": lease.token}).scalar()
    if moment is None:
        raise StaleLease(lease.name)
    return moment


def renew(session: Session, lease: Lease, *, seconds: int = SECONDS) -> bool:
    """Begin the lease's time anew and commit; False where it is no longer ours."""
    values = {"name": lease.name, "token": lease.token, "seconds": seconds}
    fence = session.execute(RENEW, values).scalar()
    session.commit()
    return fence is not None


def free(session: Session, lease: Lease) -> None:
    """Give the lease back and commit."""
    let_go(session, lease)
    session.commit()


def let_go(session: Session, lease: Lease) -> None:
    """Give the lease back in the caller's transaction, which was the last one under it."""
    session.execute(FREE, {"name": lease.name, "token": lease.token})

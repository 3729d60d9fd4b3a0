"""The faults are over: everybody does what there is to do, until no row waits any more."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import text

from billing import claims, jobs, leases, outbox, writes
from billing.config import Config
from billing.extensions import db
from tests import registry
from tests.histories import later
from tests.story import config_of
from tests.support import Sandbox

# Until every claim and lease of somebody who died is over.
LONGER = max(claims.CLAIM.total_seconds(), leases.SECONDS, outbox.LEASE.total_seconds()) + 1
ROUNDS = 6
LEFT = text(
    "select 'event ' || type || ' ' || event_id || ' ' || coalesce(reason, '') from stripe_events"
    " where state = 'pending'"
    " union all select 'write ' || name || ' is ' || state || ' ' || coalesce(error, '') from stripe_writes"
    " where state in ('pending', 'in_flight', 'unknown')"
    " union all select 'mail ' || kind || ' is ' || state || ' ' || coalesce(reason, '') from notices"
    " where state in ('queued', 'sending')"
)


def drain(app: Flask, *, delivers: bool = True) -> None:
    """Raises AssertionError with what is left where there is no end of it. ``delivers``: Stripe's events come too."""
    sandbox: Sandbox | None = app.extensions.get("sandbox") if delivers else None
    left: list[str] = []
    for _ in range(ROUNDS):
        if sandbox is not None:
            db.session.rollback()
            sandbox.flush()
        left = list(db.session.execute(LEFT).scalars())
        db.session.rollback()
        if not left:
            return
        time_passes()
        recover(config_of(app))
    raise AssertionError("there is no end of work: " + "; ".join(left))


def recover(config: Config) -> None:
    """What worker and clock do: apply, end every write, send the mails."""
    session = db.session()
    while jobs.apply_due(session):
        pass
    writes.finish_open(session, older_than=registry.AT_ONCE)
    outbox.send_due(session, config)


def time_passes() -> None:
    """Every claim and lease is over, and whatever waits to be tried again has waited for long enough."""
    later(LONGER)
    registry.time_passes(registry.LEASE_OVER)
    soon = "next_attempt_at = least(next_attempt_at, clock_timestamp())"
    db.session.execute(text(f"update stripe_events set {soon} where state = 'pending'"))
    db.session.execute(text(f"update notices set {soon} where state = 'queued'"))
    over = "lease_until = least(lease_until, clock_timestamp() - interval '1 second')"
    db.session.execute(text(f"update notices set {over} where state = 'sending'"))
    db.session.commit()

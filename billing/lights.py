"""What an operator must know of: each condition that turns a light red, seen by deep health and told to the log."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from billing import refusals
from billing.clock import database_now, now
from billing.installation import current
from billing.models import AuditEntry, Deletion, Notice, StripeEvent, StripeWrite

log = logging.getLogger(__name__)
# Signatures are refused five minutes off, so there is time to see it coming.
CLOCKS_APART = timedelta(seconds=60)


def red(session: Session) -> list[str]:
    """The names of the lights that are red now."""
    return [name for name, bad in conditions(session).items() if bad]


def tell(session: Session) -> None:
    """One line for the log where a light is red: who watches only the log hears of it too."""
    names = red(session)
    session.rollback()
    if names:
        log.error("red lights", extra={"lights": names})


def conditions(session: Session) -> dict[str, bool]:
    """Each condition that should turn an operator's light red. Ages go by the database's clock."""
    here, moment, ours = now(), database_now(session), current(session)
    late = StripeEvent.received_at < moment - timedelta(minutes=5)
    mail_late = Notice.created_at < moment - timedelta(minutes=30)
    seen = ours.clock_seen_at if ours else None
    answered = ours.worker_seen_at if ours else None
    reconciled = ours.reconciled_at if ours else None
    overdue = Deletion.due_at < moment - timedelta(days=1)
    alerts = AuditEntry.at > moment - timedelta(hours=24)
    return {
        "not set up": ours is None,
        "events waiting": _any(session, StripeEvent.state == StripeEvent.PENDING, late),
        "events parked": _any(session, StripeEvent.state == StripeEvent.PARKED),
        "writes unknown": _any(session, StripeWrite.state == "unknown"),
        "mail waiting": _any(session, Notice.state == "queued", mail_late),
        "mail unknown": _any(
            session, Notice.state == "unknown", Notice.created_at > moment - timedelta(days=1)
        ),
        "deletions stuck": _any(session, Deletion.done_at.is_(None), Deletion.undone_at.is_(None), overdue),
        "clock stopped": seen is None or seen < moment - timedelta(seconds=90),
        "worker stopped": answered is None or answered < moment - timedelta(minutes=5),
        "reconciler late": reconciled is None or reconciled < moment - timedelta(hours=2),
        "deliveries refused": refusals.many(),
        "foreign events": refusals.foreign(session),
        "clock differs": abs(here - moment) > CLOCKS_APART,
        "alerts": _any(session, AuditEntry.alert.is_(True), alerts),
    }


def _any(session: Session, *conditions_: object) -> bool:
    return bool(session.execute(select(exists().where(*conditions_))).scalar())  # type: ignore[arg-type]

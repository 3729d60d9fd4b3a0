"""One way to write down that something changed. The table takes inserts only (a trigger refuses the rest).

The log is told when the entry is committed, so that it never tells of what was rolled back.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from billing.models import AuditEntry

log = logging.getLogger(__name__)
UNTOLD = "audit entries to tell the log of"


def record(
    session: Session,
    kind: str,
    *,
    actor: str,
    user_id: int | None = None,
    subject: str | None = None,
    cause: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    alert: bool = False,
) -> None:
    """Add an entry to the caller's transaction. ``alert`` also logs at ERROR and turns deep health red."""
    session.add(
        AuditEntry(
            kind=kind,
            actor=actor,
            user_id=user_id,
            subject=subject,
            cause_event_id=cause,
            before=before,
            after=after,
            alert=alert,
        )
    )
    level = logging.ERROR if alert else logging.INFO
    facts = {"actor": actor, "subject": subject, "cause": cause, "user_id": user_id}
    session.info.setdefault(UNTOLD, []).append((level, kind, facts))


@event.listens_for(Session, "after_commit")
def _tell(session: Session) -> None:
    for level, kind, facts in session.info.pop(UNTOLD, []):
        log.log(level, kind, extra=facts)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(UNTOLD, None)

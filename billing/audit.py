"""One way to write down that something changed. The table takes inserts only (a trigger refuses the rest)."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy.orm import Session

from billing.models import AuditEntry

log = logging.getLogger(__name__)


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
    log.log(level, kind, extra={"actor": actor, "subject": subject, "cause": cause, "user_id": user_id})

"""The outbox's front door: one mail is queued in the transaction that makes it due, once."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing import language, running, senders
from billing.extensions import table_of
from billing.models import Notice, User
from billing.readers import speaking_to_admins

# Made once (``people.OF_CUSTOMER``).
OWE = insert(table_of(Notice)).on_conflict_do_nothing(index_elements=["dedupe_key"])
# What may not stand in a Message-ID (RFC 5322, 3.6.4): a space would end it there.
NOT_IN_AN_ATOM = re.compile(r"[^A-Za-z0-9_-]+")


def owe(
    session: Session,
    kind: str,
    key: str,
    to: str,
    facts: dict[str, Any],
    *,
    words: dict[str, Any] | None = None,
    user_id: int | None = None,
    secret: str | None = None,
    cause: str | None = None,
) -> None:
    """Queue one mail in the caller's transaction; a second one of the same key is the first.

    ``facts`` are ids and numbers that may decide something later; ``words`` are for the reader alone, and nothing ever
    looks at them. They are in the locale that is spoken here, and the mail will be: call it inside
    ``readers.speaking_to`` (or below ``readers.to_the_reader``) the person whose mail it is.

    A kind that is not ours to send (``senders``) leaves its row all the same, which says so: an admin sees why no mail
    came, and nothing of it is sent later, when something else is chosen.
    """
    domain = running.config().mail_from.rpartition("@")[2].strip("> ") or "localhost"
    withheld = senders.withheld(kind, running.config().billing_emails)
    row = {
        "dedupe_key": key,
        "kind": kind,
        "user_id": user_id,
        "to": to,
        "facts": {**(words or {}), **facts},  # the release before reads them in one place
        "locale": language.locale(),
        "secret": secret,
        "state": "obsolete" if withheld else "queued",
        "reason": withheld,
        "message_id": f"<{NOT_IN_AN_ATOM.sub('.', key)}@{domain}>",
        "cause_event_id": cause,
    }
    session.flush()  # as before a statement about the model: who it is owed to may be new
    session.execute(OWE, row)


def admin_alert(session: Session, key: str, what: str, subject: str) -> None:
    """Tell every admin of something that a person should look at."""
    with speaking_to_admins():
        for admin in admins(session):
            words = {"what": what, "subject": subject}
            owe(session, "admin_alert", f"ops:{key}:{admin.id}", admin.email, {}, words=words)


def admins(session: Session) -> list[User]:
    """Everybody who is told of what a person should look at."""
    return list(session.execute(select(User).where(User.is_admin)).scalars())

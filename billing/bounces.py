"""Addresses that refuse mail: which refusal is the mailbox’s own, and who is written to no more until they say so.

What a server says at once is all that is known; a mail that comes back later is not seen here.
"""

from __future__ import annotations

import re

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from billing import audit
from billing.models import User

# Asked for by the person, this minute: tried whatever was refused before, and a server that takes one is proof.
ASKED_FOR = frozenset({"code", "exists", "reset", "email_code", "email_taken"})

# RFC 3463: 5.1 is about addresses, but 5.1.7 and 5.1.8 about the sender's; 5.2.1 is a mailbox that is closed.
ENHANCED = re.compile(r"\s*5\.(\d{1,3})\.(\d{1,3})\b")
SENDERS = (7, 8)
# RFC 5321 and 7504, where nothing nearer is said: no such mailbox, not local, not allowed; takes no mail at all.
MAILBOX = frozenset({550, 551, 553, 521, 556})


def names_the_mailbox(code: int, said: str, to: str, *, answers_rcpt: bool) -> bool:
    """Whether this reply says for good that the recipient's mailbox takes no mail.

    Not so: a full mailbox or a mail too large (552), policy and spam (554, 5.7), anything about us. Once the
    message was handed over a bare code may mean its content: then only a reply that names the address counts.
    """
    if not 500 <= code < 600:
        return False
    if enhanced := ENHANCED.match(said):
        subject, detail = int(enhanced[1]), int(enhanced[2])
        return (subject == 1 and detail not in SENDERS) or (subject, detail) == (2, 1)
    return code in MAILBOX and (answers_rcpt or to.lower() in said.lower())


def refused(session: Session, address: str) -> None:
    """Remember that the address refuses mail, if it is anybody's. The caller commits."""
    mark = update(User).where(_is(address), User.mail_refused_at.is_(None))
    session.execute(mark.values(mail_refused_at=func.clock_timestamp()))


def taken(session: Session, address: str) -> None:
    """The address takes mail after all. The caller commits."""
    session.execute(update(User).where(_is(address)).values(mail_refused_at=None))


def try_again(session: Session, user_id: int, *, actor: str) -> bool:
    """Somebody wants the address to be written to again. False where it refused nothing, or another press was first.
    The caller commits."""
    marked = update(User).where(User.id == user_id, User.mail_refused_at.is_not(None))
    if session.execute(marked.values(mail_refused_at=None).returning(User.id)).scalar() is None:
        return False
    audit.record(session, "mail.try_again", actor=actor, user_id=user_id)
    return True


def stops(session: Session, kind: str, address: str) -> bool:
    """Whether a mail of this kind is not even tried."""
    if kind in ASKED_FOR:
        return False
    marked = select(User.id).where(_is(address), User.mail_refused_at.is_not(None))
    return session.execute(marked).first() is not None


def _is(address: str) -> ColumnElement[bool]:
    return func.lower(User.email) == address.lower()

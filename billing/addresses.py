"""A person's address becomes another one: by a code to the new one, and back by a link to the old one. Never commits.

Everything here takes the person's row first and their codes and links after it, as ``accounts`` does. What a write to
Stripe has to say is returned, so that the caller keeps it in the same transaction.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing import accounts, audit, notices, passwords, people
from billing.clock import database_now
from billing.errors import AddressTaken
from billing.models import AuthToken, User
from billing.readers import speaking_to
from billing.words import browser, moment_text
from billing.write_request import WriteRequest

UNDO_LIFE = timedelta(days=7)


@dataclass(frozen=True)
class Moved:
    """The address was changed. ``write``: what Stripe is to be told, where it knows the person.

    ``secret``: of the link to choose a new password, where that must be done now.
    """

    write: WriteRequest | None
    secret: str | None = None


def ask(session: Session, user: User, email: str, key: str) -> AuthToken:
    """Mail a code to the address that is to be the person's; where somebody has it, tell them instead. An older code
    stops working. The answer is the same: a code for an address that is taken can never be right."""
    _hold(session, user)
    accounts.void(session, user.id, "email")
    known = accounts.by_email(session, email)
    code = f"{secrets.randbelow(1_000_000):06d}"
    token = AuthToken(
        kind="email",
        email=email,
        user_id=user.id,
        secret_hash=secrets.token_hex(32) if known else accounts.mac(key, code),
        expires_at=func.now() + accounts.CODE_LIFE,
    )
    session.add(token)
    session.flush()
    facts = {"token_id": token.id}
    if known is None:
        with speaking_to(user):
            name = f"email_code:{token.id}"
            notices.owe(session, "email_code", name, email, facts, user_id=user.id, secret=code)
    else:
        with speaking_to(known):
            notices.owe(session, "email_taken", f"email_taken:{token.id}", email, facts, user_id=known.id)
    return token


def pending(session: Session, user_id: int) -> AuthToken | None:
    """The change that waits for its code, be it that the code has expired: another one can be sent."""
    found = select(AuthToken).where(
        AuthToken.user_id == user_id, AuthToken.kind == "email", AuthToken.used_at.is_(None)
    )
    return session.execute(found.order_by(AuthToken.id.desc()).limit(1)).scalar()


def keep(session: Session, user: User) -> None:
    """Stay at the present address: the code that was sent stops working."""
    _hold(session, user)
    accounts.void(session, user.id, "email")


def confirm(
    session: Session, user: User, code: str, key: str, *, keep_session: int, user_agent: str
) -> Moved | None:
    """Change the address, if the code is right, fresh and unused; None otherwise. Misses are counted.

    Other browsers are signed out, links to a new password are void, and both addresses are told; the old one gets a
    link that takes it back. Raises AddressTaken.
    """
    _hold(session, user)
    token = pending(session, user.id)
    if token is None or token.misses >= accounts.MOST_MISSES or token.expires_at < database_now(session):
        return None
    if not hmac.compare_digest(token.secret_hash, accounts.mac(key, code)):
        token.misses += 1
        return None
    token.used_at = func.now()
    old = user.email
    _move(session, user, token.email)
    accounts.close_sessions(session, user.id, but=keep_session)
    accounts.void(session, user.id, "reset")
    undo, secret = accounts.make_link(session, user, "undo", old, UNDO_LIFE)
    with speaking_to(user):
        words = {"changed_at": moment_text(database_now(session)), "browser": browser(user_agent)}
        for name, to, facts, link in (
            ("old", old, {"token_id": undo.id, "old": True}, secret),
            ("new", user.email, {"old": False}, None),
        ):
            key_ = f"email_changed:{token.id}:{name}"
            notices.owe(session, "email_changed", key_, to, facts, words=words, user_id=user.id, secret=link)
    audit.record(session, "user.email", actor="user", user_id=user.id)
    return Moved(_told(user, token))


def undo(session: Session, token: AuthToken) -> Moved:
    """Put the old address back, by the link that was mailed to it (``accounts.open_link``): whoever changed it may have
    taken a browser or the password, so everybody is signed out, and the password is none any more.

    Links of later changes are void, since they went to addresses that this takes back; those of earlier ones are not.
    Raises AddressTaken.
    """
    user = session.get_one(User, token.user_id)
    left, token.used_at = user.email, func.now()
    _move(session, user, token.email)
    user.password_hash = passwords.make_hash(secrets.token_urlsafe(32))
    accounts.close_sessions(session, user.id)
    for kind in ("email", "reset"):
        accounts.void(session, user.id, kind)
    accounts.void(session, user.id, "undo", since=token.id)
    with speaking_to(user):
        words = {"changed_at": moment_text(database_now(session))}
        for to in dict.fromkeys((left, user.email)):
            name = f"email_undone:{token.id}:{'back' if to == user.email else 'left'}"
            notices.owe(session, "email_undone", name, to, {}, words=words, user_id=user.id)
    audit.record(session, "user.email_undone", actor="user", user_id=user.id)
    _, secret = accounts.make_link(session, user, "reset", user.email, accounts.LINK_LIFE)
    return Moved(_told(user, token), secret)


def _hold(session: Session, user: User) -> None:
    """One change of a person's address at a time, until the commit."""
    session.refresh(user, with_for_update=True)


def _move(session: Session, user: User, email: str) -> None:
    """The address, unless another account has it, be it since this moment. It was proved by what was mailed to it."""
    try:
        with session.begin_nested():
            user.email = email
            user.email_confirmed_at = func.now()
            user.mail_refused_at = None
    except IntegrityError as problem:
        raise AddressTaken from problem


def _told(user: User, token: AuthToken) -> WriteRequest | None:
    return people.move_customer(user, str(token.id)) if user.stripe_customer_id else None

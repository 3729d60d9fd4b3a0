"""People's accounts: signing up by code, signing in, and changing the password. Never commits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Row, bindparam, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing import audit, language, notices, passwords
from billing.clock import database_now
from billing.models import AuthToken, LoginSession, User
from billing.readers import speaking_to
from billing.words import moment_text

CODE_LIFE = timedelta(minutes=30)
LINK_LIFE = timedelta(minutes=60)
MOST_MISSES = 5
SESSION_LIFE = timedelta(days=30)
SESSION_IDLE = timedelta(hours=24)

SIGNED_IN = LoginSession.expires_at >= func.now(), LoginSession.last_seen_at >= func.now() - SESSION_IDLE
# Made once (``people.OF_CUSTOMER``): each page asks it.
OF_TOKEN = select(LoginSession, func.clock_timestamp()).where(
    LoginSession.token_hash == bindparam("token"), *SIGNED_IN
)


def by_email(session: Session, email: str) -> User | None:
    return session.execute(select(User).where(func.lower(User.email) == email.lower())).scalar()


def start_sign_up(session: Session, email: str, password: str, referral: str | None, key: str) -> AuthToken:
    """Keep the sign-up and mail its code; for a known address mail that instead. The answer is the same."""
    existing = by_email(session, email)
    code = f"{secrets.randbelow(1_000_000):06d}"
    token = AuthToken(
        kind="confirm",
        email=email,
        user_id=existing.id if existing else None,
        password_hash=passwords.make_hash(password),
        referral_code=referral,
        secret_hash=secrets.token_hex(32) if existing else mac(key, code),
        expires_at=func.now() + CODE_LIFE,
    )
    session.add(token)
    session.flush()
    _mail_code(session, token, existing, code)
    return token


def new_code(session: Session, token: AuthToken, key: str) -> AuthToken:
    """Another code for the same sign-up; the one before stops working."""
    token.used_at = func.now()
    code = f"{secrets.randbelow(1_000_000):06d}"
    known = by_email(session, token.email)
    fresh = AuthToken(
        kind="confirm",
        email=token.email,
        user_id=known.id if known else None,
        password_hash=token.password_hash,
        referral_code=token.referral_code,
        secret_hash=secrets.token_hex(32) if known else mac(key, code),
        expires_at=func.now() + CODE_LIFE,
    )
    session.add(fresh)
    session.flush()
    _mail_code(session, fresh, known, code)
    return fresh


def _mail_code(session: Session, token: AuthToken, known: User | None, code: str) -> None:
    """The code, in the language of the page that asked for it: whoever reads it signed up there, a moment ago."""
    if known is None:
        notices.owe(session, "code", f"code:{token.id}", token.email, {"token_id": token.id}, secret=code)
        return
    with speaking_to(known):
        notices.owe(session, "exists", f"exists:{token.id}", token.email, {}, user_id=known.id)


def finish_sign_up(session: Session, token_id: int, code: str, key: str) -> User | None:
    """The new user, if the code is right, fresh and unused; None otherwise. Misses are counted."""
    token = session.get(AuthToken, token_id, with_for_update=True)
    if (
        token is None
        or token.used_at
        or token.misses >= MOST_MISSES
        or token.expires_at < database_now(session)
    ):
        return None
    if not hmac.compare_digest(token.secret_hash, mac(key, code)):
        token.misses += 1
        return None
    token.used_at = func.now()
    if by_email(session, token.email) is not None:
        return None
    user = User(
        email=token.email,
        password_hash=token.password_hash or "",
        email_confirmed_at=func.now(),
        referral_code=token.referral_code,
        locale=language.locale(),
    )
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:  # somebody has moved to the address in this moment
        return None
    with speaking_to(user):
        notices.owe(session, "welcome", f"welcome:{user.id}", user.email, {}, user_id=user.id)
    audit.record(session, "user.created", actor="user", user_id=user.id)
    return user


def authenticate(session: Session, email: str, password: str) -> User | None:
    """The user with this address and password. Takes as long for an unknown address."""
    user = by_email(session, email)
    if not passwords.matches(user.password_hash if user else None, password) or user is None:
        return None
    if passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.make_hash(password)
    return user


def open_session(session: Session, user: User, user_agent: str) -> str:
    """A new signed-in browser. Returns the token for its cookie; only the hash is kept."""
    token = secrets.token_urlsafe(32)
    session.add(
        LoginSession(
            user_id=user.id,
            token_hash=_sha(token),
            user_agent=user_agent[:200],
            expires_at=func.now() + SESSION_LIFE,
        )
    )
    return token


def find_session(session: Session, token: str) -> Row[LoginSession, datetime] | None:
    """The signed-in browser of a cookie's token, unless it ended, expired or was idle for a day; and the database's
    clock as it was found, so that a page need not ask for that."""
    return session.execute(OF_TOKEN, {"token": _sha(token)}).first()


def open_sessions(session: Session, user_id: int) -> list[LoginSession]:
    """The browsers that are signed in now, the one seen last first."""
    found = select(LoginSession).where(LoginSession.user_id == user_id, *SIGNED_IN)
    return list(session.execute(found.order_by(LoginSession.last_seen_at.desc())).scalars())


def forget_old(session: Session) -> None:
    """Remove browsers that can't come back, and codes and links that ended a day ago, with the passwords in them."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at < func.now()))
    session.execute(delete(LoginSession).where(LoginSession.last_seen_at < func.now() - SESSION_IDLE))
    session.execute(delete(AuthToken).where(AuthToken.expires_at < func.now() - timedelta(days=1)))


def close_one_session(session: Session, user_id: int, session_id: int) -> bool:
    """Sign out one of the person's browsers; False where it is none of theirs, or gone."""
    gone = delete(LoginSession).where(LoginSession.user_id == user_id, LoginSession.id == session_id)
    return session.execute(gone.returning(LoginSession.id)).scalar() is not None


def close_sessions(session: Session, user_id: int, *, but: int | None = None) -> None:
    """Sign the person out everywhere, or everywhere else."""
    gone = delete(LoginSession).where(LoginSession.user_id == user_id)
    session.execute(gone.where(LoginSession.id != but) if but is not None else gone)


def start_reset(session: Session, email: str) -> None:
    """Mail a link to set a new password, if the address has an account. An older link stops working."""
    user = by_email(session, email)
    if user is None:
        return
    session.refresh(
        user, with_for_update=True
    )  # two requests at once: the later one voids the earlier one's link
    void(session, user.id, "reset")
    token, secret = make_link(session, user, "reset", user.email, LINK_LIFE)
    key, facts = f"reset:{token.id}", {"token_id": token.id}
    with speaking_to(user):
        notices.owe(session, "reset", key, user.email, facts, user_id=user.id, secret=secret)


def make_link(session: Session, user: User, kind: str, email: str, life: timedelta) -> tuple[AuthToken, str]:
    """A link to be mailed to ``email``: its row, and the secret, of which only the hash is kept."""
    secret = secrets.token_urlsafe(32)
    token = AuthToken(
        kind=kind, email=email, user_id=user.id, secret_hash=_sha(secret), expires_at=func.now() + life
    )
    session.add(token)
    session.flush()
    return token, secret


def open_link(session: Session, kind: str, secret: str) -> AuthToken | None:
    """The unused, unexpired link of this secret; locked, after its person, as everywhere."""
    found = select(AuthToken).where(
        AuthToken.kind == kind,
        AuthToken.secret_hash == _sha(secret),
        AuthToken.used_at.is_(None),
        AuthToken.expires_at > func.now(),
    )
    token = session.execute(found).scalar()
    if token is None or token.user_id is None:
        return None
    session.get(User, token.user_id, with_for_update=True, populate_existing=True)
    return session.execute(found.with_for_update().execution_options(populate_existing=True)).scalar()


def set_password(session: Session, user: User, password: str, *, keep_session: int | None = None) -> None:
    """A new password: other browsers are signed out, links are void, and the person is told by mail."""
    user.password_hash = passwords.make_hash(password)
    close_sessions(session, user.id, but=keep_session)
    for kind in ("reset", "email"):
        void(session, user.id, kind)
    at = database_now(session)
    key = f"sec:{user.id}:{at.timestamp():.6f}"
    with speaking_to(user):
        words = {"changed_at": moment_text(at)}
        notices.owe(session, "pw_changed", key, user.email, {}, words=words, user_id=user.id)
    audit.record(session, "user.password", actor="user", user_id=user.id)


def void(session: Session, user_id: int, kind: str, *, since: int = 0) -> None:
    """The person's unused codes or links of this kind work no more; ``since``: that one and what came after it."""
    unused = (AuthToken.user_id == user_id, AuthToken.kind == kind, AuthToken.used_at.is_(None))
    for token in session.execute(select(AuthToken).where(*unused, AuthToken.id >= since)).scalars():
        token.used_at = func.now()


def mac(key: str, code: str) -> str:
    """Six digits are guessed fast from a plain hash; with the key they are not."""
    return hmac.new(key.encode(), f"code:{code}".encode(), hashlib.sha256).hexdigest()


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""People, their signed-in browsers, and the codes and links that were mailed to them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from billing.extensions import Model
from billing.models.columns import Big, Id, Made, Moment, Str


class User(Model):
    """A person. ``stripe_customer_id`` is made by us, once, and never adopted by e-mail address.

    ``mail_refused_at``: when the mail server refused the address for good; None while mail is taken.
    ``locale``: the one they signed up in, until they choose another on the account page, as they do ``time_zone``;
    None of either: nothing was chosen.
    ``deletion_due_at``: when the account is to be deleted, None while it stays (``Deletion``). ``deleted_at``: nobody
    is behind this row any more; it stands for what must be kept.
    """

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email_lower", text("lower(email)"), unique=True),)

    id: Mapped[Id]
    email: Mapped[Str]
    password_hash: Mapped[Str]
    email_confirmed_at: Mapped[Moment]
    is_admin: Mapped[bool] = mapped_column(default=False)
    referral_code: Mapped[Str | None]
    stripe_customer_id: Mapped[Str | None] = mapped_column(unique=True)
    mail_refused_at: Mapped[Moment | None]
    locale: Mapped[Str | None]
    time_zone: Mapped[Str | None]
    deletion_due_at: Mapped[Moment | None]
    deleted_at: Mapped[Moment | None]
    created_at: Mapped[Made]


class LoginSession(Model):
    """One signed-in browser. The cookie holds the token, this row only its hash, so it can be ended here."""

    __tablename__ = "login_sessions"

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[Str] = mapped_column(unique=True)
    user_agent: Mapped[Str]
    created_at: Mapped[Made]
    last_seen_at: Mapped[Made]
    expires_at: Mapped[Moment]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class AuthToken(Model):
    """A code (``kind`` confirm) or link (``kind`` reset) that was mailed; single use, hashed, short-lived.

    A sign-up keeps its password and referral here until the code proves the address; only then is there
    a user. A sign-up with a known address looks the same and can never succeed.
    """

    __tablename__ = "auth_tokens"

    id: Mapped[Id]
    kind: Mapped[Str]
    email: Mapped[Str]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    password_hash: Mapped[Str | None]
    referral_code: Mapped[Str | None]
    secret_hash: Mapped[Str] = mapped_column(index=True)
    misses: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Made]
    expires_at: Mapped[Moment]
    used_at: Mapped[Moment | None]

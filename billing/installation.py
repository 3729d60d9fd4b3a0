"""Whose database this is. A database that was made for another mode or Stripe account is refused."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from billing.config import Config
from billing.errors import ConfigError
from billing.models import Installation


def current(session: Session) -> Installation | None:
    """The one row, or None before ``flask setup`` or before the first migration."""
    try:
        return session.get(Installation, 1)
    except ProgrammingError as problem:
        session.rollback()
        if getattr(problem.orig, "sqlstate", None) != "42P01":
            raise
        return None


def public_id(session: Session) -> str:
    """The id that our objects at Stripe carry in ``metadata.installation``."""
    found = current(session)
    if found is None:
        raise ConfigError("This database has not been set up; run `flask setup`.")
    return found.public_id


def fingerprint(key: str) -> str:
    """A name for a secret that gives nothing of it away."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def record(session: Session, config: Config, account: str) -> Installation:
    """Write the row once; later calls check it. The caller commits. Raises ConfigError on a mismatch."""
    found = current(session)
    if found is None:
        found = Installation(
            public_id=secrets.token_hex(8),
            livemode=config.livemode,
            stripe_account=account,
            key_fingerprint=fingerprint(config.stripe_secret_key),
        )
        session.add(found)
    check(found, config, account)
    found.key_fingerprint = fingerprint(config.stripe_secret_key)
    return found


def check(found: Installation, config: Config, account: str | None) -> None:
    """Raise ConfigError where the row and the settings disagree; ``account`` None: not known now."""
    if found.livemode != config.livemode:
        ours, theirs = ("live", "test") if config.livemode else ("test", "live")
        raise ConfigError(
            f"DATABASE_URL leads to a database of {theirs} mode and STRIPE_SECRET_KEY is a {ours} key; they never mix."
        )
    if account is not None and account != found.stripe_account:
        raise ConfigError(
            f"DATABASE_URL leads to a database of Stripe account {found.stripe_account} "
            f"and STRIPE_SECRET_KEY belongs to {account}; use the key of that account or another database."
        )


def knows_key(found: Installation, config: Config) -> bool:
    """Whether this key was seen to belong to the recorded account, so that Stripe need not be asked."""
    return found.key_fingerprint == fingerprint(config.stripe_secret_key)

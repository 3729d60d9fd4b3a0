"""Before a process serves: is this database of our mode and our Stripe account?"""

from __future__ import annotations

import logging

from sqlalchemy.exc import OperationalError

from billing import installation, running, schema, stripe_reads
from billing.errors import ConfigError, StripeError
from billing.extensions import db

log = logging.getLogger(__name__)


def refuse_foreign_database() -> None:
    """Compare the recorded installation with the settings; Stripe is asked only when the key is new.

    Raises ConfigError, also where a new key can't be asked whose it is: the money of one account must never
    be moved by the rows of another. A database that does not answer now is no reason to stay down: pages
    then answer 503, and the worker and the clock wait, until it does.
    """
    config = running.config()
    try:
        found = installation.current(db.session())
        if found is None:
            return
        installation.check(found, config, None)  # before a key of the other mode is used for anything
        if not installation.knows_key(found, config):
            installation.check(found, config, _account())
            found.key_fingerprint = installation.fingerprint(config.stripe_secret_key)
            db.session.commit()
    except OperationalError as problem:
        log.error("database not reached at start", extra={"reason": type(problem).__name__})
    finally:
        db.session.remove()


def refuse_old_schema() -> None:
    """Raise ConfigError where the database lacks a migration: a worker without its columns would fail each event."""
    if _schema_is_too_old():
        raise ConfigError("The database lacks migrations of this version; run `flask db upgrade`.")


def tell_of_old_schema() -> None:
    """For the web process, which starts all the same: it may be able to take events. ``/healthz`` is red too."""
    if _schema_is_too_old():
        log.error("the database lacks migrations of this version; run flask db upgrade")


def _schema_is_too_old() -> bool:
    try:
        return schema.is_too_old(db.session())
    except OperationalError as problem:
        log.error("database not reached at start", extra={"reason": type(problem).__name__})
        return False
    finally:
        db.session.remove()


def _account() -> str:
    try:
        return str(stripe_reads.get_account()["id"])
    except StripeError as problem:
        raise ConfigError(
            f"STRIPE_SECRET_KEY is new to this database, and its account can't be asked for: {problem}. Check the "
            "key and, for a restricted one, its permission to read the account; then start again."
        ) from problem

"""Before a process serves: is this database of our mode and our Stripe account?"""

from __future__ import annotations

import logging

from flask import current_app
from sqlalchemy.exc import OperationalError

from billing import installation, stripe_client
from billing.config import Config
from billing.errors import StripeError
from billing.extensions import db

log = logging.getLogger(__name__)


def refuse_foreign_database() -> None:
    """Compare the recorded installation with the settings; Stripe is asked only when the key is new.

    Raises ConfigError. A database that does not answer now is no reason to stay down: pages then answer
    503, and the worker and the clock wait, until it does.
    """
    config: Config = current_app.extensions["config"]
    try:
        found = installation.current(db.session())
        if found is None:
            return
        installation.check(found, config, None)  # before a key of the other mode is used for anything
        account = None if installation.knows_key(found, config) else _account()
        installation.check(found, config, account)
        if account is not None:
            found.key_fingerprint = installation.fingerprint(config.stripe_secret_key)
            db.session.commit()
    except OperationalError as problem:
        log.error("database not reached at start", extra={"reason": type(problem).__name__})
    finally:
        db.session.remove()


def _account() -> str | None:
    try:
        return str(stripe_client.get_account()["id"])
    except StripeError as problem:
        log.warning("account not checked", extra={"reason": str(problem)})
        return None

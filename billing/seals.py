"""A quote as its form carries it: signed, so that nobody agrees to what we didn't say, and good for half an hour."""

from __future__ import annotations

from typing import Any

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.orm import Session

from billing import running
from billing.clock import database_now
from billing.language import later

FRESH_SECONDS = 30 * 60
OLD = later("This page was open for a while, so we asked Stripe again. This is what the change costs now.")
OTHER = later("Something changed while this page was open. This is what the change costs now.")


def sealed(session: Session, terms: dict[str, Any]) -> str:
    """The terms for a hidden field, with the moment by the database's clock."""
    return _seal().dumps({"terms": terms, "at": _seconds(session)})


def opened(session: Session, text: str) -> tuple[dict[str, Any] | None, str | None]:
    """What somebody agreed to; or None and the words that say why we ask again."""
    try:
        found = _seal().loads(text)
    except BadSignature as problem:  # another one's, or changed
        current_app.logger.info("quote not taken", extra={"reason": type(problem).__name__})
        return None, OTHER
    if _seconds(session) - found["at"] > FRESH_SECONDS:
        return None, OLD
    terms: dict[str, Any] = found["terms"]
    return terms, None


def _seconds(session: Session) -> int:
    return int(database_now(session).timestamp())


def _seal() -> URLSafeSerializer:
    config = running.config()
    return URLSafeSerializer([*config.secret_key_fallbacks, config.secret_key], salt="what a change costs")

"""The link of a mail by which one invoice can be paid without a sign-in: signed, of that invoice alone, for 14 days.

It is made as its mail is written, from the notice's row, so that nothing of it is kept and a mail that is written again
has the same one. It names the invoice and when the mail was owed; whoever has it sees an amount and a plan.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.orm import Session

from billing import running
from billing.clock import database_now

LIFE = timedelta(days=14)


def path(invoice: str, owed_at: datetime) -> str:
    """Where the link of a mail leads that was owed at that moment, by the database's clock."""
    return f"/pay/{_seal().dumps([invoice, int(owed_at.timestamp())])}"


def opened(session: Session, token: str) -> tuple[str | None, bool]:
    """The id of its invoice, None where we didn't make the link; and whether its time is over."""
    try:
        invoice, seconds = _seal().loads(token)
    except (BadSignature, ValueError, TypeError):
        return None, False
    return invoice, database_now(session).timestamp() - seconds > LIFE.total_seconds()


def _seal() -> URLSafeSerializer:
    config = running.config()
    return URLSafeSerializer([*config.secret_key_fallbacks, config.secret_key], salt="pay one invoice")

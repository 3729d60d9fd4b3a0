"""The mails before a charge: of a long period that renews, and of a card that won’t be valid any more by then.

The clock asks again and again what is near; a mail's key makes it one. Today is the test clock's where there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from billing import audit, labels, notices, readers, refresh, still
from billing.config import Config
from billing.errors import StripeError
from billing.models import Notice, Subscription, User
from billing.words import day

log = logging.getLogger(__name__)

# A period of more than 180 days is announced before it begins anew; the card networks ask for 7 to 30 days.
LONG, RENEWAL_AHEAD = timedelta(days=180), timedelta(days=14)
CARD_AHEAD = timedelta(days=7)
# Banks and networks replace most cards unasked, so Stripe is looked at before anybody is told of theirs.
FRESH = timedelta(hours=1)
PRESENT = func.coalesce(Subscription.clock_time, func.now())
Found = Sequence[tuple[Subscription, User]]


def owe_what_is_near(session: Session, config: Config) -> None:
    """Owe each mail whose time has come, once; asks Stripe about cards that look as if they were over. Commits."""
    _look_at(session, _with_ending_cards(session, Subscription.fetched_at <= func.now() - FRESH), config)
    _owe(session, "renewal", _renewing(session), renewal_key, _renewal_words)
    looked_at = Subscription.fetched_at > func.now() - FRESH
    _owe(session, "card_expiring", _with_ending_cards(session, looked_at), card_key, _card_words)
    session.commit()


def _renewing(session: Session) -> Found:
    lasted = Subscription.current_period_end - Subscription.current_period_start
    return _charged(session, RENEWAL_AHEAD, Subscription.status == "active", lasted > LONG)


def _with_ending_cards(session: Session, fetched: ColumnElement[bool]) -> Found:
    over = Subscription.card_expires_at <= Subscription.current_period_end
    running = Subscription.status.in_(("active", "trialing"))
    return _charged(session, CARD_AHEAD, over, running, fetched)


def _charged(session: Session, ahead: timedelta, *more: ColumnElement[bool]) -> Found:
    """Subscriptions that Stripe will charge by itself, within that time."""
    found = (
        select(Subscription, User)
        .join(User, User.id == Subscription.user_id)
        .where(
            Subscription.current_period_end > PRESENT,
            Subscription.current_period_end <= PRESENT + ahead,
            Subscription.cancel_at.is_(None),
            Subscription.cancel_at_period_end.is_(False),
            func.coalesce(func.jsonb_typeof(Subscription.pause_collection), "null") == "null",
            Subscription.collection_method == "charge_automatically",
            *more,
        )
    )
    return [(row, user) for row, user in session.execute(found.order_by(Subscription.id))]


def _look_at(session: Session, found: Found, config: Config) -> None:
    """Have Stripe looked at where nobody was told yet; while it is away, nobody is."""
    told = _told(session, (card_key(row) for row, _ in found))
    wanted = [(row.stripe_id, user.stripe_customer_id) for row, user in found if card_key(row) not in told]
    session.rollback()  # no transaction is open while Stripe is asked
    for stripe_id, customer in wanted:
        try:
            refresh.subscription(session, stripe_id, customer, config, "clock")
        except StripeError as problem:
            log.warning("card not looked at", extra={"subject": stripe_id, "reason": type(problem).__name__})
            return


def renewal_key(row: Subscription) -> str:
    return f"renewal:{row.stripe_id}:{_stamp(row.current_period_end)}"


def card_key(row: Subscription) -> str:
    """One for each card and month of expiry; the subscription stands for a card whose id we never saw."""
    known = row.payment_methods or {}
    return (
        f"cardexp:{known.get('own') or known.get('customer') or row.stripe_id}:{_stamp(row.card_expires_at)}"
    )


def _stamp(moment: datetime | None) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _owe(
    session: Session,
    kind: str,
    found: Found,
    key_of: Callable[[Subscription], str],
    words_of: Callable[[Subscription], dict[str, Any]],
) -> None:
    told = _told(session, (key_of(row) for row, _ in found))
    for row, user in found:
        key = key_of(row)
        if key in told:
            continue
        present = audit.picture(row)
        facts = {"subscription": row.stripe_id} | {name: present[name] for name in still.SAME[kind]}
        with readers.speaking_to(user):
            words = {"due_date": day(row.current_period_end), "card": labels.card(row), **words_of(row)}
            notices.owe(session, kind, key, user.email, facts, words=words, user_id=user.id)


def _told(session: Session, keys: Iterable[str]) -> set[str]:
    return set(session.execute(select(Notice.dedupe_key).where(Notice.dedupe_key.in_(keys))).scalars())


def _renewal_words(row: Subscription) -> dict[str, Any]:
    plan, amount = labels.renewal(row)
    return {"plan": plan, "amount": amount}


def _card_words(row: Subscription) -> dict[str, Any]:
    """The month as it is printed on cards: ``12/2026``."""
    last = (row.card_expires_at or row.current_period_end) - timedelta(days=1)  # type: ignore[operator]
    return {**_renewal_words(row), "expires": f"{last:%m/%Y}"}

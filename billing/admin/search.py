"""Finding people: by their address or a part of it, by any of Stripe's ids, and by what they have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true, tuple_, union
from sqlalchemy.orm import Session, aliased

from billing import accounts
from billing.admin import paging
from billing.admin.paging import Order, Query
from billing.models import (
    CheckoutSession,
    Dispute,
    FraudWarning,
    Invoice,
    Payment,
    Refund,
    StripeEvent,
    Subscription,
    User,
)
from billing.models.subscriptions import FINAL, speaking_rank

WHOLE_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# Two answers of the status filter that are no status of Stripe's.
NONE, CANCELING = "none", "canceling"


@dataclass(frozen=True)
class Wanted:
    """The filters of the address, as given."""

    q: str = ""
    status: str = ""
    plan: str = ""

    @classmethod
    def of(cls, args: Mapping[str, str]) -> Wanted:
        return cls(*(paging.text_of(args, name) for name in ("q", "status", "plan")))

    def filters(self) -> dict[str, str]:
        return asdict(self)


def jump(session: Session, text: str) -> int | None:
    """The one user whom an exact id of Stripe's belongs to; None for anything else, or for several."""
    found = _BY_ID.get(text.partition("_")[0])
    if found is None or "_" not in text:
        return None
    ids = (
        session.execute(union(*(one.where(column == text) for one, column in found)).limit(2)).scalars().all()
    )
    return int(ids[0]) if len(ids) == 1 else None


_EVENT_OWNER = or_(
    User.id == StripeEvent.user_id,
    and_(StripeEvent.user_id.is_(None), User.stripe_customer_id == StripeEvent.customer_id),
)

_BY_ID: dict[str, list[tuple[Select[Any], ColumnElement[Any]]]] = {
    "cus": [(select(User.id), User.stripe_customer_id.expression)],
    "sub": [(select(Subscription.user_id), Subscription.stripe_id.expression)],
    "in": [(select(Invoice.user_id), Invoice.stripe_id.expression)],
    "pi": [
        (select(Payment.user_id), Payment.payment_intent.expression),
        (select(Invoice.user_id), Invoice.payment_intent.expression),
    ],
    "re": [(select(Refund.user_id), Refund.stripe_id.expression)],
    "pyr": [(select(Refund.user_id), Refund.stripe_id.expression)],
    "dp": [(select(Dispute.user_id), Dispute.stripe_id.expression)],
    "du": [(select(Dispute.user_id), Dispute.stripe_id.expression)],
    "issfr": [(select(FraudWarning.user_id), FraudWarning.stripe_id.expression)],
    "cs": [(select(CheckoutSession.user_id), CheckoutSession.stripe_id.expression)],
    "evt": [(select(User.id).join(StripeEvent, _EVENT_OWNER), StripeEvent.event_id.expression)],
    "dunlin": [(select(User.id).join(StripeEvent, _EVENT_OWNER), StripeEvent.event_id.expression)],
}


@dataclass(frozen=True)
class Found:
    """``rows``: (User, the Subscription that speaks for them or None); ``some``: the same, for counting."""

    rows: Query
    some: Query
    order: Order


def at_address(session: Session, text: str) -> int | None:
    """Whose address this is, found by its index; None where it is nobody's, or no whole address."""
    if not WHOLE_ADDRESS.fullmatch(text):
        return None
    found = accounts.by_email(session, text)
    return found.id if found else None


def people(wanted: Wanted, one: int | None = None) -> Found:
    """Who matches. ``one``: the person who has exactly the address that is looked for; nobody else is shown then.

    A filter on the subscription starts from that table and goes by its ids, so that an index answers it;
    everything else goes by the users' ids.
    """
    matching = [User.id == one] if one else _matching(wanted.q)
    if wanted.plan or wanted.status not in ("", NONE):
        return _by_subscription(wanted, matching)
    return _by_user(wanted, matching)


def _by_user(wanted: Wanted, matching: list[ColumnElement[bool]]) -> Found:
    conditions = [*matching]
    if wanted.status == NONE:
        conditions.append(~exists().where(Subscription.user_id == User.id))
    ranked = select(Subscription).where(Subscription.user_id == User.id)
    newest = ranked.order_by(speaking_rank(Subscription), Subscription.created.desc(), Subscription.id.desc())
    best = aliased(Subscription, newest.limit(1).lateral())
    rows = select(User, best).outerjoin(best, true()).where(*conditions)
    return Found(rows, select(User.id).where(*conditions), paging.by_id(User.id, lambda row: row[0].id))


def _by_subscription(wanted: Wanted, matching: list[ColumnElement[bool]]) -> Found:
    conditions = [_speaks(), *matching]
    if wanted.plan:
        conditions.append(Subscription.plan == wanted.plan)
    if wanted.status == CANCELING:
        conditions.append(Subscription.status.not_in(FINAL))
        conditions.append(or_(Subscription.cancel_at.is_not(None), Subscription.cancel_at_period_end))
    elif wanted.status:
        conditions.append(Subscription.status == wanted.status)
    rows = select(User, Subscription).join(Subscription, Subscription.user_id == User.id).where(*conditions)
    # Every subscription has its user, so only a text is looked for there; and by the ids, as the page does: else a
    # whole table is sorted out before the first row is counted.
    some = select(Subscription.id).where(*conditions).order_by(Subscription.id.desc())
    if matching:
        some = some.join(User, Subscription.user_id == User.id)
    return Found(rows, some, paging.by_id(Subscription.id, lambda row: row[1].id))


def _speaks() -> ColumnElement[bool]:
    """No other subscription of the person comes first."""
    other = aliased(Subscription)
    newer = tuple_(other.created, other.id) > tuple_(Subscription.created, Subscription.id)
    theirs, this = speaking_rank(other), speaking_rank(Subscription)
    first = or_(theirs < this, and_(theirs == this, newer))
    return ~exists().where(other.user_id == Subscription.user_id, first)


def _matching(q: str) -> list[ColumnElement[bool]]:
    """The address contains the text; the wildcards of LIKE stand for themselves."""
    return [func.lower(User.email).contains(q.lower(), autoescape=True)] if q else []

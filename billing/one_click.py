"""Buying once with the card that is saved at Stripe: which card that is, what Stripe is asked for, and why it isn't.

A PaymentIntent is made and confirmed by us, without a card field: whoever buys is there, so that their bank may ask
them. What became of it is told by its events alone, as of everything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from billing import facts
from billing.clock import database_now
from billing.config import Config
from billing.grants import Promise
from billing.models import Payment, PlanPrice, StripeWrite, User
from billing.plans import Product
from billing.words import BRANDS, means
from billing.write_request import WriteRequest

OPERATION = "payment_intent.create"
HOUR = timedelta(hours=1)
MOST = 10  # in an hour: a stolen account is no place to try cards
NO_END = (*StripeWrite.OPEN, "unknown")
NOT_DONE = ("declined", "failed")
# Stripe's words for a payment that is still going on.
GOING_ON = ("processing", "requires_action", "requires_confirmation")


@dataclass(frozen=True)
class SavedCard:
    """``method``: Stripe's id of it; ``name``: “Visa ending 4242”."""

    method: str
    name: str


@dataclass(frozen=True)
class Stop:
    """Why nothing is charged: ``under_way``, another purchase (``write``) has no end yet; ``again``, it was bought
    since the page was opened; ``too_many``, for so many ``minutes``."""

    code: Literal["under_way", "again", "too_many"]
    write: StripeWrite | None = None
    minutes: int = 0


def card_of(session: Session, user_id: int) -> SavedCard | None:
    """The card that Stripe charges for the person's plan, as last seen; None where it is no card, or there is none.

    Stripe is not asked: a card that was removed meanwhile is refused, and that leads to Checkout.
    """
    row = facts.subscription_of(session, user_id)
    known = (row.payment_methods if row else None) or {}
    method = str(known.get("own") or known.get("customer") or "")
    name = means(row.card_brand, row.card_last4) if row and row.card_brand in BRANDS else None
    return SavedCard(method, name) if name and method.startswith("pm_") else None


def request(
    user: User, product: Product, price: PlanPrice, method: str, token: str, config: Config, installation: str
) -> WriteRequest:
    """The write that takes the price from the card. One form (``token``) is one write, however often it is sent.

    With ``return_url`` Stripe names a page of its own where the bank has to be asked
    (``next_action.redirect_to_url.url``).
    """
    metadata = {"user_id": str(user.id), **Promise.of(product).metadata, "installation": installation}
    if user.referral_code:
        metadata["referral_code"] = user.referral_code
    params: dict[str, Any] = {
        "amount": price.amount,
        "currency": price.currency,
        "customer": user.stripe_customer_id,
        "payment_method": method,
        "confirm": True,
        "description": product.title,
        "metadata": {**metadata, "order": token},
        "return_url": f"{config.public_url}/orders/return",
    }
    return WriteRequest("payment_intent.create", _name(user.id, token), params, user_id=user.id)


def once_more(write: StripeWrite) -> WriteRequest:
    """The same write, to be driven to its end."""
    params = json.loads(write.params)
    return WriteRequest("payment_intent.create", write.name, params, user_id=write.user_id)


def promised(write: StripeWrite) -> Promise:
    """What it was to buy."""
    return Promise.read(json.loads(write.params)["metadata"]) or Promise("")


def of_form(session: Session, user_id: int, token: str | None) -> StripeWrite | None:
    """The write that the person's form of this token asked for."""
    found = select(StripeWrite).where(StripeWrite.name == _name(user_id, token or ""))
    return session.execute(found).scalar()


def of_intent(session: Session, user_id: int, payment_intent: str) -> StripeWrite | None:
    """The person's write that made this payment."""
    return session.execute(_mine(user_id).where(StripeWrite.stripe_object_id == payment_intent)).scalar()


def refused(session: Session, user_id: int, number: int) -> StripeWrite | None:
    """The person's write of this number, where the card was declined or not taken."""
    found = _mine(user_id).where(StripeWrite.id == number, StripeWrite.state.in_(NOT_DONE))
    return session.execute(found).scalar()


def stopped(session: Session, user_id: int, product: str, last: int) -> Stop | None:
    """Why the person can't buy now; their row is locked, so that clicks in two tabs come one after the other.

    ``last``: the newest purchase of this product that the page was opened with.
    """
    session.execute(select(User.id).where(User.id == user_id).with_for_update())
    write = under_way(session, user_id)
    if write is not None:
        return Stop("under_way", write)
    if last_bought(session, user_id, product) != last:
        return Stop("again")
    since = database_now(session) - HOUR
    tried = _mine(user_id).where(StripeWrite.created_at > since).order_by(StripeWrite.id.desc()).limit(MOST)
    latest = session.execute(tried).scalars().all()
    left = latest[-1].created_at - since if len(latest) == MOST else timedelta(0)
    return Stop("too_many", minutes=-int(-left.total_seconds() // 60)) if left else None


def under_way(session: Session, user_id: int, *, waiting: bool = True) -> StripeWrite | None:
    """The person's newest purchase with a saved card of which nobody knows how it ended. What waits for their bank
    counts for an hour, and not at all without ``waiting``."""
    done = StripeWrite.state == "done"
    fresh = StripeWrite.created_at > database_now(session) - HOUR
    unheard = and_(done, Payment.id.is_(None))
    unsettled = and_(done, fresh, Payment.status.in_(GOING_ON if waiting else ()))
    found = (
        _mine(user_id)
        .outerjoin(Payment, Payment.payment_intent == StripeWrite.stripe_object_id)
        .where(or_(StripeWrite.state.in_(NO_END), unheard, unsettled))
    )
    return session.execute(found.order_by(StripeWrite.id.desc()).limit(1)).scalar()


def last_bought(session: Session, user_id: int, product: str) -> int:
    """The newest purchase of this product that the person paid; 0 where there is none."""
    bought = select(func.max(Payment.id)).where(
        Payment.user_id == user_id, Payment.product == product, Payment.fulfilled_at.is_not(None)
    )
    return session.execute(bought).scalar() or 0


def _mine(user_id: int) -> Any:
    return select(StripeWrite).where(StripeWrite.user_id == user_id, StripeWrite.operation == OPERATION)


def _name(user_id: int, token: str) -> str:
    return f"order:{user_id}:{token}"

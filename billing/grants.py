"""What people hold for what they bought once: credits, and features for life.

A ledger that only grows. ``settle`` brings its sum to what a payment is worth now, and may run any number of times, in
any order: it reads our rows alone, which applied events wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babel.numbers import format_decimal
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import language, running
from billing.labels import title
from billing.language import _
from billing.models import Dispute, Grant, Payment, User
from billing.plan_file import MOST_CREDITS
from billing.plans import Product
from billing.standing import Standing
from billing.syncing import Cause

CREDITS = ""


@dataclass(frozen=True)
class Promise:
    """What an order of a catalogue's item is to give once it is paid, whatever the catalogue says by then.
    ``gives``: names of features, comma-separated."""

    item: str
    credits: int = 0
    gives: str = ""

    @classmethod
    def of(cls, product: Product) -> Promise:
        return cls(product.name, product.credits, ",".join(product.gives))

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> Promise | None:
        """The promise that Stripe's object carries; None where it carries none."""
        item, credits_ = metadata.get("plan"), str(metadata.get("credits", ""))
        fits = credits_.isascii() and credits_.isdecimal() and int(credits_[:12]) <= MOST_CREDITS
        return cls(item, int(credits_) if fits else 0, str(metadata.get("gives", ""))) if item else None

    @property
    def metadata(self) -> dict[str, str]:
        """As Stripe's objects carry it."""
        given = {"credits": str(self.credits or ""), "gives": self.gives}
        return {"plan": self.item, **{name: value for name, value in given.items() if value}}


@dataclass(frozen=True)
class Held:
    """``credits``: below zero where more was spent than was left in the end. ``features``: for life, each with the
    product that gave it."""

    credits: int
    features: dict[str, str]


def settle(session: Session, payment: Payment, cause: Cause) -> None:
    """Bring the ledger to what the payment's status, refunds and lost disputes say. Its row is locked until the
    transaction ends, so that two of these come one after the other; ``Grant.key`` would refuse the second."""
    intent = payment.payment_intent
    session.execute(select(Payment.id).where(Payment.payment_intent == intent).with_for_update())
    due, done = _due(session, payment), _done(session, intent)
    for feature in sorted({*due, *done}):
        total, number = done.get(feature, (0, 0))
        change = due.get(feature, 0) - total
        if change:
            kind = "taken_back" if change < 0 else "given_back" if number else "granted"
            row = Grant(
                key=f"{intent}:{feature}:{number + 1}", user_id=payment.user_id, kind=kind, amount=change
            )
            row.feature, row.payment_intent, row.product = feature, intent, payment.product
            row.cause_event_id = cause.event_id or None
            session.add(row)
    session.flush()


def settle_intent(session: Session, payment_intent: str | None, cause: Cause) -> None:
    """The same for a one-off payment that is known by its PaymentIntent; nothing for any other."""
    found = session.execute(select(Payment).where(Payment.payment_intent == payment_intent)).scalar()
    if found is not None:
        settle(session, found, cause)


def _due(session: Session, payment: Payment) -> dict[str, int]:
    """What the payment is worth now. Credits go with the part that was not refunded, rounded in the person's favour;
    a feature stays until all is refunded. A lost dispute takes back everything."""
    left = payment.amount - payment.amount_refunded
    if payment.status != "succeeded" or left <= 0 or is_lost(session, payment):
        return {}
    credits_ = -(-(payment.credits or 0) * min(left, payment.amount) // payment.amount)
    return {CREDITS: credits_, **{feature: 1 for feature in (payment.gives or "").split(",") if feature}}


def is_lost(session: Session, payment: Payment) -> bool:
    """Whether a dispute of it was lost."""
    lost = select(Dispute.id).where(
        Dispute.payment_intent == payment.payment_intent, Dispute.status == "lost"
    )
    return session.execute(lost.limit(1)).first() is not None


def _done(session: Session, payment_intent: str) -> dict[str, tuple[int, int]]:
    """Of each feature, the sum of its entries for this payment, and how many there are."""
    entries = select(Grant.feature, func.sum(Grant.amount), func.count()).where(
        Grant.payment_intent == payment_intent
    )
    found = session.execute(entries.group_by(Grant.feature))
    return {feature: (int(total), number) for feature, total, number in found}


def held(session: Session, user_id: int) -> Held:
    """What the person has; one query."""
    entries = select(Grant.feature, func.sum(Grant.amount), func.max(Grant.product))
    found = session.execute(entries.where(Grant.user_id == user_id).group_by(Grant.feature))
    sums = {feature: (int(total), product) for feature, total, product in found}
    credits_, _product = sums.pop(CREDITS, (0, None))
    return Held(credits_, {feature: product or "" for feature, (total, product) in sums.items() if total > 0})


def balance(session: Session, user_id: int) -> int:
    """How many credits the person has; below zero where what was spent was refunded."""
    return held(session, user_id).credits


def spend(session: Session, user_id: int, credits_: int, key: str) -> bool:
    """Take credits off, once for each ``key`` of the caller's; False, and nothing is taken, where there aren't as
    many. The caller commits."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update())
    name = f"spent:{user_id}:{key}"
    if session.execute(select(Grant.id).where(Grant.key == name)).first() is not None:
        return True
    if not 0 < credits_ <= balance(session, user_id):
        return False
    session.add(Grant(key=name, user_id=user_id, kind="spent", feature=CREDITS, amount=-credits_))
    session.flush()
    return True


def features_of(session: Session, user_id: int, standing: Standing) -> frozenset[str]:
    """What is open to the person: what their plan gives while it lets them in, and what is theirs for life."""
    plan = running.catalogue().plan(standing.plan) if standing.access and standing.plan else None
    return frozenset(plan.gives if plan else ()) | held(session, user_id).features.keys()


def owns(product: Product, has: Held) -> bool:
    """Whether buying it would bring the person nothing: all that it gives is theirs for life."""
    return bool(product.gives) and not product.credits and set(product.gives) <= has.features.keys()


def lines(has: Held) -> list[tuple[str, str]]:
    """What the person has, as label and value."""
    given = dict.fromkeys(title(product) for product in has.features.values())
    found = [(_("Credits"), format_decimal(has.credits, locale=language.locale()))] if has.credits else []
    return found + ([(_("Yours for life"), ", ".join(given))] if given else [])

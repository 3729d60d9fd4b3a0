"""Checkout Sessions: who may open one, and what Stripe says became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import audit, payments, stripe_reads
from billing.clock import database_now, from_stripe
from billing.models import CheckoutSession, Subscription, User
from billing.models.subscriptions import FINAL
from billing.payloads import Object, ref
from billing.people import owner
from billing.syncing import Cause, Outcome

Mode = Literal["subscription", "payment"]
MOST_SESSIONS = 10
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Order:
    """What somebody wants to buy: a catalogue name, Stripe's price for it, and the days of trial.

    ``trial_end_behavior``: what the trial's end brings without a card, None where a card is asked for. ``locale``: the
    one they read. ``once``: the token of the form, one for each time the check page was opened; None where it had none.
    ``quantity``: the seats, 1 where it has none. ``credits`` and ``gives``: see ``grants.Promise``.
    """

    mode: Mode
    item: str
    title: str
    price_id: str
    trial_days: int = 0
    once: str | None = None
    trial_end_behavior: str | None = None
    promotion_codes: bool = False
    locale: str | None = None
    quantity: int = 1
    credits: int = 0
    gives: str = ""


@dataclass(frozen=True)
class Guard:
    """Why no new Session is opened: ``subscribed``, ``confirming``, ``tried`` where the trial that is asked for was
    had, or ``sent`` where this very form was paid. ``session_id``: the one to look at."""

    code: Literal["subscribed", "confirming", "tried", "sent"]
    session_id: str | None = None


@dataclass(frozen=True)
class TooMany:
    """The person opened so many Sessions that another one must wait for some minutes (card testing)."""

    minutes: int


def begin(session: Session, user: User, order: Order) -> CheckoutSession | Guard | TooMany:
    """The person's one open row for this mode: an old one that fits, or a new one. The caller commits.

    The user's row is locked, so that clicks in two tabs come one after the other. A row that is open for
    something else is returned too: the caller expires it at Stripe and asks again.
    """
    session.execute(select(User.id).where(User.id == user.id).with_for_update())
    if order.mode == "subscription":
        guard = stopped(session, user.id)
        if guard:
            return guard
        if order.trial_days and not may_try(session, user.id):
            return Guard("tried")
    paid = paid_by_this_form(session, user.id, order.once)
    if paid is not None:
        return Guard("sent", paid)
    row = _open_row(session, user.id, order.mode)
    if row is not None and row.expires_at is not None and row.expires_at <= database_now(session):
        row.superseded_at, row = func.now(), None
        session.flush()
    if row is None:
        minutes = _minutes_to_wait(session, user.id)
        if minutes:
            return TooMany(minutes)
        row = CheckoutSession(
            user_id=user.id,
            mode=order.mode,
            item=order.item,
            price_id=order.price_id,
            trial_days=order.trial_days,
            trial_end_behavior=order.trial_end_behavior,
            promotion_codes=order.promotion_codes,
            locale=order.locale,
            quantity=order.quantity,
            credits=order.credits or None,
            gives=order.gives or None,
            once=order.once,
            status=CheckoutSession.CREATING,
        )
        session.add(row)
        session.flush()
    return row


def fits(row: CheckoutSession, order: Order) -> bool:
    """Whether the row is open for just what is ordered; in another language it still is."""
    asked = (
        order.price_id,
        order.quantity,
        order.trial_days,
        order.trial_end_behavior,
        order.promotion_codes,
    )
    there = (row.price_id, row.quantity, row.trial_days, row.trial_end_behavior, bool(row.promotion_codes))
    return there == asked and (row.credits or 0, row.gives or "") == (order.credits, order.gives)


def _minutes_to_wait(session: Session, user_id: int) -> int:
    """0 while fewer than MOST_SESSIONS were opened within the hour. A row that is tried again counts once."""
    opened = select(CheckoutSession.created_at).where(CheckoutSession.user_id == user_id)
    latest = session.execute(opened.order_by(CheckoutSession.created_at.desc()).limit(MOST_SESSIONS))
    moments = list(latest.scalars())
    left = moments[-1] + HOUR - database_now(session) if len(moments) == MOST_SESSIONS else timedelta(0)
    return max(0, -int(-left.total_seconds() // 60))


def may_try(session: Session, user_id: int) -> bool:
    """Whether a trial may be offered: one for each person, whatever the plan, and be it known by its Session alone."""
    begun = select(CheckoutSession.id).where(
        CheckoutSession.user_id == user_id,
        CheckoutSession.mode == "subscription",
        CheckoutSession.status == "complete",
    )
    had = select(Subscription.id).where(Subscription.user_id == user_id)
    return session.execute(had).first() is None and session.execute(begun).first() is None


def has_live(session: Session, user_id: int) -> bool:
    """Whether the person has a subscription that is not over, in whatever state: a second one is never sold."""
    live = select(Subscription.id).where(Subscription.user_id == user_id, Subscription.status.not_in(FINAL))
    return session.execute(live).first() is not None


def own(session: Session, user_id: int, stripe_id: str) -> CheckoutSession | None:
    """The person's own Session of this id; somebody else's and none look the same."""
    found = select(CheckoutSession).where(
        CheckoutSession.stripe_id == stripe_id, CheckoutSession.user_id == user_id
    )
    return session.execute(found).scalar()


@dataclass(frozen=True)
class Fetched:
    session: Object
    payment_intent: Object | None


def fetch(stripe_id: str, hints: list[str]) -> Fetched:
    """The Session, and the PaymentIntent of a one-off purchase."""
    found = stripe_reads.get_checkout_session(stripe_id)
    intent = ref(found.get("payment_intent"))
    return Fetched(found, stripe_reads.get_payment_intent(intent) if intent else None)


def write(session: Session, fetched: Fetched, cause: Cause) -> Outcome:
    """Bring our row to what Stripe says of the Session."""
    found = fetched.session
    user = owner(session, found, cause.installation)
    select_row = select(CheckoutSession).where(CheckoutSession.stripe_id == found["id"]).with_for_update()
    row = session.execute(select_row).scalar() or _by_metadata(session, found, user)
    if user is None or row is None or row.user_id != user.id:
        return Outcome(None, "not ours: no Checkout Session of this installation")
    before = audit.picture(row) if row.stripe_id else {}
    row.stripe_id, row.status, row.url = found["id"], found["status"], found["url"]
    row.payment_status = found["payment_status"]
    row.amount_total, row.currency = found.get("amount_total"), found.get("currency")
    if row.status == "complete" and row.completed_at is None:
        row.completed_at = cause.now
    row.async_failed = found["payment_status"] == "unpaid" and (
        row.async_failed or cause.saw("checkout.session.async_payment_failed")
    )
    row.subscription, row.payment_intent = ref(found.get("subscription")), ref(found.get("payment_intent"))
    row.expires_at, row.fetch_no = from_stripe(found["expires_at"]), cause.fence
    row.fetched_at = cause.now
    audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)
    if fetched.payment_intent is not None:
        payments.write_intent(session, fetched.payment_intent, cause)
    return Outcome(user.id)


def _by_metadata(session: Session, found: Object, user: User | None) -> CheckoutSession | None:
    """An event may overtake the answer that names the Session; the metadata names our row."""
    number = (found.get("metadata") or {}).get("checkout", "")
    if user is None or not number.isdecimal():
        return None
    row = session.get(CheckoutSession, int(number), with_for_update=True)
    return row if row is not None and row.stripe_id is None else None


def stopped(session: Session, user_id: int) -> Guard | None:
    """Why the person can't subscribe now: they have a plan, or one that was paid is not on record yet."""
    if has_live(session, user_id):
        return Guard("subscribed")
    known = select(Subscription.stripe_id).where(Subscription.user_id == user_id)
    waiting = select(CheckoutSession.stripe_id).where(
        CheckoutSession.user_id == user_id,
        CheckoutSession.mode == "subscription",
        CheckoutSession.status == "complete",
        CheckoutSession.async_failed.is_(False),
        CheckoutSession.subscription.is_not(None),
        CheckoutSession.subscription.not_in(known),
    )
    stripe_id = session.execute(waiting.limit(1)).scalar()
    return Guard("confirming", stripe_id) if stripe_id else None


def paid_by_this_form(session: Session, user_id: int, once: str | None) -> str | None:
    """The Session that this form opened and that was paid: somebody went back in their browser and sent it again."""
    found = select(CheckoutSession.stripe_id).where(
        CheckoutSession.user_id == user_id,
        CheckoutSession.once == once,
        CheckoutSession.status == "complete",
    )
    return session.execute(found.limit(1)).scalar() if once else None


def _open_row(session: Session, user_id: int, mode: str) -> CheckoutSession | None:
    found = select(CheckoutSession).where(
        CheckoutSession.user_id == user_id,
        CheckoutSession.mode == mode,
        CheckoutSession.status.in_((CheckoutSession.CREATING, "open")),
        CheckoutSession.superseded_at.is_(None),
    )
    return session.execute(found.with_for_update()).scalar()

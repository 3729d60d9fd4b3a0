"""The way to Stripe's Checkout and back: one open Session for each person, and what is known of one that was left."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app, redirect
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from billing import (
    checkout,
    guards,
    opening,
    people,
    queues,
    refresh,
    registry,
    running,
    stripe_reads,
    throttle,
    writes,
)
from billing.errors import StripeError, StripeRefused, WriteConflict, WriteUnknown
from billing.extensions import db
from billing.installation import public_id
from billing.models import CheckoutSession, StripeEvent, Subscription, User
from billing.models.subscriptions import FINAL
from billing.plans import Price

# Looks at Stripe that a person may cause in an hour by coming back; after that the worker looks.
LOOKS = 60
HOUR = timedelta(hours=1)


def to_stripe(user: User, order: checkout.Order, price: Price, back: str) -> ResponseReturnValue | None:
    """To Stripe's page for this order, or the page that says why not; None where the trial in it was had already.

    ``back``: the check page that they came from.
    """
    try:
        return _open(user, order, back)
    except (WriteConflict, WriteUnknown) as problem:
        current_app.logger.warning("checkout not opened", extra={"reason": str(problem)})
        return guards.unreachable(back)
    except StripeRefused:
        return _refused(user, order, price, back)
    except StripeError:
        return guards.unreachable(back)


def _refused(user: User, order: checkout.Order, price: Price, back: str) -> ResponseReturnValue | None:
    """Why Stripe would not; or to its page after all, where only its customer was deleted there."""
    try:
        if _has_another_customer(user):
            return _open(user, order, back)
    except (StripeError, WriteConflict, WriteUnknown) as problem:
        current_app.logger.warning("customer not replaced", extra={"reason": str(problem)})
    return _why_refused(user, order, price)


def _has_another_customer(user: User) -> bool:
    """Make another customer of somebody whose own was deleted at Stripe's dashboard; False where it was not.

    What they had with it ended with it, and is brought to that end first: nobody looks at it for them later.
    """
    session, config, user_id, customer = db.session(), running.config(), user.id, user.stripe_customer_id
    session.rollback()
    if customer is None or not stripe_reads.get_customer(customer).get("deleted"):
        return False
    living = select(Subscription.stripe_id).where(
        Subscription.user_id == user_id, Subscription.status.not_in(FINAL)
    )
    for stripe_id in list(session.execute(living).scalars()):
        refresh.subscription(session, stripe_id, customer, config, "checkout")
    writes.perform(session, people.create_customer(session.get_one(User, user_id), public_id(session)))
    return True


def _open(user: User, order: checkout.Order, back: str) -> ResponseReturnValue | None:
    """To the person's one open Session of this kind: made first, or replaced where it is for another item."""
    session, user_id = db.session(), user.id
    if order.mode == "subscription" and refresh.person(
        session, user, running.config(), "checkout", running_only=True
    ):
        return guards.already()  # at Stripe, be it that its event is late or lost
    if order.trial_days and refresh.person(session, user, running.config(), "checkout"):
        return None  # what they had at Stripe is over, and we never heard of it
    for _ in range(3):
        row = checkout.begin(session, session.get_one(User, user_id), order)
        session.commit()
        if isinstance(row, checkout.Guard):
            return _guarded(row)
        if isinstance(row, checkout.TooMany):
            return guards.too_many(row.minutes, back)
        made_now = row.status == CheckoutSession.CREATING
        if made_now:
            _create(row.id, user_id)
        session.refresh(row)
        if row.superseded_at is not None:  # freed while we waited: it is being closed, and must not be paid
            continue
        # Nobody can pay a Session whose customer was deleted at Stripe since it was opened.
        if checkout.fits(row, order) and (made_now or not _has_another_customer(user)):
            return redirect(row.url or "/billing", 303)
        if not _make_room(row):
            return guards.confirming(row.stripe_id or "")
    raise WriteUnknown("the person's other browser keeps choosing something else")


def _create(row_id: int, user_id: int) -> None:
    """Make the customer, once, and the Session that the row stands for, whatever is asked for now."""
    session, config, installation = db.session(), running.config(), public_id(db.session())
    user = session.get_one(User, user_id)
    if user.stripe_customer_id is None:
        writes.perform(session, registry.as_kept(session, people.create_customer(user, installation)))
    row, user = session.get_one(CheckoutSession, row_id), session.get_one(User, user_id)
    title = running.catalogue().title(row.item)
    writes.perform(session, opening.create_request(row, user, title, config, installation))


def _make_room(row: CheckoutSession) -> bool:
    """Close the Session that is open for something else; False where it was paid meanwhile."""
    try:
        writes.perform(db.session(), opening.expire_request(row))
    except StripeRefused:
        return False
    return True


def _guarded(guard: checkout.Guard) -> ResponseReturnValue | None:
    if guard.code == "sent":
        return redirect(f"/checkout/return?session_id={guard.session_id}", 303)
    return None if guard.code == "tried" else guards.stopped(guard)


def _why_refused(user: User, order: checkout.Order, price: Price) -> ResponseReturnValue:
    """Stripe would not open it: its customer is billed in another currency, or the price was archived there."""
    plan = running.catalogue().plan(order.item)
    try:
        billed = (
            stripe_reads.get_customer(user.stripe_customer_id).get("currency")
            if user.stripe_customer_id
            else None
        )
        if plan is not None and billed not in (None, price.currency):
            return guards.other_currency(billed, plan, price.interval or "")
        holders = [one["id"] for one in stripe_reads.find_prices([price.lookup_key]) if one["active"]]
    except StripeError as problem:
        current_app.logger.warning("refusal not explained", extra={"reason": str(problem)})
        return guards.refused()
    return guards.refused() if order.price_id in holders else guards.not_sold()


def look(user: User, row: CheckoutSession) -> None:
    """Ask Stripe about the Session now, through the inbox; what takes too long, the worker does."""
    session, config, bucket = db.session(), running.config(), throttle.bucket("arrival", str(user.id))
    later = throttle.hit(session, bucket, LOOKS, window=HOUR)
    asked = refresh.ask_of_session(session, row, user.stripe_customer_id, config)
    if later or not refresh.answer_of_session(session, asked, config):
        queues.ring()
    session.refresh(row)


def left(user: User, number: int) -> CheckoutSession | None:
    """The person's own Session of this number, looked at where it may have been paid in another window."""
    found = select(CheckoutSession).where(CheckoutSession.id == number, CheckoutSession.user_id == user.id)
    row = db.session.execute(found).scalar()
    if row is not None and row.status == "open" and row.stripe_id is not None:
        look(user, row)
    return row


def is_unpaid(row: CheckoutSession) -> bool:
    """Whether Stripe has said that nothing was paid, and no question of ours is still open."""
    if row.status == "expired":
        return True
    return row.status == "open" and row.fetched_at is not None and asked_since(row) is None


def asked_since(row: CheckoutSession) -> datetime | None:
    """Since when news of the Session, or a question about it, has been waiting to be applied; None where none is."""
    oldest = select(func.min(StripeEvent.received_at)).where(
        StripeEvent.subject == row.stripe_id, StripeEvent.state == StripeEvent.PENDING
    )
    return db.session.execute(oldest).scalar()

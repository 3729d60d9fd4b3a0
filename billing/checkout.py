"""Checkout Sessions: who may open one, what it carries, and what Stripe says became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing import audit, payments, stripe_client
from billing.clock import database_now, from_stripe
from billing.config import Config
from billing.models import CheckoutSession, Subscription, User
from billing.models.subscriptions import FINAL
from billing.payloads import Object, ref
from billing.people import owner
from billing.syncing import Cause, Outcome
from billing.write_request import WriteRequest

Mode = Literal["subscription", "payment"]
MOST_SESSIONS = 10
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Order:
    """What somebody wants to buy: a catalogue name, Stripe's price for it, and the days of trial.

    ``once``: the token of the form, one for each time the check page was opened; None where it had none.
    ``quantity``: the seats, 1 where it has none.
    """

    mode: Mode
    item: str
    title: str
    price_id: str
    trial_days: int = 0
    once: str | None = None
    quantity: int = 1


@dataclass(frozen=True)
class Guard:
    """Why no new Session is opened: ``subscribed``, ``confirming``, or ``sent`` where this very form was paid.
    ``session_id``: the one to look at."""

    code: Literal["subscribed", "confirming", "sent"]
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
        guard = _guard(session, user.id)
        if guard:
            return guard
    paid = _paid_by_this_form(session, user.id, order.once)
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
            quantity=order.quantity,
            once=order.once,
            status=CheckoutSession.CREATING,
        )
        session.add(row)
        session.flush()
    return row


def _minutes_to_wait(session: Session, user_id: int) -> int:
    """0 while fewer than MOST_SESSIONS were opened within the hour. A row that is tried again counts once."""
    opened = select(CheckoutSession.created_at).where(CheckoutSession.user_id == user_id)
    latest = session.execute(opened.order_by(CheckoutSession.created_at.desc()).limit(MOST_SESSIONS))
    moments = list(latest.scalars())
    left = moments[-1] + HOUR - database_now(session) if len(moments) == MOST_SESSIONS else timedelta(0)
    return max(0, -int(-left.total_seconds() // 60))


def may_try(session: Session, user_id: int) -> bool:
    """Whether a trial may be offered: one for each person, whatever the plan."""
    return session.execute(select(Subscription.id).where(Subscription.user_id == user_id)).first() is None


def has_live(session: Session, user_id: int) -> bool:
    """Whether the person has a subscription that is not over, in whatever state: a second one is never sold."""
    live = select(Subscription.id).where(Subscription.user_id == user_id, Subscription.status.not_in(FINAL))
    return session.execute(live).first() is not None


def create_request(
    row: CheckoutSession, user: User, title: str, config: Config, installation: str
) -> WriteRequest:
    """The write that opens the Session. Metadata goes on the Session and on what the Session creates,
    since Stripe does not copy it from one to the other."""
    metadata = {
        "user_id": str(user.id),
        "plan": row.item,
        "installation": installation,
        "checkout": str(row.id),
    }
    if user.referral_code:
        metadata["referral_code"] = user.referral_code
    back = f"subscribe/{row.item}" if row.mode == "subscription" else f"buy/{row.item}"
    params: dict[str, Any] = {
        "mode": row.mode,
        "customer": user.stripe_customer_id,
        "client_reference_id": str(user.id),
        "line_items": [{"price": row.price_id, "quantity": row.quantity}],
        "metadata": metadata,
        "success_url": f"{config.public_url}/checkout/return?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{config.public_url}/{back}?canceled={row.id}",
    }
    if row.mode == "subscription":
        params["subscription_data"] = {"metadata": metadata}
        if row.trial_days:
            params["subscription_data"]["trial_period_days"] = row.trial_days
    else:
        params["payment_intent_data"] = {"metadata": metadata, "description": title}
    return WriteRequest("checkout.session.create", f"checkout:{row.id}", params, user_id=user.id)


def expire_request(row: CheckoutSession) -> WriteRequest:
    """The write that closes a Session nobody paid, so that another may be opened."""
    return WriteRequest(
        "checkout.session.expire", f"checkout-expire:{row.id}", target=row.stripe_id, user_id=row.user_id
    )


def opened(session: Session, write_name: str, answer: Object) -> WriteRequest | None:
    """Keep the id, address and end of the Session that Stripe opened. Returns the write that closes it where the
    person's place was freed before we heard of it: they may have another one by now, and could pay both."""
    row = session.get_one(CheckoutSession, int(write_name.partition(":")[2]), with_for_update=True)
    if row.status == CheckoutSession.CREATING:
        row.stripe_id, row.url, row.status = answer["id"], answer["url"], answer["status"]
        row.expires_at = from_stripe(answer["expires_at"])
        audit.changed(session, row, {}, actor="dunlin")
    return expire_request(row) if row.superseded_at is not None and row.status == "open" else None


def expired_by_us(session: Session, answer: Object) -> None:
    """Make room for another Session; what this one came to is still told by its event."""
    found = select(CheckoutSession).where(CheckoutSession.stripe_id == answer["id"])
    row = session.execute(found.with_for_update()).scalar_one()
    row.superseded_at = row.superseded_at or func.now()


def refused(session: Session, write_name: str) -> None:
    """Stripe would not open the Session: free the person's place."""
    kind, _, number = write_name.partition(":")
    if kind == "checkout":
        row = session.get_one(CheckoutSession, int(number), with_for_update=True)
        row.superseded_at = row.superseded_at or func.now()


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
    found = stripe_client.get_checkout_session(stripe_id)
    intent = ref(found.get("payment_intent"))
    return Fetched(found, stripe_client.get_payment_intent(intent) if intent else None)


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
    row.async_failed = found["payment_status"] == "unpaid" and (
        row.async_failed or cause.saw("checkout.session.async_payment_failed")
    )
    row.subscription, row.payment_intent = ref(found.get("subscription")), ref(found.get("payment_intent"))
    row.expires_at, row.fetch_no = from_stripe(found["expires_at"]), cause.fence
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


def _guard(session: Session, user_id: int) -> Guard | None:
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


def _paid_by_this_form(session: Session, user_id: int, once: str | None) -> str | None:
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

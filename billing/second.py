"""Two running subscriptions of one person: never meant. Access is granted once and an admin is told; where the
policy says so, the newer one is ended and what was paid for it goes back.

``SECOND_SUBSCRIPTION`` is the policy: ``tell`` (an admin decides) or ``refund``.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing import audit, notices, refunding, running, stripe_reads
from billing.models import Invoice, Subscription, User
from billing.models.subscriptions import FINAL
from billing.payloads import Object
from billing.syncing import Cause
from billing.write_request import WriteRequest

RUNNING = ("active", "trialing")
WORDS = "The person had another running subscription already."

# Made once (``people.OF_CUSTOMER``).
OTHERS = (
    select(Subscription)
    .where(
        Subscription.user_id == bindparam("user_id"),
        Subscription.id != bindparam("but"),
        Subscription.status.not_in(FINAL),
    )
    .order_by(Subscription.created, Subscription.stripe_id)
)


def resolve(session: Session, user: User, row: Subscription, cause: Cause) -> list[WriteRequest]:
    """Tell of a second live subscription as a status changes, and say what Stripe is to be told about it."""
    found = list(session.execute(OTHERS, {"user_id": user.id, "but": row.id}).scalars())
    if not found:
        return []
    audit.record(
        session,
        "subscription.second",
        actor=cause.actor,
        user_id=user.id,
        subject=row.stripe_id,
        cause=cause.event_id,
        before={"value": found[0].stripe_id},
        after={"value": row.status},
        alert=True,
    )
    notices.admin_alert(
        session, f"second:{row.stripe_id}", "A person has two live subscriptions", row.stripe_id
    )
    if running.config().second_subscription != "refund":
        return []
    runs = [one for one in (row, *found) if one.status in RUNNING and one.plan is not None]
    # Two of one second are told apart by their names: never by which of them we heard of first.
    return _end_all_but_the_first(session, user, sorted(runs, key=lambda one: (one.created, one.stripe_id)))


def _end_all_but_the_first(session: Session, user: User, runs: list[Subscription]) -> list[WriteRequest]:
    """The oldest that runs is what the person meant to have. One that doesn't run (past due, unpaid, held) may be
    what they wanted to leave behind: then nothing is ended without an admin."""
    return [request for one in runs[1:] for request in (_cancel(user, one), *_refunds(session, user, one))]


def _cancel(user: User, row: Subscription) -> WriteRequest:
    params = {"cancellation_details": {"comment": WORDS}}
    return WriteRequest(
        "subscription.cancel", f"second-cancel:{row.stripe_id}", params, row.stripe_id, user.id
    )


def _refunds(session: Session, user: User, row: Subscription) -> list[WriteRequest]:
    """Everything that was paid for it; never on top of a dispute, which may take the money back already."""
    paid = select(Invoice).where(
        Invoice.subscription == row.stripe_id,
        Invoice.status == "paid",
        Invoice.amount_paid > 0,
        Invoice.payment_intent.is_not(None),
    )
    bills = [
        (one.stripe_id, one.payment_intent or "")
        for one in session.execute(paid.order_by(Invoice.created)).scalars()
    ]
    return [
        refunding.request(f"second-refund:{bill}", intent, user.id, "duplicate")
        for bill, intent in bills
        if refunding.stopped_by(session, intent) is None
    ]


def ended_already(target: str | None) -> Object | None:
    """The subscription if it is over at Stripe: a cancel has no key, so a second try is told that there is none."""
    found = stripe_reads.get_subscription(target or "")
    return found if found["status"] in FINAL else None

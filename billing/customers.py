"""A customer of Stripe changed: look at what they are charged for, since their default card may be another one."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from billing import people, reconcile, subscriptions
from billing.errors import StripeRefused
from billing.syncing import Cause, Outcome
from billing.write_request import WriteRequest

# One fetch has 30 seconds. Nobody of ours has more than two running subscriptions, and the sweep looks at the rest.
MOST = 3


@dataclass(frozen=True)
class Fetched:
    """The customer's id, and each of their running subscriptions as ``subscriptions.fetch`` gives it."""

    customer: str
    running: list[subscriptions.Fetched]


def fetch(stripe_id: str, hints: list[str]) -> Fetched:
    """Every running subscription of the customer; none of one that is deleted by now."""
    try:
        ids = reconcile.at_stripe(stripe_id, running_only=True)
    except StripeRefused as problem:
        if problem.status not in (400, 404):
            raise
        ids = []
    return Fetched(stripe_id, [subscriptions.fetch(one, []) for one in ids[:MOST]])


def write(session: Session, fetched: Fetched, cause: Cause) -> Outcome:
    """Write each of them, with what follows from it. Never commits."""
    user = people.of_customer(session, fetched.customer)
    if user is None:
        return Outcome(None, "not ours: no customer of this installation")
    if not fetched.running:
        return Outcome(user.id, "the customer has no running subscription")
    outcomes = [subscriptions.write(session, one, cause) for one in fetched.running]
    told: list[WriteRequest] = [request for one in outcomes for request in one.writes]
    nothing = next((one.ignored for one in outcomes if all(each.ignored for each in outcomes)), None)
    return Outcome(user.id, nothing, tuple(told))

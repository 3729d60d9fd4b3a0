"""Early fraud warnings: a bank says that a payment was fraud, days before its owner disputes it.

``ON_FRAUD_WARNING`` is the policy: ``tell`` (an admin decides) or ``refund``: what is left of the payment goes back at
once, and the plan that it was paid for ends. A refund now costs less than the dispute that follows.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import audit, contested, payment_news, refunding, running, stripe_reads
from billing.clock import from_stripe
from billing.models import FraudWarning
from billing.payloads import Object, ref
from billing.people import owner
from billing.syncing import Cause, Outcome
from billing.write_request import WriteRequest


def fetch(stripe_id: str, hints: list[str]) -> Object:
    """The warning with its charge, and under ``plan`` the subscription that was paid for, where one was."""
    found = stripe_reads.get_early_fraud_warning(stripe_id)
    return {**found, "plan": contested.plan_of(found) if found["actionable"] else None}


def write(session: Session, found: Object, cause: Cause) -> Outcome:
    """Record it; where it asks for something, tell the admins and do what the policy says."""
    charge = found.get("charge")
    user = owner(session, charge if isinstance(charge, dict) else {}, cause.installation)
    if user is None:
        return Outcome(None, "not ours: no customer of this installation")
    known = select(FraudWarning).where(FraudWarning.stripe_id == found["id"]).with_for_update()
    row = session.execute(known).scalar()
    before = audit.picture(row) if row else {}
    if row is None:
        row = FraudWarning(stripe_id=found["id"])
        session.add(row)
    row.user_id = user.id
    as_written(row, found, cause)
    names = audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)
    if "actionable" not in names or not row.actionable:
        return Outcome(user.id)
    writes = _policy(session, row, found.get("plan"))
    payment_news.fraud_warned(session, user, row, cause, refunds=bool(writes))
    return Outcome(user.id, writes=tuple(writes))


def _policy(session: Session, row: FraudWarning, plan: str | None) -> list[WriteRequest]:
    """What Stripe is to be told of it: the plan ends, and the money goes back unless it is disputed already."""
    intent = row.payment_intent
    if running.config().on_fraud_warning != "refund" or intent is None:
        return []
    if refunding.stopped_by(session, intent) is not None:
        return []
    refund = refunding.request(f"efw-refund:{row.stripe_id}", intent, row.user_id, "fraudulent")
    ended = contested.end(session, plan, f"efw-cancel:{row.stripe_id}", row.user_id, contested.FRAUD)
    return [*ended, refund]


def as_written(row: FraudWarning, found: Object, cause: Cause) -> None:
    """Bring a row, be it in a session or not, to Stripe's warning, whose charge is expanded."""
    charge = found["charge"]
    row.payment_intent, row.charge = ref(found.get("payment_intent")), ref(charge)
    row.actionable, row.fraud_type = bool(found["actionable"]), found["fraud_type"]
    row.amount, row.currency = charge["amount"], charge["currency"]
    row.created = from_stripe(found["created"]) or cause.now
    row.fetch_no, row.cause_event_id = cause.fence, cause.event_id

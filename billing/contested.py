"""What becomes of a plan whose payment is lost to a dispute or was fraud: by policy it ends, else an admin decides.

``ON_DISPUTE_LOST`` is the policy of a lost dispute: ``tell`` or ``end``.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import running, stripe_reads
from billing.models import Dispute, Subscription
from billing.payloads import Object, invoice_subscription, ref
from billing.write_request import WriteRequest

LOST = "A payment for it was lost to a dispute."
FRAUD = "The bank warned that a payment for it was fraud."


def plan_of(found: Object) -> str | None:
    """The subscription that the payment of a dispute or warning was made for; asked of Stripe, since events come in
    any order and our row of the invoice may not be there yet."""
    intent = ref(found.get("payment_intent"))
    bill = stripe_reads.invoice_of_payment(intent) if intent else None
    return invoice_subscription(stripe_reads.get_invoice(bill)) if bill else None


def lost(session: Session, row: Dispute, plan: str | None) -> list[WriteRequest]:
    """What Stripe is to be told as a dispute is lost."""
    if running.config().on_dispute_lost != "end":
        return []
    return end(session, plan, f"dispute-cancel:{row.stripe_id}", row.user_id, LOST)


def end(session: Session, plan: str | None, name: str, user_id: int, why: str) -> list[WriteRequest]:
    """The write that ends the plan now, with nothing given back for the rest of its period; none where it is over."""
    if plan is None:
        return []
    row = session.execute(select(Subscription).where(Subscription.stripe_id == plan)).scalar()
    if row is not None and row.final:
        return []
    params = {"cancellation_details": {"comment": why}}
    return [WriteRequest("subscription.cancel", name, params, plan, user_id)]

"""May money go back, and how much; and the write that gives it back. Every refund that we ask for is made here.

Never on top of a dispute: the bank may take the same money too (it is *charged back*). Our rows are asked when a
refund is wanted, and Stripe is asked right before it is sent, whoever wanted it (``look_first``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from billing import stripe_reads
from billing.errors import StripeRefused
from billing.models import Dispute, Invoice, Payment, Refund, StripeWrite
from billing.payloads import Object
from billing.write_request import WriteRequest

OPERATION = "refund.create"
# Disputes that are over and left the money here. An open one, an inquiry too, and a lost one stop every refund; so
# does a status that we don't know.
HARMLESS = ("won", "warning_closed", "prevented")
ON_ITS_WAY = ("pending", "requires_action")


@dataclass(frozen=True)
class Refundable:
    """What was paid with one PaymentIntent, and what of it went back. Amounts in minor units of ``currency``.

    ``pending``: the part of ``refunded`` that is on its way. ``asked``: wanted of Stripe, and not in our rows yet.
    ``dispute``: the one that stops every refund.
    """

    payment_intent: str
    user_id: int
    currency: str
    paid: int
    refunded: int
    pending: int
    asked: int
    dispute: Dispute | None

    @property
    def remaining(self) -> int:
        return max(self.paid - self.refunded - self.asked, 0)

    @property
    def seen(self) -> str:
        """What a page has said of it, for its form to carry back."""
        return str(self.refunded + self.asked)


def request(
    name: str, payment_intent: str, user_id: int, reason: str, amount: int | None = None
) -> WriteRequest:
    """The write that gives ``amount`` minor units back; None: what is left. ``reason``: one of Stripe's."""
    params: Object = {"payment_intent": payment_intent, "reason": reason, "metadata": {"write": name}}
    if amount is not None:
        params["amount"] = amount
    return WriteRequest("refund.create", name, params, user_id=user_id)


def stopped_by(session: Session, payment_intent: str) -> Dispute | None:
    """The dispute of our rows because of which nothing of this payment goes back."""
    found = select(Dispute).where(Dispute.payment_intent == payment_intent, Dispute.status.not_in(HARMLESS))
    return session.execute(found.order_by(Dispute.created.desc(), Dispute.id).limit(1)).scalar()


def look_first(params: Object) -> Object | None:
    """Asked of Stripe right before such a write is sent: the refund if it was made already, None if it may be made.

    Raises StripeRefused (``charge_disputed``, Stripe's own word) where the payment is disputed.
    """
    done = find(params)
    if done is not None:
        return done
    for dispute in stripe_reads.list_disputes(params["payment_intent"]):
        if dispute["status"] not in HARMLESS:
            raise StripeRefused("the payment is disputed", code="charge_disputed", status=400)
    return None


def find(params: Object) -> Object | None:
    """The refund that such a write made, if it did: our own name is in its metadata."""
    for found in stripe_reads.list_refunds(params["payment_intent"]):
        if (found.get("metadata") or {}).get("write") == params["metadata"]["write"]:
            return found
    return None


def of_payment(session: Session, payment_intent: str) -> Refundable | None:
    """What of a payment can be given back, by our rows; None where it is no payment of ours that was made."""
    paid = _paid(session, payment_intent)
    if paid is None:
        return None
    user_id, currency, amount, refunded = paid
    rows = list(session.execute(select(Refund).where(Refund.payment_intent == payment_intent)).scalars())
    return Refundable(
        payment_intent,
        user_id,
        currency,
        amount,
        refunded,
        sum(row.amount for row in rows if row.status in ON_ITS_WAY),
        _asked(session, user_id, payment_intent, {row.stripe_id for row in rows}, amount - refunded),
        stopped_by(session, payment_intent),
    )


def known(session: Session, payment_intents: set[str]) -> set[str]:
    """Those of them that are payments of ours, whose page there is."""
    billed = select(Invoice.payment_intent).where(
        Invoice.payment_intent.in_(payment_intents), Invoice.amount_paid > 0
    )
    once = select(Payment.payment_intent).where(
        Payment.payment_intent.in_(payment_intents), Payment.status == "succeeded"
    )
    return {str(one) for one in session.execute(union(billed, once)).scalars()}


def _paid(session: Session, payment_intent: str) -> tuple[int, str, int, int] | None:
    """(whose, currency, amount paid, amount refunded) of an invoice's payment or a one-off purchase."""
    bill = session.execute(
        select(Invoice).where(Invoice.payment_intent == payment_intent, Invoice.amount_paid > 0).limit(1)
    ).scalar()
    if bill is not None:
        return bill.user_id, bill.currency, bill.amount_paid, bill.amount_refunded
    once = session.execute(select(Payment).where(Payment.payment_intent == payment_intent)).scalar()
    if once is None or once.status != "succeeded":
        return None
    return once.user_id, once.currency, once.amount, once.amount_refunded


def writes_of(session: Session, user_id: int, payment_intent: str) -> list[StripeWrite]:
    """Every refund of this payment that was asked of Stripe, by whomever, the newest first."""
    found = select(StripeWrite).where(StripeWrite.user_id == user_id, StripeWrite.operation == OPERATION)
    rows = session.execute(found.order_by(StripeWrite.id.desc())).scalars()
    return [row for row in rows if json.loads(row.params).get("payment_intent") == payment_intent]


def _asked(session: Session, user_id: int, payment_intent: str, known: set[str], left: int) -> int:
    """What was asked for and may still come on top of what we know of; one without an amount asks for all."""
    total = 0
    for row in writes_of(session, user_id, payment_intent):
        refused = row.state in ("declined", "failed")
        if not refused and row.stripe_object_id not in known:
            total += json.loads(row.params).get("amount") or left
    return min(total, max(left, 0))

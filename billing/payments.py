"""One-off payments, refunds and disputes: recorded as Stripe tells them, fulfilled once."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import audit, contested, grants, invoices, payment_news, refunds, stripe_reads
from billing.clock import from_stripe
from billing.models import CheckoutSession, Dispute, Invoice, Payment, StripeWrite, Subscription, User
from billing.payloads import Object, invoice_subscription, ref
from billing.people import owner
from billing.syncing import Cause, Outcome

# Stripe's words for a PaymentIntent that took nothing (any more).
CAME_BACK = ("requires_payment_method", "canceled")


@dataclass(frozen=True)
class FetchedPayment:
    """The PaymentIntent, the id of the invoice that it paid, and that invoice where money went back."""

    intent: Object
    invoice: str | None
    refunded: Object | None = None


def fetch_intent(stripe_id: str, hints: list[str]) -> FetchedPayment:
    """The PaymentIntent with its charge and its refunds, and the invoice it paid, if it paid one.

    ``stripe_id``: a PaymentIntent, one of its refunds, or a charge; those of bank debits begin otherwise.
    """
    if stripe_id.startswith(("re_", "pyr_")):
        found = stripe_reads.get_refund(stripe_id)
        stripe_id = ref(found.get("payment_intent")) or ref(found.get("charge")) or ""
    if not stripe_id:  # what went back was never taken by a charge
        return FetchedPayment({"id": None}, None)
    if stripe_id.startswith(("ch_", "py_")):
        charge = stripe_reads.get_charge(stripe_id)
        return FetchedPayment({"id": None, "customer": charge.get("customer"), "latest_charge": charge}, None)
    intent = stripe_reads.get_payment_intent(stripe_id)
    one_off = "plan" in (intent.get("metadata") or {})
    paid = None if one_off else stripe_reads.invoice_of_payment(stripe_id)
    refunded = stripe_reads.get_invoice(paid) if paid and refunded_of(intent) else None
    return FetchedPayment(intent, paid, refunded)


def write_payment(session: Session, fetched: FetchedPayment, cause: Cause) -> Outcome:
    """A one-off payment onto its row; a refund of an invoice's payment onto the invoice."""
    user = owner(session, fetched.intent, cause.installation)
    if user is None:
        return Outcome(None, "not ours: no customer of this installation")
    if fetched.invoice is None:
        return write_intent(session, fetched.intent, cause)
    found = select(Invoice).where(Invoice.stripe_id == fetched.invoice, Invoice.user_id == user.id)
    row = session.execute(found.with_for_update()).scalar()
    if row is None and fetched.refunded is not None and owner(session, fetched.refunded, cause.installation):
        row = _bring_invoice(session, user, fetched.refunded, cause)
    if row is None:
        refunds.write(session, user, fetched.intent, 0, cause)
        return Outcome(user.id, "the invoice's own event brings it, if it is ours")
    _refunded(session, user, row, audit.picture(row), fetched.intent, cause)
    return Outcome(user.id)


def _refunded(
    session: Session, user: User, row: Invoice | Payment, before: audit.Picture, intent: Object, cause: Cause
) -> None:
    """What went back, on the payment's row and on a row for each refund. It falls again where a refund failed."""
    risen = refunded_of(intent) - row.amount_refunded
    row.amount_refunded = refunded_of(intent)
    if risen and isinstance(row, Payment):
        row.refunded_at = cause.now
    _note(session, row, before, cause)
    refunds.write(session, user, intent, risen, cause)


def _bring_invoice(session: Session, user: User, found: Object, cause: Cause) -> Invoice:
    """The refund's event overtook the invoice's own, which knows nothing of a refund."""
    known = select(Subscription).where(Subscription.stripe_id == invoice_subscription(found))
    return invoices.apply(session, user, found, session.execute(known).scalar(), cause)


def write_intent(session: Session, intent: Object, cause: Cause) -> Outcome:
    """Bring the row of a one-off payment to Stripe's PaymentIntent; grant it once, when it succeeded."""
    user = owner(session, intent, cause.installation)
    bought = _bought(session, user, intent) if user else None
    if user is None or bought is None or not intent.get("id"):
        if user is not None:
            refunds.write(session, user, intent, 0, cause)
        return Outcome(user.id if user else None, "not a one-off payment of this installation")
    found = select(Payment).where(Payment.payment_intent == intent["id"]).with_for_update()
    row = session.execute(found).scalar()
    before = audit.picture(row) if row else {}
    if row is None:
        row = Payment(payment_intent=intent["id"], product=bought.item, amount_refunded=0)
        row.credits, row.gives = bought.credits or None, bought.gives or None
        session.add(row)
    row.user_id = user.id
    _copy_intent(row, intent, cause)
    if row.status == "succeeded" and row.fulfilled_at is None:
        row.fulfilled_at = cause.now
        payment_news.one_off_receipt(session, user, row, cause)
    if row.status in CAME_BACK and _was_ordered(session, row):
        payment_news.one_off_failed(session, user, row, cause)
    _refunded(session, user, row, before, intent, cause)
    grants.settle(session, row, cause)
    return Outcome(user.id)


def _was_ordered(session: Session, row: Payment) -> bool:
    """Whether its order was complete: then only a bank that was slow can have refused it, and nobody was there to see
    that. Whoever is declined in Checkout is still there, and their Session is open."""
    order = select(CheckoutSession.id).where(
        CheckoutSession.payment_intent == row.payment_intent, CheckoutSession.status == "complete"
    )
    return session.execute(order.limit(1)).first() is not None


def _copy_intent(row: Payment, intent: Object, cause: Cause) -> None:
    said = grants.Promise.read(intent.get("metadata") or {})
    if said is not None:  # else what our row knows of it stays
        row.product, row.credits, row.gives = said.item, said.credits or None, said.gives or None
    row.created = from_stripe(intent["created"]) or cause.now
    row.status, row.amount, row.currency = intent["status"], intent["amount"], intent["currency"]
    row.fetch_no, row.cause_event_id = cause.fence, cause.event_id
    if row.status != "succeeded":
        row.fulfilled_at = None  # what was not paid was never delivered


def payment_as_written(row: Payment, intent: Object, cause: Cause) -> None:
    """Bring a row that is in no session to what ``write_intent`` would make of it."""
    _copy_intent(row, intent, cause)
    row.amount_refunded = refunded_of(intent)
    if row.status == "succeeded":
        row.fulfilled_at = row.fulfilled_at or cause.now


def _bought(session: Session, user: User, intent: Object) -> grants.Promise | None:
    """What was bought, and what was promised for it: as the metadata has it, else as our own order does. Metadata can
    be emptied in the dashboard, and nobody may lose for that what they paid for."""
    said = grants.Promise.read(intent.get("metadata") or {})
    if said is not None or ref(intent) is None:
        return said
    for model, item in ((Payment, Payment.product), (CheckoutSession, CheckoutSession.item)):
        known = select(item, model.credits, model.gives).where(
            model.payment_intent == ref(intent), model.user_id == user.id
        )
        row = session.execute(known.limit(1)).first()
        if row is not None:
            return grants.Promise(row[0], row[1] or 0, row[2] or "")
    return _asked_for(session, user, intent)


def _asked_for(session: Session, user: User, intent: Object) -> grants.Promise | None:
    """The same of a purchase with the saved card: the registry has what Stripe was asked for."""
    write = select(StripeWrite.params).where(
        StripeWrite.stripe_object_id == ref(intent),
        StripeWrite.operation == "payment_intent.create",
        StripeWrite.user_id == user.id,
    )
    params = session.execute(write.limit(1)).scalar()
    return grants.Promise.read(json.loads(params)["metadata"]) if params else None


def fetch_dispute(stripe_id: str, hints: list[str]) -> Object:
    """The dispute with its charge; of a lost one, under ``plan`` the subscription that was paid for."""
    found = stripe_reads.get_dispute(stripe_id)
    return {**found, "plan": contested.plan_of(found) if found["status"] == "lost" else None}


def write_dispute(session: Session, dispute: Object, cause: Cause) -> Outcome:
    """Record the dispute and tell the admins; access follows the policy in ``standing``, and what a lost one ends
    that in ``contested``."""
    charge = dispute.get("charge")
    user = owner(session, charge if isinstance(charge, dict) else {}, cause.installation)
    if user is None:
        return Outcome(None, "not ours: no customer of this installation")
    found = select(Dispute).where(Dispute.stripe_id == dispute["id"]).with_for_update()
    row = session.execute(found).scalar()
    before = audit.picture(row) if row else {}
    if row is None:
        row = Dispute(stripe_id=dispute["id"])
        session.add(row)
    row.user_id = user.id
    dispute_as_written(row, dispute, cause)
    if "status" not in _note(session, row, before, cause):
        return Outcome(user.id)
    payment_news.dispute_changed(session, user, row, before.get("status"), cause)
    grants.settle_intent(session, row.payment_intent, cause)
    lost = contested.lost(session, row, dispute.get("plan")) if row.status == "lost" else []
    return Outcome(user.id, writes=tuple(lost))


def dispute_as_written(row: Dispute, dispute: Object, cause: Cause) -> None:
    """Bring a row, be it in a session or not, to Stripe's dispute."""
    row.created = from_stripe(dispute["created"]) or cause.now
    row.status, row.reason = dispute["status"], dispute["reason"]
    row.amount, row.currency = dispute["amount"], dispute["currency"]
    row.payment_intent = ref(dispute.get("payment_intent"))
    row.due_by = from_stripe((dispute.get("evidence_details") or {}).get("due_by"))
    row.funds = _funds(dispute)
    row.fetch_no, row.cause_event_id = cause.fence, cause.event_id


def _funds(dispute: Object) -> str | None:
    """Stripe keeps no word for it: the bank's taking is the first of its balance transactions, the return another."""
    moved = [one["amount"] for one in dispute.get("balance_transactions") or []]
    if not moved:
        return None
    return "withdrawn" if sum(moved) < 0 else "reinstated"


def refunded_of(intent: Object) -> int:
    """How much of a PaymentIntent's charge went back, in minor units."""
    charge = intent.get("latest_charge")
    return int(charge.get("amount_refunded") or 0) if isinstance(charge, dict) else 0


def _note(
    session: Session, row: Invoice | Payment | Dispute, before: audit.Picture, cause: Cause
) -> frozenset[str]:
    return audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)

"""One-off payments, refunds and disputes: recorded as Stripe tells them, fulfilled once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import audit, invoices, payment_news, stripe_client
from billing.clock import from_stripe
from billing.models import CheckoutSession, Dispute, Invoice, Payment, Subscription, User
from billing.payloads import Object, invoice_subscription, ref
from billing.people import owner
from billing.syncing import Cause, Outcome


@dataclass(frozen=True)
class FetchedPayment:
    """The PaymentIntent, the id of the invoice that it paid, and that invoice where money went back."""

    intent: Object
    invoice: str | None
    refunded: Object | None = None


def fetch_intent(stripe_id: str, hints: list[str]) -> FetchedPayment:
    """The PaymentIntent with its charge, and the invoice it paid, if it paid one."""
    if stripe_id.startswith(("ch_", "py_")):
        charge = stripe_client.get_charge(stripe_id)
        return FetchedPayment({"id": None, "customer": charge.get("customer"), "latest_charge": charge}, None)
    intent = stripe_client.get_payment_intent(stripe_id)
    one_off = "plan" in (intent.get("metadata") or {})
    paid = None if one_off else stripe_client.invoice_of_payment(stripe_id)
    refunded = stripe_client.get_invoice(paid) if paid and refunded_of(intent) else None
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
        return Outcome(user.id, "the invoice's own event brings it, if it is ours")
    before, refunded = audit.picture(row), refunded_of(fetched.intent)
    _tell_of_refund(session, user, row, row.stripe_id, refunded, cause)
    row.amount_refunded = refunded
    _note(session, row, before, cause)
    return Outcome(user.id)


def _bring_invoice(session: Session, user: User, found: Object, cause: Cause) -> Invoice:
    """The refund's event overtook the invoice's own, which knows nothing of a refund."""
    known = select(Subscription).where(Subscription.stripe_id == invoice_subscription(found))
    return invoices.apply(session, user, found, session.execute(known).scalar(), cause)


def write_intent(session: Session, intent: Object, cause: Cause) -> Outcome:
    """Bring the row of a one-off payment to Stripe's PaymentIntent; grant it once, when it succeeded."""
    user = owner(session, intent, cause.installation)
    item = _bought(session, user, intent) if user else None
    if user is None or not item or not intent.get("id"):
        return Outcome(user.id if user else None, "not a one-off payment of this installation")
    found = select(Payment).where(Payment.payment_intent == intent["id"]).with_for_update()
    row = session.execute(found).scalar()
    before = audit.picture(row) if row else {}
    if row is None:
        row = Payment(payment_intent=intent["id"], product=item, amount_refunded=0)
        session.add(row)
    row.user_id = user.id
    _copy_intent(row, intent, cause)
    refunded = refunded_of(intent)
    _tell_of_refund(session, user, row, intent["id"], refunded, cause)
    row.amount_refunded = refunded
    if row.status == "succeeded" and row.fulfilled_at is None:
        row.fulfilled_at = cause.now
        payment_news.one_off_receipt(session, user, row, cause)
    _note(session, row, before, cause)
    return Outcome(user.id)


def _copy_intent(row: Payment, intent: Object, cause: Cause) -> None:
    row.product = (intent.get("metadata") or {}).get("plan") or row.product
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


def _bought(session: Session, user: User, intent: Object) -> str | None:
    """The catalogue's name of what was bought: as the metadata has it, else as our own order does. Metadata can be
    emptied in the dashboard, and nobody may lose for that what they paid for."""
    order = select(CheckoutSession.item).where(
        CheckoutSession.payment_intent == ref(intent), CheckoutSession.user_id == user.id
    )
    named = (intent.get("metadata") or {}).get("plan")
    return named or session.execute(order.limit(1)).scalar()


def fetch_dispute(stripe_id: str, hints: list[str]) -> Object:
    return stripe_client.get_dispute(stripe_id)


def write_dispute(session: Session, dispute: Object, cause: Cause) -> Outcome:
    """Record the dispute and tell the admins; access follows the policy in ``standing``."""
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
    if "status" in _note(session, row, before, cause):
        payment_news.dispute_changed(session, user, row, cause)
    return Outcome(user.id)


def dispute_as_written(row: Dispute, dispute: Object, cause: Cause) -> None:
    """Bring a row, be it in a session or not, to Stripe's dispute."""
    row.created = from_stripe(dispute["created"]) or cause.now
    row.status, row.reason = dispute["status"], dispute["reason"]
    row.amount, row.currency = dispute["amount"], dispute["currency"]
    row.payment_intent = ref(dispute.get("payment_intent"))
    row.due_by = from_stripe((dispute.get("evidence_details") or {}).get("due_by"))
    row.fetch_no, row.cause_event_id = cause.fence, cause.event_id


def refunded_of(intent: Object) -> int:
    """How much of a PaymentIntent's charge went back, in minor units."""
    charge = intent.get("latest_charge")
    return int(charge.get("amount_refunded") or 0) if isinstance(charge, dict) else 0


def _tell_of_refund(
    session: Session, user: User, row: Invoice | Payment, subject: str, after: int, cause: Cause
) -> None:
    if after > row.amount_refunded:
        back = after - row.amount_refunded
        payment_news.refunded(session, user, subject, back, after, row.currency, cause)


def _note(
    session: Session, row: Invoice | Payment | Dispute, before: audit.Picture, cause: Cause
) -> frozenset[str]:
    return audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)

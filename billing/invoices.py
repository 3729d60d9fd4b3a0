"""Our mirror of Stripe's invoices, written with their subscription or alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from billing import audit, dunning, stripe_reads
from billing.clock import from_stripe
from billing.models import Invoice, Subscription, User
from billing.payloads import Object, invoice_subscription, ref
from billing.people import owner
from billing.syncing import Cause, Outcome

BEGUN = ("active", "past_due", "unpaid")
# Made once (``people.OF_CUSTOMER``).
TO_WRITE = select(Invoice).where(Invoice.stripe_id == bindparam("id")).with_for_update()
OPEN_IDS = select(Invoice.stripe_id).where(
    Invoice.subscription == bindparam("plan"), Invoice.status == "open"
)


def fetch(stripe_id: str, hints: list[str]) -> Object:
    return stripe_reads.get_invoice(stripe_id)


def write(session: Session, found: Object, cause: Cause) -> Outcome:
    """An invoice without a subscription, onto its row."""
    user = owner(session, found, cause.installation)
    if user is None:
        return Outcome(None, "not ours: no customer of this installation")
    apply(session, user, found, None, cause)
    return Outcome(user.id)


def apply(
    session: Session, user: User, found: Object, subscription: Subscription | None, cause: Cause
) -> Invoice:
    """Bring the row to Stripe's invoice and owe the notices that follow. Returns the row."""
    row = session.execute(TO_WRITE, {"id": found["id"]}).scalar()
    before = audit.picture(row) if row else {}
    if row is None:
        row = Invoice(stripe_id=found["id"], amount_refunded=0)
        session.add(row)
    row.user_id = user.id
    as_written(row, found, cause, subscription)
    session.flush()
    changed = audit.changed(session, row, before, actor=cause.actor, cause=cause.event_id)
    if row.status == "paid" and not changed:
        return row  # what it owes was owed when it became so, with the same commit
    dunning.invoice_written(session, user, row, subscription, cause)
    return row


def as_written(row: Invoice, found: Object, cause: Cause, subscription: Subscription | None = None) -> None:
    """Bring a row, be it in a session or not, to Stripe's invoice."""
    _copy(row, found, intent_of(found), cause)
    if row.status != "open":
        # Whether we heard of its failed tries depends on delivery; it must not show on what is settled.
        row.first_failed_at = None
    elif (
        row.attempt_count or row.needs_action or row.decline_code
    ):  # a debit that comes back counts as no attempt
        row.first_failed_at = (
            _first_try(found)
            or row.first_failed_at
            or (subscription and subscription.clock_time)
            or cause.now
        )


def _copy(row: Invoice, found: Object, intent: Object, cause: Cause) -> None:
    # What it is for is what costs most: of a change of plans the first line is what comes back.
    line = max((found.get("lines") or {}).get("data") or [{}], key=lambda one: one.get("amount") or 0)
    period = line.get("period") or {}
    row.subscription, row.number = invoice_subscription(found), found.get("number")
    row.status, row.billing_reason = found["status"], found.get("billing_reason")
    row.description = line.get("description") or found.get("description") or ""
    row.currency, row.total = found["currency"], found["total"]
    row.amount_due, row.amount_paid = found["amount_due"], found["amount_paid"]
    row.amount_remaining = found["amount_remaining"]
    row.created = from_stripe(found["created"]) or cause.now
    row.paid_at = from_stripe((found.get("status_transitions") or {}).get("paid_at"))
    row.period_start, row.period_end = from_stripe(period.get("start")), from_stripe(period.get("end"))
    row.attempted, row.attempt_count = bool(found.get("attempted")), int(found.get("attempt_count") or 0)
    row.next_payment_attempt = from_stripe(found.get("next_payment_attempt"))
    row.payment_intent = ref(intent) or row.payment_intent
    row.due_date = from_stripe(found.get("due_date"))
    row.needs_action = row.status == "open" and intent.get("status") == "requires_action"
    row.processing = row.status == "open" and intent.get("status") == "processing"
    row.decline_code = _decline(intent) if row.status == "open" else None
    row.fetch_no, row.fetched_at, row.cause_event_id = cause.fence, cause.now, cause.event_id


def is_whole(found: Object) -> bool:
    """Whether an invoice that came with its ``payments`` says all that is written of it. What its PaymentIntent says
    counts while it is open, and lies one level deeper than Stripe expands anything but the invoice itself."""
    return bool(found["status"] != "open")


def _first_try(found: Object) -> datetime | None:
    """When Stripe first tried the card by itself: as it finalised the invoice, however late we hear of it."""
    automatic = found.get("collection_method") == "charge_automatically"
    return from_stripe((found.get("status_transitions") or {}).get("finalized_at")) if automatic else None


def intent_of(found: Object) -> Object:
    """The PaymentIntent of the invoice's newest payment; since basil it hangs below ``payments``."""
    payments = (found.get("payments") or {}).get("data") or []
    newest: Object = max(payments, key=lambda one: one.get("created") or 0, default={})
    intent = (newest.get("payment") or {}).get("payment_intent")
    return intent if isinstance(intent, dict) else ({"id": intent} if intent else {})


def _decline(intent: Object) -> str | None:
    error = intent.get("last_payment_error") or {}
    code = error.get("decline_code") or error.get("code")
    return str(code) if code else None


def open_failed(session: Session, subscription: str) -> Invoice | None:
    """The oldest invoice of this subscription that is owed after a failed try, or None.

    An invoice that an ended subscription left open must not hold the plan that the person pays for now.
    """
    found = (
        select(Invoice)
        .where(
            Invoice.subscription == subscription,
            Invoice.status == "open",
            Invoice.first_failed_at.is_not(None),
        )
        .order_by(Invoice.created)
    )
    return session.execute(found.limit(1)).scalar()


def begun_unpaid(row: Subscription, bills: Sequence[Invoice]) -> bool:
    """Whether the subscription began before its first payment arrived, as with a bank debit: Stripe calls it active,
    and its first invoice is open. What is sent to be paid later is sold on trust."""
    first = any(one.billing_reason == "subscription_create" and one.amount_remaining > 0 for one in bills)
    return first and row.collection_method == "charge_automatically" and row.status in BEGUN


def open_ids(session: Session, subscription: str) -> list[str]:
    """Invoices to look at again with their subscription: what we hold as open may have been paid unheard."""
    return list(session.execute(OPEN_IDS, {"plan": subscription}).scalars())

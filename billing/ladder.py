"""How far the notices about an unpaid invoice have come: by Stripe's tries, or by time where it will make none.

Pure: it reads two rows and a moment, and decides nothing but a number (decision 0024). Stages: 1 the first notice,
2 the reminder, 3 the warning of the end, 4 the last days, 5 access has ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from billing import declines, running
from billing.models import Invoice, Subscription

Way = Literal["retry", "card", "confirm", "invoice"]

LAST, STOPPED = 4, 5
AHEAD = timedelta(days=2)  # before access ends
# How long after the first failure the reminder comes where Stripe makes no further try.
REMINDER = {"retry": 4, "card": 3, "confirm": 3, "invoice": 3}
WARNING = 4 / 7  # of the days of grace
# Why Stripe paused a plan for an unpaid invoice (``status_details.paused.subscription.type``).
UNPAID = ("first_payment_failure", "final_payment_failure")


def way(invoice: Invoice) -> Way:
    """How the invoice can still be paid: by Stripe's next try, by another card, by a word to the bank, or by the person
    to whom it was sent."""
    if invoice.needs_action:
        return "confirm"
    if invoice.due_date is not None:
        return "invoice"
    return "retry" if declines.will_retry(invoice.decline_code, invoice.next_payment_attempt) else "card"


def by_tries(invoice: Invoice) -> int:
    """The stage of so many failed tries. After a hard decline Stripe counts on without trying, so that its count says
    nothing more (docs.stripe.com/billing/revenue-recovery/smart-retries)."""
    if not invoice.needs_action and invoice.decline_code in declines.HARD:
        return 1
    return min(max(invoice.attempt_count, 1), 3)


def by_time(invoice: Invoice, subscription: Subscription, present: datetime) -> int | None:
    """The stage that has come by itself, or None: of every invoice the last days and the end of access, the ones
    before only where Stripe tries no more."""
    since, end = _since(invoice, subscription), grace_end(invoice, subscription)
    if since is None:
        return None
    window = timedelta(days=running.config().grace_days)
    if end is not None and since < end and not is_first(invoice):
        if present >= end:
            return STOPPED
        if present >= end - AHEAD and window > AHEAD:
            return LAST
    how = way(invoice)
    if how == "retry":
        return None
    reminder = timedelta(days=_reminder(invoice, how))
    if present >= since + max(window * WARNING, reminder + timedelta(days=1)):
        return 3
    return 2 if present >= since + reminder else 1


def _reminder(invoice: Invoice, how: Way) -> int:
    soft = how == "card" and invoice.decline_code not in declines.HARD
    return REMINDER["retry" if soft else how]


def _since(invoice: Invoice, subscription: Subscription) -> datetime | None:
    """When it failed first; what is sent fails by not being paid in time."""
    return invoice.first_failed_at or invoice.due_date or subscription.first_failed_at


def grace_end(invoice: Invoice, subscription: Subscription | None) -> datetime | None:
    """When access ends if nothing is paid: counted from the first failure, be it of an older invoice."""
    known = (invoice.first_failed_at, subscription.first_failed_at if subscription else None)
    failed = min((moment for moment in known if moment), default=None)
    return failed + timedelta(days=running.config().grace_days) if failed else None


def is_first(invoice: Invoice) -> bool:
    """Whether it is the first one of a plan: of what was never paid there are no days of grace."""
    return invoice.billing_reason == "subscription_create"


def on_hold(subscription: Subscription) -> bool:
    """Whether Stripe keeps the plan without access, unpaid or paused, until what is owed is paid."""
    for_payment = subscription.status == "paused" and subscription.status_reason in UNPAID
    return subscription.status == "unpaid" or for_payment


def has_stopped(subscription: Subscription | None) -> bool:
    """Whether the plan is on hold for what is owed, or over, for whatever reason."""
    return subscription is not None and (subscription.final or on_hold(subscription))

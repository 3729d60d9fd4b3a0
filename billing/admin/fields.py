"""What the fields of our rows are called where their changes are told to people."""

from __future__ import annotations

WORDS = {
    "amount": "price",
    "amount_due": "to pay",
    "amount_paid": "paid",
    "amount_refunded": "refunded",
    "amount_remaining": "still owed",
    "async_failed": "failed later",
    "attempt_count": "tries",
    "attempted": "tried",
    "billing_reason": "made for",
    "cancel_at": "set to end",
    "cancel_at_period_end": "ends with the period",
    "canceled_at": "asked to cancel",
    "cancellation_reason": "reason to end",
    "card_brand": "card",
    "card_last4": "card ending",
    "card_expires_at": "card expires",
    "collection_method": "how it is collected",
    "created": "made",
    "current_period_end": "period ends",
    "current_period_start": "period starts",
    "decline_code": "declined",
    "due_by": "answer due",
    "failure_reason": "why it failed",
    "fraud_type": "kind of fraud",
    "funds": "the money",
    "ended_at": "ended",
    "expires_at": "open until",
    "first_failed_at": "first failed payment",
    "fulfilled_at": "granted",
    "interval": "billed every",
    "latest_invoice": "latest invoice",
    "livemode": "live mode",
    "needs_action": "must be confirmed",
    "next_payment_attempt": "next try",
    "paid_at": "paid on",
    "pause_collection": "payments paused",
    "payment_intent": "payment",
    "payment_status": "state of the payment",
    "period_end": "period ends",
    "period_start": "period starts",
    "price_id": "Stripe price",
    "status_reason": "why it is so",
    "test_clock": "test clock",
    "known": "last known",
    "trial_end": "trial ends",
    "trial_end_behavior": "without a card the trial will",
    "user_id": "belongs to person",
}
# Whole numbers of the row's currency, in minor units.
MONEY = frozenset({"amount", "total", "amount_due", "amount_paid", "amount_remaining", "amount_refunded"})
# What a line of a timeline tells. The rest follows from these or is found on the event's page.
TOLD = frozenset(
    {
        "status",
        "value",
        "plan",
        "price_id",
        "quantity",
        "current_period_end",
        "trial_end",
        "cancel_at",
        "cancel_at_period_end",
        "pause_collection",
        "reason",
        "until",
        "attempt_count",
        "amount_refunded",
        "needs_action",
        "async_failed",
        "card_last4",
        "due_by",
        "actionable",
        "failure_reason",
        "funds",
    }
)
# Of a thing that is new only these are told; the rest changed from nothing.
TOLD_WHEN_NEW = frozenset({"status", "value", "plan", "until", "reason", "fraud_type"})
# Their names go without saying.
UNNAMED = frozenset({"status", "value"})


def words(name: str) -> str:
    """“period ends” for ``current_period_end``; a name that says it itself stays, without its underscores."""
    return WORDS.get(name) or name.replace("_", " ")

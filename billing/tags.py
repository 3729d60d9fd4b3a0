"""States as pages show them: a word, a tone and a glyph for each of the words that rows hold."""

from __future__ import annotations

from billing.language import _, later
from billing.models import FraudWarning, Invoice, Notice, Payment, Refund, StripeEvent, StripeWrite

Tag = tuple[str, str, str]

EVENTS: dict[str, Tag] = {
    StripeEvent.PENDING: ("Waiting", "wait", "◌"),
    StripeEvent.APPLIED: ("Applied", "good", "●"),
    StripeEvent.IGNORED: ("Nothing to do", "rest", "○"),
    StripeEvent.PARKED: ("Failed", "stop", "■"),
}
RETRYING: Tag = ("Trying again", "look", "▲")

MAILS: dict[str, Tag] = {
    "queued": ("Queued", "wait", "◌"),
    "sending": ("Sending", "wait", "◌"),
    "sent": ("Sent", "good", "●"),
    "unknown": ("Sent or lost", "look", "▲"),
    "suppressed": ("Refused", "stop", "■"),
    "obsolete": ("Not needed", "rest", "○"),
}

WRITES: dict[str, Tag] = {
    "pending": ("Not sent yet", "wait", "◌"),
    "in_flight": ("On its way", "wait", "◌"),
    "done": ("Done", "good", "●"),
    "declined": ("Declined", "stop", "■"),
    "failed": ("Refused", "stop", "■"),
    "unknown": ("Outcome not known", "look", "▲"),
}

INVOICES: dict[str, Tag] = {
    "draft": (later("Draft"), "wait", "◌"),
    "open": (later("Open"), "look", "▲"),
    "paid": (later("Paid"), "good", "●"),
    "void": (later("Void"), "rest", "○"),
    "uncollectible": (later("Uncollectible"), "stop", "■"),
}

PAYMENTS: dict[str, Tag] = {
    "succeeded": (later("Paid"), "good", "●"),
    "processing": (later("Processing"), "wait", "◌"),
    "requires_action": (later("Needs confirming"), "look", "▲"),
    "requires_payment_method": (later("Not paid"), "look", "▲"),
    "canceled": (later("Canceled"), "rest", "○"),
}

DISPUTES: dict[str, Tag] = {
    "won": ("Won", "good", "●"),
    "lost": ("Lost", "stop", "■"),
    "prevented": ("Prevented", "rest", "○"),
    "warning_closed": ("Closed", "rest", "○"),
}

REFUNDS: dict[str, Tag] = {
    "pending": ("Pending", "wait", "◌"),
    "requires_action": ("Waits for the person", "look", "▲"),
    "succeeded": ("Refunded", "good", "↺"),
    "failed": ("Failed", "stop", "■"),
    "canceled": ("Canceled", "rest", "○"),
}

WARNINGS: dict[str, Tag] = {
    "actionable": ("Refund it first", "look", "▲"),
    "settled": ("Settled", "rest", "○"),
}


def event(row: StripeEvent) -> Tag:
    """What became of an event. One that failed and will be tried again looks different from a new one."""
    if row.state == StripeEvent.PENDING and row.attempts:
        return RETRYING
    return EVENTS[row.state]


def mail(row: Notice) -> Tag:
    return MAILS[row.state]


def write(row: StripeWrite) -> Tag:
    return WRITES[row.state]


def invoice(row: Invoice) -> Tag:
    if row.amount_refunded:
        return _refunded(row.amount_refunded, row.amount_paid)
    return _said(INVOICES.get(row.status, (row.status, "wait", "◌")))


def payment(row: Payment) -> Tag:
    if row.amount_refunded:
        return _refunded(row.amount_refunded, row.amount)
    return _said(PAYMENTS.get(row.status, (row.status, "wait", "◌")))


def _refunded(part: int, whole: int) -> Tag:
    return (_("Refunded") if part >= whole else _("Partly refunded"), "rest", "↺")


def _said(tag: Tag) -> Tag:
    """What people see is said in their language; the rest is for admins."""
    return (_(tag[0]), tag[1], tag[2])


def dispute(status: str) -> Tag:
    """Every status that is not an end means that somebody waits for something."""
    return DISPUTES.get(status, (status.replace("_", " ").capitalize(), "look", "▲"))


def refund(row: Refund) -> Tag:
    return REFUNDS.get(row.status, (row.status, "wait", "◌"))


def fraud_warning(row: FraudWarning) -> Tag:
    return WARNINGS[row.status]

"""An entry of the audit in words: what changed, from what to what, by whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from billing.admin import fields
from billing.models import AuditEntry
from billing.money import format_money
from billing.words import day, moment_text

TITLES = {
    "subscription.status": "Subscription",
    "subscription.changed": "Subscription changed",
    "subscription.second": "A second live subscription",
    "subscription.left_final_state": "Stripe says an ended subscription lives",
    "subscription.unexpected_transition": "A change of status that Stripe should never make",
    "invoice.status": "Invoice",
    "invoice.changed": "Invoice changed",
    "payment.status": "Payment",
    "payment.changed": "Payment changed",
    "refund": "Refunded",
    "refund.status": "Refund",
    "refund.changed": "Refund changed",
    "refund.asked": "A refund was asked for",
    "fraud_warning.changed": "Fraud warning",
    "dispute.status": "Dispute",
    "dispute.changed": "Dispute changed",
    "checkout.status": "Checkout",
    "checkout.changed": "Checkout changed",
    "comp.given": "Access given free of charge",
    "comp.taken_back": "Access that was given was taken back",
    "user.created": "Account made",
    "user.password": "Password changed",
    "user.email": "Email changed",
    "user.email_undone": "Email put back by the old address",
    "export.asked": "A copy of the data was asked for",
    "export.ready": "A copy of the data was made",
    "export.too_large": "A copy of the data would be too large",
    "user.deletion_asked": "Asked for the account to be deleted",
    "user.deletion_undone": "Keeps the account",
    "user.deletion_stuck": "The account can’t be deleted yet",
    "user.deleted": "Account deleted",
    "subscription.of_nobody": "A subscription of somebody who was deleted",
    "event.parked": "An event failed for good",
    "event.run_again": "Event run again",
    "subscriber.sync": "Stripe was asked",
    "reconciler.asked": "The reconciler was asked",
    "reconciler.drift": "The reconciler had much to heal",
    "reconciler.stray": "Bought by a customer that nobody here is",
    "reconciler.vanished": "Stripe does not know many of our rows",
    "row.nothing_at_stripe": "Removed, since Stripe knows no such object",
    "lease.raised": "A lease was behind its rows",
    "customer.found_again": "A lost Stripe customer was given back",
    "mail.unknown": "A mail was sent or lost",
    "mail.suppressed": "A mail was refused",
    "mail.try_again": "Mail is tried again",
    "write.declined": "Stripe declined a write",
    "write.failed": "Stripe refused a write",
    "write.unknown": "A write has no known outcome",
    "write.found": "A write of unknown outcome was found at Stripe",
    "write.conflict": "One name was used for two writes",
    "stripe.key_refused": "Stripe refused our key",
}
ACTORS = {
    "stripe": "by Stripe",
    "dunlin": "by Dunlin",
    "user": "by the person",
    "operator": "by an operator’s command",
    "access": "by an access check",
    "customer": "by the person’s own check",
    "reconciler": "by the reconciler",
    "events_api": "by catching up with Stripe",
}
MONEY = ("invoice.", "payment.", "refund", "dispute.", "fraud_warning.")

Currencies = Mapping[str, str]


def kind(entry: AuditEntry) -> str:
    """The word in the last column of the timeline."""
    return "payment" if entry.kind.startswith(MONEY) else "change"


def text(
    entry: AuditEntry, names: Mapping[str, str], currencies: Currencies, *, in_full: bool = False
) -> str:
    """“Invoice DUN-0002, €29.00: open → paid”, with every field that changed ``in_full``.

    ``names``: what to call a subject; ``currencies``: of what money; both by Stripe's id.
    """
    title = TITLES.get(entry.kind, entry.kind)
    name = names.get(entry.subject or "")
    currency, pairs = _currency(entry, currencies), _pairs(entry)
    if entry.before is None:
        pairs = [pair for pair in pairs if pair[0] in fields.TOLD_WHEN_NEW]
    elif not in_full:
        pairs = [pair for pair in pairs if pair[0] in fields.TOLD] or pairs
    changed = ", ".join(
        f"{'' if key in fields.UNNAMED or entry.kind == 'refund' else fields.words(key) + ' '}"
        f"{_words(key, old, currency, new=entry.before is None)} → {_words(key, new, currency)}"
        for key, old, new in pairs
    )
    return ": ".join(part for part in (f"{title} {name}" if name else title, changed) if part)


def changes(entry: AuditEntry, currencies: Currencies) -> list[tuple[str, str, str]]:
    """(what, before, after) of every field of an entry, for a table."""
    title = TITLES.get(entry.kind, entry.kind)
    if not entry.before and not entry.after:
        return [(title, "–", "–")]
    currency, new_row = _currency(entry, currencies), entry.before is None
    return [
        (
            title if key in fields.UNNAMED else f"{title}: {fields.words(key)}",
            _words(key, old, currency, new=new_row, when=moment_text),
            _words(key, new, currency, when=moment_text),
        )
        for key, old, new in _pairs(entry)
    ]


def _currency(entry: AuditEntry, currencies: Currencies) -> str | None:
    own: str | None = (entry.after or {}).get("currency")
    return own or currencies.get(entry.subject or "")


def _pairs(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    before, after = entry.before or {}, entry.after or {}
    keys = sorted(before.keys() | after.keys(), key=lambda key: (key not in fields.UNNAMED, key))
    pairs = ((key, before.get(key), after.get(key)) for key in keys)
    return [(key, old, new) for key, old, new in pairs if old != new]


def _words(
    key: str,
    value: Any,
    currency: str | None,
    *,
    new: bool = False,
    when: Callable[[datetime], str | None] = day,
) -> str:
    if value is None:
        return "new" if new else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and currency and key in fields.MONEY:
        return format_money(value, currency)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(name, one, currency, when=when)}" for name, one in value.items())
    return _moment(str(value), when)


def _moment(value: str, when: Callable[[datetime], str | None]) -> str:
    try:
        return when(datetime.fromisoformat(value)) or value
    except ValueError:
        return value


def actor(entry: AuditEntry, admins: Mapping[int, str]) -> str:
    """“by Stripe”, “by admin@example.com”."""
    who, _, number = entry.actor.partition(":")
    if who == "admin" and number.isdecimal():
        return f"by {admins.get(int(number), f'admin {number}')}"
    return ACTORS.get(entry.actor, f"by {entry.actor}")


def admin_ids(entries: list[AuditEntry]) -> set[int]:
    """Which admins are named as actors."""
    found = (entry.actor.partition(":") for entry in entries)
    return {int(number) for who, _, number in found if who == "admin" and number.isdecimal()}

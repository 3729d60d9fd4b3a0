"""An entry of the audit in words: what changed, from what to what, by whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.models import AuditEntry
from billing.money import format_money
from billing.words import day

TITLES = {
    "subscription.status": "Subscription",
    "subscription.changed": "Subscription changed",
    "subscription.second": "A second live subscription",
    "subscription.left_final_state": "Stripe says an ended subscription lives",
    "subscription.unexpected_transition": "A change of status that Stripe should never make",
    "invoice.status": "Invoice",
    "payment.status": "Payment",
    "refund": "Refunded",
    "dispute.status": "Dispute",
    "user.created": "Account made",
    "user.password": "Password changed",
    "event.parked": "An event failed for good",
    "event.run_again": "Event run again",
    "subscriber.sync": "Stripe was asked",
    "reconciler.asked": "The reconciler was asked",
    "reconciler.drift": "The reconciler had much to heal",
    "reconciler.stray": "Bought by a customer that nobody here is",
    "reconciler.vanished": "Stripe does not know many of our rows",
    "row.nothing_at_stripe": "Removed, since Stripe knows no such object",
    "customer.found_again": "A lost Stripe customer was given back",
    "mail.unknown": "A mail was sent or lost",
    "mail.suppressed": "A mail was refused",
    "write.declined": "Stripe declined a write",
    "write.failed": "Stripe refused a write",
    "write.unknown": "A write has no known outcome",
}
ACTORS = {
    "stripe": "by Stripe",
    "dunlin": "by Dunlin",
    "user": "by the person",
    "operator": "by an operator’s command",
    "access": "by an access check",
    "reconciler": "by the reconciler",
    "events_api": "by catching up with Stripe",
}
MONEY = ("invoice.", "payment.", "refund", "dispute.")
# Of a thing that is new only these are told; the rest changed from nothing.
TOLD_WHEN_NEW = ("status", "value", "plan")
# Their names go without saying.
UNNAMED = ("status", "value")


def kind(entry: AuditEntry) -> str:
    """The word in the last column of the timeline."""
    return "payment" if entry.kind.startswith(MONEY) else "change"


def text(entry: AuditEntry, names: Mapping[str, str], currencies: Mapping[str, str]) -> str:
    """“Invoice DUN-0002, €29.00: open → paid”. ``names``: what to call a subject; both by Stripe's id."""
    title = TITLES.get(entry.kind, entry.kind)
    name = names.get(entry.subject or "")
    changed = ", ".join(_changes(entry, currencies.get(entry.subject or "")))
    return ": ".join(part for part in (f"{title} {name}" if name else title, changed) if part)


def changes(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """(what, before, after) of an entry, for a table."""
    title = TITLES.get(entry.kind, entry.kind)
    if not entry.before and not entry.after:
        return [(title, "–", "–")]
    return [
        (
            title if key in UNNAMED else f"{title}: {key}",
            _words(old, None, new=entry.before is None),
            _words(new),
        )
        for key, old, new in _pairs(entry)
    ]


def _changes(entry: AuditEntry, currency: str | None) -> list[str]:
    in_money = currency if entry.kind == "refund" else None
    return [
        f"{'' if key in UNNAMED else key + ' '}"
        f"{_words(old, in_money, new=not entry.before)} → {_words(new, in_money)}"
        for key, old, new in _pairs(entry)
        if entry.before or key in TOLD_WHEN_NEW
    ]


def _pairs(entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    before, after = entry.before or {}, entry.after or {}
    keys = sorted(before.keys() | after.keys(), key=lambda key: (key not in UNNAMED, key))
    return [(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def _words(value: Any, currency: str | None = None, *, new: bool = False) -> str:
    if value is None:
        return "new" if new else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and currency:
        return format_money(value, currency)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    return _day(str(value))


def _day(value: str) -> str:
    try:
        return day(datetime.fromisoformat(value)) or value
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

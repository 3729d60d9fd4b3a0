"""Dates, times, means of payment and browsers as people read them."""

from __future__ import annotations

from datetime import datetime

from babel import Locale, dates

from billing import language
from billing.language import _, _n

BRITISH = "en_GB"  # plain ``en`` writes dates as they do: “3 December 2026”


def day(moment: datetime | None) -> str | None:
    """“3 December 2026”, “3. Dezember 2026”: as the spoken locale writes it, in the reader’s time zone; None
    stays None."""
    return (
        None if moment is None else dates.format_date(moment.astimezone(language.zone()), "long", _locale())
    )


def moment_text(moment: datetime) -> str:
    """“3 December 2026, 14:05 UTC”, with the zone’s name: “CET”, or “UTC+03” where it has none."""
    there = moment.astimezone(language.zone())
    name = f"{there:%Z}"
    zone = name if name.isalpha() else f"UTC{name}"
    return _("{day}, {time} {zone}", day=day(moment), time=f"{there:%H:%M}", zone=zone)


def ago(moment: datetime, now: datetime) -> str:
    """“just now”, “2 minutes ago”, “3 hours ago”, “5 days ago”."""
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds >= 86400:
        return _n("{count} day ago", "{count} days ago", seconds // 86400)
    if seconds >= 3600:
        return _n("{count} hour ago", "{count} hours ago", seconds // 3600)
    if seconds >= 60:
        return _n("{count} minute ago", "{count} minutes ago", seconds // 60)
    return _("just now")


# Stripe’s names of card networks and of bank debits (PaymentMethod.card.brand and PaymentMethod.type).
NETWORKS = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "jcb": "JCB",
    "paypal": "PayPal",
    "unionpay": "UnionPay",
}
BRANDS = frozenset({*NETWORKS, "discover", "eftpos_au", "mastercard", "unknown", "visa"} - {"paypal"})
DEBITS = ("acss_debit", "au_becs_debit", "bacs_debit", "bank_account", "sepa_debit", "us_bank_account")


def means(name: str | None, last4: str | None) -> str | None:
    """“Visa ending 4242”, “your bank account ending 3000”, “PayPal”; None where no means of payment is known by name.

    ``name`` is a card's network, or Stripe's type of another payment method.
    """
    if last4 is None and (name is None or name in BRANDS):
        return None
    if name in DEBITS:
        return _("your bank account ending {last4}", last4=last4) if last4 else _("your bank account")
    known = NETWORKS.get(name or "") or (name or _("card")).replace("_", " ").capitalize()
    return _("{card} ending {last4}", card=known, last4=last4) if last4 else known


def browser(user_agent: str) -> str:
    """“Chrome on Linux”, as far as the browser says."""
    browsers = ("Edg", "Firefox", "Chrome", "Safari")
    systems = ("Android", "iPhone", "Windows", "Mac OS", "Linux")
    name = next((name for name in browsers if name in user_agent), _("A browser")).replace("Edg", "Edge")
    system = next((name for name in systems if name in user_agent), "")
    return _("{browser} on {system}", browser=name, system=system) if system else name


def _locale() -> Locale:
    return Locale.parse(BRITISH if language.locale() == language.DEFAULT else language.locale())

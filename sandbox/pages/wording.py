"""Amounts, dates and cards in words. Amounts are integers in the smallest unit, times UTC seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency

ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
BANKS = {"sepa_debit": "SEPA debit", "us_bank_account": "US bank account"}
BRANDS = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


def money(amount: int | None, currency: str) -> str:
    """``2900, "eur"`` → ``€29.00``. ISK and UGX are charged in hundredths, as at Stripe."""
    code = currency.upper()
    places = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    words = format_currency(Decimal(amount or 0).scaleb(-places), code, locale="en")
    # A currency without a sign of its own is written as its code, which needs room before the digits.
    return words.replace(code, f"{code}\u00a0", 1)


def moment(seconds: int | None) -> str:
    """``1798085520`` → ``24 Dec 2026 04:12 UTC``."""
    if seconds is None:
        return "–"
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%b %Y %H:%M} UTC"


def day(seconds: int | None) -> str:
    """``1798085520`` → ``24 December 2026``."""
    if seconds is None:
        return "–"
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%B %Y}"


def every(interval: str | None, count: int | None = 1) -> str:
    """``month, 1`` → ``per month``; ``month, 3`` → ``every 3 months``; nothing for a one-off price."""
    if not interval:
        return ""
    return f"per {interval}" if (count or 1) == 1 else f"every {count} {interval}s"


def card_words(method: dict[str, Any] | None) -> str:
    """A payment method as ``Visa •••• 4242, expires 12/2034``."""
    kind = (method or {}).get("type")
    if method and kind in BANKS:
        return f"{BANKS[kind]} •••• {method[kind]['last4']}"
    card = (method or {}).get("card") or method or {}
    brand = str(card.get("brand") or "card")
    words = f"{BRANDS.get(brand, brand.capitalize())} •••• {card.get('last4', '????')}"
    if card.get("exp_month") and card.get("exp_year"):
        words += f", expires {int(card['exp_month']):02d}/{card['exp_year']}"
    return words

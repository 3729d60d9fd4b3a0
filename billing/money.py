"""Money as Stripe counts it: an integer in the currency's minor unit, and an ISO code in lower case.

The tables are Stripe's (docs.stripe.com/currencies): some currencies have no minor unit, some have
three decimals whose last must be 0, and ISK and UGX are written with two decimals that must be 00.
"""

from __future__ import annotations

import re
from copy import copy
from decimal import Decimal
from typing import Any

from babel import Locale

from billing import language

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
WHOLE_ONLY = frozenset({"isk", "ugx"})
LARGEST = 99_999_999
# A code stands apart from the digits ("KWD 2.500"); a sign does not ("€29.00").
LETTER_BEFORE_DIGIT = re.compile(r"(?<=[A-Z])(?=[\d-])")


def decimals(currency: str) -> int:
    """How many digits of Stripe's integer stand behind the decimal point."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def to_decimal(amount: int, currency: str) -> Decimal:
    """Minor units as an exact decimal number: 2900 eur is 29.00, 2900 jpy is 2900."""
    return Decimal(amount).scaleb(-decimals(currency))


def format_money(amount: int, currency: str, locale: str | None = None) -> str:
    """The sum as people read it, by default in the locale that is spoken: ``€29.00``, ``29,00 €``, ``KWD 2.500``."""
    locale = locale or language.locale()
    shown = 0 if currency in WHOLE_ONLY else decimals(currency)
    pattern = copy(Locale.parse(locale, sep="_").currency_formats["standard"])
    pattern.frac_prec = (shown, shown)
    value = to_decimal(amount, currency)
    text = str(pattern.apply(value, locale, currency=currency.upper(), currency_digits=False))
    return LETTER_BEFORE_DIGIT.sub("\u00a0", text)


def check_amount(amount: Any, currency: str) -> str | None:
    """Why Stripe would refuse this amount, as one sentence, or None where it would not."""
    if len(currency) != 3 or not currency.isalpha():
        return "a price needs a currency of three letters."
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= LARGEST:
        return f"a price needs an amount from 1 to {LARGEST} in minor units."
    if currency in WHOLE_ONLY and amount % 100:
        return f"{currency.upper()} amounts must be multiples of 100."
    if currency in THREE_DECIMAL and amount % 10:
        return f"{currency.upper()} amounts must end in 0."
    return None

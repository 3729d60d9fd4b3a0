"""Money as Stripe counts it: an integer in the currency's minor unit, and an ISO code in lower case.

The tables are Stripe's (docs.stripe.com/currencies): some currencies have no minor unit, some have
three decimals whose last must be 0, and ISK and UGX are written with two decimals that must be 00. HUF
and TWD are whole in payouts only: what people are charged has two decimals.
"""

from __future__ import annotations

import re
from copy import copy
from decimal import Decimal
from fractions import Fraction
from typing import Any

from babel import Locale
from babel.numbers import get_currency_name, is_currency

from billing import language

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
WHOLE_ONLY = frozenset({"isk", "ugx"})
LARGEST = 99_999_999  # eight digits, and twelve of IDR
LARGEST_IDR = 999_999_999_999
LONGEST_AMOUNT = 12  # digits before the point
# The least that Stripe charges. It counts in the currency that is paid out, so these are right where that is the
# same one; other currencies have none of their own. An invoice of less is not charged but carried to the next one.
LEAST = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
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


def parse_money(text: str, currency: str) -> int | None:
    """Minor units of an amount that somebody wrote in whole units, like 12.50; None where it is none, or none that
    Stripe has in this currency: no decimals of a yen or króna, and the third of a dinar is 0."""
    shown = 0 if currency in WHOLE_ONLY else decimals(currency)
    whole, point, rest = text.strip().partition(".")
    digits = whole + rest
    if not digits.isascii() or not digits.isdecimal() or not whole or len(whole) > LONGEST_AMOUNT:
        return None
    if (point and not rest) or len(rest) > shown:
        return None
    amount = int(Decimal(f"{whole}.{rest or 0}").scaleb(decimals(currency)))
    return amount if amount > 0 and amount % step(currency) == 0 else None


def plain_money(amount: int, currency: str) -> str:
    """The amount as ``parse_money`` takes it: 29.00, 2900, 2.500."""
    shown = 0 if currency in WHOLE_ONLY else decimals(currency)
    return f"{to_decimal(amount, currency):.{shown}f}"


def step(currency: str) -> int:
    """What every amount of the currency is a multiple of."""
    return 100 if currency in WHOLE_ONLY else 10 if currency in THREE_DECIMAL else 1


def share(amount: int, parts: int, currency: str) -> int:
    """One of ``parts`` equal parts, rounded to what the currency has: a year's price by the month."""
    unit = step(currency)
    return (2 * amount + parts * unit) // (2 * parts * unit) * unit


def part(amount: int, percent: object) -> int:
    """So many percent of an amount in minor units, rounded to the unit, halves up: 12.5 of 2900 is 363."""
    exact = Fraction(str(percent)) * Fraction(amount, 100)
    return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


def currency_name(currency: str, locale: str | None = None) -> str:
    """Its name in the plural, as the spoken locale writes it inside a sentence: “euros”, “Japanese yen”."""
    return str(get_currency_name(currency.upper(), count=2, locale=locale or language.locale()))


def check_amount(amount: Any, currency: str) -> str | None:
    """Why Stripe would refuse this amount, as one sentence, or None where it would not."""
    if len(currency) != 3 or not currency.isalpha():
        return "a price needs a currency of three letters."
    code, largest = currency.upper(), LARGEST_IDR if currency == "idr" else LARGEST
    if not is_currency(code):
        return f"{code} is no currency of ISO 4217."
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= largest:
        return f"a price needs an amount from 1 to {largest} in minor units."
    if currency in WHOLE_ONLY and amount % 100:
        return f"{code} amounts must be multiples of 100."
    if currency in THREE_DECIMAL and amount % 10:
        return f"{code} amounts must end in 0."
    least = LEAST.get(currency, 1)
    if amount < least:
        shown = [format_money(sum_, currency, "en") for sum_ in (least, amount)]
        return f"Stripe charges no less than {shown[0]}, and this price is {shown[1]}."
    return None

"""Stripe's rules for amounts: integers in the smallest unit, and what each currency allows."""

from __future__ import annotations

_ZERO = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_TWO = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad "
    "cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg "
    "huf idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk "
    "mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd "
    "shp sle sos srd std szl thb tjs top try ttd twd tzs uah uyu uzs wst xcd yer zar zmw "
)
ZERO_DECIMAL = frozenset(_ZERO.split())
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
HUNDREDS = frozenset(["isk", "ugx"])
TWO_DECIMAL = frozenset(_TWO.split())
KNOWN = ZERO_DECIMAL | THREE_DECIMAL | HUNDREDS | TWO_DECIMAL
MAXIMUM = 99_999_999
MAXIMUM_IDR = 999_999_999_999
MINIMUM = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip


def problem(amount: int, currency: str) -> str | None:
    """Why Stripe would not take this amount for a price, or None. Zero is a free price."""
    if amount < 0:
        return "must be greater than or equal to 0"
    if amount > (MAXIMUM_IDR if currency == "idr" else MAXIMUM):
        return "is too large for this currency"
    if currency in THREE_DECIMAL and amount % step(currency):
        return "must end in 0: Stripe takes three-decimal currencies only to two decimals"
    if amount % step(currency):
        return "must be a multiple of 100: this currency has no fractions"
    return None


def minimum(currency: str) -> int:
    """The smallest charge, in minor units; 1 where Stripe publishes none."""
    return MINIMUM.get(currency, 1)


def step(currency: str) -> int:
    """What every charge is a multiple of: thousandths must end in 0, two currencies have no fractions."""
    return 100 if currency in HUNDREDS else 10 if currency in THREE_DECIMAL else 1


def words(amount: int, currency: str) -> str:
    """`$25.00` or `25.00 EUR`: for descriptions of lines and for error messages."""
    sign = "-" if amount < 0 else ""
    decimals = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    units, fraction = divmod(abs(amount), 10**decimals)
    number = f"{units:,}" + (f".{fraction:0{decimals}d}" if decimals else "")
    symbol = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.upper()}"

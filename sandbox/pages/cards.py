"""The card form: what the fields accept, and the test cards that are listed beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sandbox.outcomes import Bank, Card

TEST_CARDS = (
    ("4242 4242 4242 4242", "succeeds"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0025 0000 3155", "asks for 3D Secure"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0000 0000 0341", "is accepted, then declined when charged"),
)
CARD_FIELDS = frozenset({"number", "expiry", "cvc", "name", "email"})
TEST_ACCOUNTS = {
    "sepa_debit": (
        ("AT61 1904 3002 3457 3201", "succeeds"),
        ("AT32 1904 3002 3547 3204", "succeeds after three minutes"),
        ("AT86 1904 3002 3547 3202", "fails"),
    ),
    "us_bank_account": (
        ("110000000 / 000123456789", "succeeds"),
        ("110000000 / 000222222227", "fails"),
    ),
}
KINDS = {"card": "Card", "sepa_debit": "SEPA debit", "us_bank_account": "US bank account"}
_FOUR_DIGIT_CVC = ("34", "37")
_WITH_SEPARATOR = re.compile(r"([0-9]{1,2})\s*[/.\s-]\s*([0-9]{4}|[0-9]{2})")
_DIGITS_ONLY = re.compile(r"([0-9]{2})([0-9]{4}|[0-9]{2})")


@dataclass
class CardForm:
    """What was typed (never the CVC, which is not shown again) and what is wrong with it, by field name.

    `values` holds the fields that are no card's.
    """

    number: str = ""
    expiry: str = ""
    name: str = ""
    email: str = ""
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def read_card(sent: Mapping[str, str]) -> tuple[CardForm, Card | None]:
    """The form as typed, and the card when its fields can be understood.

    Only shape is judged here; whether the number, the date or the card is good is the engine's to say.
    """
    form = CardForm(
        number=sent.get("number", "").strip(),
        expiry=sent.get("expiry", "").strip(),
        name=sent.get("name", "").strip(),
        email=sent.get("email", "").strip(),
        values={name: value.strip() for name, value in sent.items() if name not in CARD_FIELDS},
    )
    number = re.sub(r"[\s-]", "", form.number)
    expiry = parse_expiry(form.expiry)
    cvc = sent.get("cvc", "").strip()
    form.errors = {
        name: words
        for name, words in (
            ("number", _number_problem(number)),
            ("expiry", "" if expiry else _expiry_problem(form.expiry)),
            ("cvc", _cvc_problem(cvc, number)),
        )
        if words
    }
    if form.errors or expiry is None:
        return form, None
    return form, Card(number=number, exp_month=expiry[0], exp_year=expiry[1], cvc=cvc, name=form.name)


def read_bank(sent: Mapping[str, str], kind: str) -> tuple[CardForm, Bank | None]:
    """A form for a bank account as typed, and the account when its fields are filled."""
    values = {name: value.strip() for name, value in sent.items() if name not in CARD_FIELDS}
    form = CardForm(email=sent.get("email", "").strip(), values=values)
    needed = {"iban": "Enter an IBAN"}
    if kind == "us_bank_account":
        needed = {"routing_number": "Enter the routing number", "account_number": "Enter the account number"}
    needed["account_name"] = "Enter the name of the account holder"
    form.errors = {name: words for name, words in needed.items() if not values.get(name)}
    if form.errors:
        return form, None
    account = {
        name: values.get(name, "").replace(" ", "") for name in ("iban", "routing_number", "account_number")
    }
    type_: Literal["sepa_debit", "us_bank_account"] = (
        "sepa_debit" if kind == "sepa_debit" else "us_bank_account"
    )
    return form, Bank(type=type_, name=values["account_name"], **account)


def read_means(sent: Mapping[str, str], kinds: Sequence[str]) -> tuple[CardForm, Card | Bank | None]:
    """Whatever was chosen of the kinds that are offered; a card where nothing was chosen."""
    chosen = sent.get("pay_with", "")
    return read_bank(sent, chosen) if chosen in kinds and chosen != "card" else read_card(sent)


def listed_means(kinds: Sequence[str]) -> list[tuple[str, str]]:
    """The numbers that are listed beside a form: cards, and the accounts of the bank debits that it takes."""
    cards = list(TEST_CARDS) if "card" in kinds else []
    return cards + [row for kind in kinds for row in TEST_ACCOUNTS.get(kind, ())]


def parse_expiry(text: str) -> tuple[int, int] | None:
    """``12 / 34``, ``12/2034``, ``1234``, ``12-34`` → ``(12, 2034)``; None when it is no month and year."""
    found = _WITH_SEPARATOR.fullmatch(text) or _DIGITS_ONLY.fullmatch(text)
    if not found:
        return None
    month, year = int(found[1]), int(found[2])
    return (month, year if year > 99 else 2000 + year) if 1 <= month <= 12 else None


def _number_problem(number: str) -> str:
    if not number:
        return "Enter a card number"
    if not (number.isascii() and number.isdigit()):
        return "A card number has digits only"
    return "" if 12 <= len(number) <= 19 else "Your card number is incomplete"


def _expiry_problem(text: str) -> str:
    return "Enter the expiry date as month and year, like 12 / 34" if text else "Enter an expiry date"


def _cvc_problem(cvc: str, number: str) -> str:
    length = 4 if number.startswith(_FOUR_DIGIT_CVC) else 3
    if not cvc:
        return "Enter the security code"
    good = len(cvc) == length and cvc.isascii() and cvc.isdigit()
    return "" if good else f"The security code of this card has {length} digits"

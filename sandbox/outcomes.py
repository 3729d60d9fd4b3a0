"""What a person brings to a hosted page and takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as default
from typing import Literal


class NotFound(Exception):
    """No such page: the id or token names nothing."""


@dataclass(frozen=True)
class Card:
    """What was typed into a card form."""

    number: str
    exp_month: int
    exp_year: int
    cvc: str
    name: str = ""


@dataclass(frozen=True)
class Bank:
    """What was typed into a form for a bank account: an IBAN, or an American account with its routing number."""

    type: Literal["sepa_debit", "us_bank_account"]
    iban: str = ""
    account_number: str = ""
    routing_number: str = ""
    name: str = ""


@dataclass(frozen=True)
class Typed:
    """What was filled in beside the payment; `fields` by the keys of custom fields, `address` by Stripe's names."""

    email: str = ""
    name: str = ""
    phone: str = ""
    address: dict[str, str] = default(default_factory=dict)
    fields: dict[str, str] = default(default_factory=dict)
    consent: bool = False
    save: bool = False


@dataclass(frozen=True)
class Outcome:
    """What happened. `redirect_url` says where the browser goes next; it may be a path on this server."""

    kind: Literal["done", "declined", "challenge", "bad_input"]
    message: str = ""
    field: str = ""  # number | exp | cvc | email, for bad_input
    redirect_url: str = ""
    errors: dict[str, str] = default(default_factory=dict)  # several wrong fields at once, for bad_input

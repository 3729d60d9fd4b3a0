"""A card or bank account that a person typed into a page, made a payment method."""

from __future__ import annotations

from typing import Any

from sandbox.engine import banks, methods
from sandbox.errors import ApiError
from sandbox.outcomes import Bank, Card, Outcome

Json = dict[str, Any]

ON_THE_PAGE = {
    "type": "online",
    "online": {"ip_address": "127.0.0.1", "user_agent": "the sandbox's own page"},
}
FIELDS = {
    "sepa_debit[iban]": ("iban", "This IBAN is not valid."),
    "us_bank_account[account_number]": ("account_number", "Use a test account, like 000123456789."),
    "us_bank_account[routing_number]": ("routing_number", "In test mode the routing number is 110000000."),
    "billing_details[name]": ("name", "Enter the name of the account holder"),
    "billing_details[email]": ("email", "Enter an email address"),
}


def make(means: Card | Bank, billing: Json, now: int) -> Json | Outcome:
    """The stored payment method of nobody, or what is wrong with what was typed."""
    if isinstance(means, Card):
        problem = methods.problem(means.number, means.exp_month, means.exp_year, means.cvc)
        if problem is not None:
            return Outcome("bad_input", problem.message, problem.field)
        billing = billing | {"name": means.name or None}
        return methods.create(means.number, billing, now, (means.exp_month, means.exp_year))
    try:
        method = _bank(means, billing | {"name": means.name or None}, now)
    except ApiError as refused:
        field, words = FIELDS.get(str(refused.error.get("param")), ("", str(refused)))
        return Outcome("bad_input", words, field)
    return banks.accept(method, ON_THE_PAGE, now)


def _bank(means: Bank, billing: Json, now: int) -> Json:
    if means.type == "sepa_debit":
        return banks.create_sepa_debit(means.iban, billing, now)
    account = {
        "account_number": means.account_number,
        "routing_number": means.routing_number,
        "account_holder_type": "individual",
        "account_type": "checking",
    }
    return banks.create_us_bank_account(account, billing, now)

"""Bank accounts as payment methods: the test accounts, what becomes of their debits, and mandates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sandbox import cards
from sandbox.errors import request_error
from sandbox.house import db, house
from sandbox.objects import bank_method
from sandbox.objects import mandate as mandates

Json = dict[str, Any]

CURRENCY = {"sepa_debit": "eur", "us_bank_account": "usd"}
BY_TRANSFER = {"customer_balance": "jpy"}  # only where it is asked for by name
ROUTING_NUMBER = "110000000"


@dataclass(frozen=True)
class TestAccount:
    """`decline` is why its debit fails in the end, None where it is collected; `slow` takes three minutes."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    decline: cards.Decline | None = None
    slow: bool = False


def _failing(code: str, message: str) -> TestAccount:
    return TestAccount(cards.Decline(code, None, message))


_ATTEMPT_FAILED = _failing("payment_intent_payment_attempt_failed", "The payment failed.")
IBANS = {
    "AT611904300234573201": TestAccount(),
    "AT321904300235473204": TestAccount(slow=True),
    "AT861904300235473202": _ATTEMPT_FAILED,
    "AT051904300235473205": replace(_ATTEMPT_FAILED, slow=True),
    "IT60X0542811101000000123456": _ATTEMPT_FAILED,
}
ACCOUNTS = {
    "000123456789": TestAccount(),
    "000111111113": _failing("account_closed", "The customer's bank account has been closed."),
    "000111111116": _failing("no_account", "The bank account could not be located."),
    "000222222227": _failing("insufficient_funds", "The customer's account has insufficient funds."),
    "000333333335": _failing("debit_not_authorized", "The customer's bank did not authorize this debit."),
}


def types_for(currency: str) -> list[str]:
    """The payment methods of this sandbox that a currency allows, cards first."""
    return ["card", *(kind for kind, only in CURRENCY.items() if only == currency)]


def create_sepa_debit(iban: str, billing: Json, created: int) -> Json:
    """A stored account; any valid IBAN that is not in the table is collected at once."""
    number = iban.replace(" ", "").upper()
    if not _valid_iban(number):
        raise request_error("The IBAN you provided is invalid.", "invalid_iban", "sepa_debit[iban]")
    if not (billing.get("name") and billing.get("email")):
        lacking = "email" if billing.get("name") else "name"
        raise request_error(
            f"Missing required param: billing_details[{lacking}].",
            "parameter_missing",
            f"billing_details[{lacking}]",
        )
    shape = bank_method.sepa_debit(number)
    return _keep(bank_method.payment_method(created, "sepa_debit", shape, billing), number)


def create_us_bank_account(account: Json, billing: Json, created: int) -> Json:
    """A stored account; `account`: account_number, routing_number, account_holder_type, account_type."""
    number, routing = account["account_number"], account["routing_number"]
    if number not in ACCOUNTS:
        raise request_error(
            "You must use a test bank account number in test mode. Try 000123456789.",
            "account_number_invalid",
            "us_bank_account[account_number]",
        )
    if routing != ROUTING_NUMBER:
        raise request_error(
            f"In test mode the routing number is {ROUTING_NUMBER}.",
            "routing_number_invalid",
            "us_bank_account[routing_number]",
        )
    shape = bank_method.us_bank_account(
        number, routing, account["account_holder_type"], account["account_type"]
    )
    return _keep(bank_method.payment_method(created, "us_bank_account", shape, billing), number)


def create_customer_balance(billing: Json, created: int) -> Json:
    """The customer's own transfers as a payment method."""
    return _keep(bank_method.payment_method(created, "customer_balance", {}, billing), "")


def _keep(method: Json, number: str) -> Json:
    return db().put(method | {"_account": number, "_mandate": None, "_risk": "not_assessed"})


def _valid_iban(number: str) -> bool:
    if not (15 <= len(number) <= 34 and number.isascii() and number.isalnum() and number[:2].isalpha()):
        return False
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def account_of(method: Json) -> TestAccount:
    return (IBANS | ACCOUNTS).get(method["_account"], TestAccount())


def accept(method: Json, acceptance: Json | None, now: int) -> Json:
    """The method with a mandate: the one it has, or a new one that the customer just gave."""
    if acceptance is None:
        if method["_mandate"] is None:
            raise request_error(
                "This payment method needs a mandate, but no existing mandate was found. Collect mandate"
                " acceptance from the customer and provide it in the mandate_data parameter.",
                "payment_intent_mandate_invalid",
                "mandate_data",
            )
        return method
    made = db().put(mandates.mandate(now, method, acceptance, house().base_url))
    method["_mandate"] = made["id"]
    return db().put(method)
